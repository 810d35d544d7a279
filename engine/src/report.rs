//! In: the sentence a verb failed with. Out: one line on stderr, and the last `error` line of the
//! `--log` file, in runc's own form, because that is what containerd, Docker and Podman read.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{SecondsFormat, Utc};

use crate::store::OWN;

/// How lines of the log file look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Writes the sentence to both places. A log file that cannot be written must not hide the
/// sentence on stderr, so that failure becomes a second line there.
pub fn failure(message: &str, log: Option<&Path>, format: Format) {
    let message = one_line(message);
    eprintln!("packrank-engine: {message}");
    if let Some(path) = log
        && let Err(cause) = append(path, &line("error", &message, format))
    {
        eprintln!("packrank-engine: cannot write {}: {cause}", path.display());
    }
}

/// One line of the log file, newline included.
pub fn line(level: &str, message: &str, format: Format) -> String {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    match format {
        Format::Json => {
            let entry = serde_json::json!({"level": level, "msg": message, "time": time});
            format!("{entry}\n")
        }
        Format::Text => format!("time={time:?} level={level} msg={message:?}\n"),
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(OWN)
        .open(path)?
        .write_all(line.as_bytes())
}

fn one_line(message: &str) -> String {
    message
        .split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_runcs_members() {
        let entry: serde_json::Value =
            serde_json::from_str(&line("error", "a \"b\"", Format::Json)).unwrap();
        assert_eq!(entry["level"], "error");
        assert_eq!(entry["msg"], "a \"b\"");
        assert!(entry["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn several_lines_become_one() {
        assert_eq!(one_line("a\n  b\n"), "a; b");
    }
}
