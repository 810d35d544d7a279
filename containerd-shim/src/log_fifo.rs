//! The shim's log, which containerd reads from the fifo `log` in the bundle.
//!
//! In: the `log` crate's records. Out: lines as logrus writes them, each one
//! write. While containerd is away the fifo fills; what does not fit is lost,
//! and nothing ever waits for it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;

struct Fifo(File);

/// Opens it. Without one there is no log.
pub fn open(debug: bool) {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    // Both ways, so that a reader that goes is no error and its return none
    // either.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open("log");
    let Ok(file) = file else { return };
    let level = if debug {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    };
    if log::set_boxed_logger(Box::new(Fifo(file))).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Fifo {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The ttrpc crate tells its caller what it logs.
        metadata.target().starts_with("packrank")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let message = serde_json::Value::from(record.args().to_string());
        let line = format!(
            "time=\"{time}\" level={level} msg={message} runtime=io.containerd.packrank.v2\n"
        );
        let _ = (&self.0).write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
