//! The engine's log file, in the engine's own form.
//!
//! In: `--log`, `--log-format`, and what is to be told. Out: lines such as
//! runc writes them, because containerd, Docker and Podman show their users
//! the last error line of that file and nothing else.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use packrank_core::spec::quote;

/// How much a line matters, in the engines' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something was done.
    Info,
    /// Something was left out.
    Warning,
    /// The container is refused.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Lines for the log file, told at one moment.
#[derive(Debug)]
pub struct Log {
    json: bool,
    time: String,
    lines: String,
}

impl Log {
    /// No lines yet; as JSON where `--log-format` says so.
    #[must_use]
    pub fn new(json: bool) -> Log {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        Log {
            json,
            time: now.to_string(),
            lines: String::new(),
        }
    }

    /// Adds a line.
    pub fn tell(&mut self, level: Level, message: &str) {
        let (level, message, time) = (level.name(), quote(message), &self.time);
        let line = match self.json {
            true => format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n"),
            false => format!("time=\"{time}\" level={level} msg={message}\n"),
        };
        self.lines.push_str(&line);
    }

    /// Appends the lines to the file, made with mode 0600 where there is none:
    /// in one write, so that two processes' lines do not mix.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn append(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(path)?;
        file.write_all(self.lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_runcs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        let mut log = Log::new(true);
        log.tell(Level::Info, "ranked");
        log.tell(Level::Error, "no \"such\"\nthing");
        log.append(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let last = text.lines().last().unwrap();
        let line: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["msg"], "no \"such\"\nthing");
        assert_eq!(text.lines().count(), 2);
        let mut log = Log::new(false);
        log.tell(Level::Warning, "left out");
        log.append(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with("Z\" level=warning msg=\"left out\"\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }
}
