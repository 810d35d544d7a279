//! The same figures as a file for node_exporter's textfile collector.
//!
//! In: OpenMetrics text. Out: the older text format that the collector reads:
//! a counter's family has the name of its samples, there are no units, and no
//! end mark. The file is replaced as a whole, mode 0644: the collector is not
//! root.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The text in the older format.
#[must_use]
pub fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // HELP comes before TYPE, which says whether it is a counter.
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                out.push_str(&format!("# HELP {name}{total} {help}\n"));
            }
            out.push_str(&format!("# TYPE {name}{total} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Puts the text in the place of `path`, whole or not at all.
///
/// # Errors
/// When the system refuses; the old file is then as it was.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The collector takes *.prom only, and so never this one.
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples() {
        let text = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total{x=\"#\"} 1.0\n# HELP b Count.\n# TYPE b gauge\nb 2\n# EOF\n";
        let wanted = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\n\
                      a_seconds_total{x=\"#\"} 1.0\n# HELP b Count.\n# TYPE b gauge\nb 2\n";
        assert_eq!(older(text), wanted);
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packrank.prom");
        write(&path, "a 1\n").unwrap();
        write(&path, "a 2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a 2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("no/x.prom"), "").is_err());
    }
}
