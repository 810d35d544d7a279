//! The engine's log file, in the engine's own form.
//!
//! In: `--log`, `--log-format`, `--debug`, and tracing's events. Out: lines
//! such as runc writes them, because containerd, Docker and Podman show their
//! users the last error line of that file and nothing else.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes events to the log file.
#[derive(Debug)]
pub struct Log {
    file: File,
    json: bool,
    most: Level,
}

impl Log {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn open(path: &Path, json: bool, debug: bool) -> io::Result<Log> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Log {
            file,
            json,
            most: if debug { Level::DEBUG } else { Level::INFO },
        })
    }

    fn line(&self, level: Level, message: &str) -> io::Result<()> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let level = match level {
            Level::WARN => "warning",
            Level::ERROR => "error",
            Level::INFO => "info",
            _ => "debug",
        };
        let message_json = serde_json::Value::from(message);
        // One write, so that two processes' lines do not mix.
        let line = if self.json {
            format!("{{\"level\":\"{level}\",\"msg\":{message_json},\"time\":\"{time}\"}}\n")
        } else {
            format!("time=\"{time}\" level={level} msg={message_json}\n")
        };
        (&self.file).write_all(line.as_bytes())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // A log that cannot be written must not stop a container.
        let _ = self.line(*event.metadata().level(), text.0.trim_end());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The message, then the fields as `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_runcs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        let log = Log::open(&path, true, false).unwrap();
        tracing::subscriber::with_default(log, || {
            tracing::debug!("not asked for");
            tracing::error!("no \"such\"\nthing");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["msg"], "no \"such\"\nthing");
        assert_eq!(text.lines().count(), 1);
        let text_log = Log::open(&path, false, true).unwrap();
        tracing::subscriber::with_default(text_log, || tracing::info!(priority = %"low", "ranked"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with("level=info msg=\"ranked priority=low\"\n"),
            "{text}"
        );
    }
}
