//! In: libcontainer's tracing events, also those of the processes it forks. Out: the first error
//! among them, and with `--debug` every event as a line of the log.
//!
//! What libcontainer returns is often no more than "failed syscall"; which path and which errno
//! stands only in the event, and the event happens in a forked child. So errors are appended to a
//! memfd that all of them share, and the parent reads it back when something failed.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::report::{self, Format};
use crate::store::OWN;

/// The reading end of the shared errors.
pub struct Trail {
    errors: Option<File>,
}

struct Collector {
    errors: Option<File>,
    debug: Option<(Option<File>, Format)>,
}

/// Starts collecting. Without a memfd the engine works all the same, its sentences are just
/// shorter.
pub fn collect(debug: bool, log: Option<&Path>, format: Format) -> Trail {
    let errors = memfd_create(c"packrank-engine-errors", MFdFlags::MFD_CLOEXEC)
        .ok()
        .map(File::from);
    let debug = debug.then(|| {
        let open = |path| {
            let mut options = File::options();
            options.create(true).append(true).mode(OWN).open(path).ok()
        };
        (log.and_then(open), format)
    });
    let shared = errors.as_ref().and_then(|file| file.try_clone().ok());
    let collector = Collector {
        errors: shared,
        debug,
    };
    // A second subscriber in one process cannot happen: main calls this once.
    let _ = tracing::subscriber::set_global_default(collector);
    Trail { errors }
}

impl Trail {
    /// The first error that any of the processes met, the one nearest to the cause.
    pub fn first_error(&mut self) -> Option<String> {
        let file = self.errors.as_mut()?;
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_string(&mut text).ok()?;
        text.lines().next().map(str::to_owned)
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && (*metadata.level() == Level::ERROR
                || self.debug.is_some() && *metadata.level() <= Level::DEBUG)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        let most = if self.debug.is_some() {
            Level::DEBUG
        } else {
            Level::ERROR
        };
        Some(most.into())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let message = text.joined();
        if *event.metadata().level() == Level::ERROR
            && let Some(mut errors) = self.errors.as_ref()
        {
            // A full memfd only costs detail.
            let _ = errors.write_all(format!("{message}\n").as_bytes());
        }
        if let Some((file, format)) = &self.debug {
            let level = event.metadata().level().as_str().to_ascii_lowercase();
            let line = report::line(&level, &message, *format);
            let _ = match file {
                Some(file) => (&mut &*file).write_all(line.as_bytes()),
                None => std::io::stderr().write_all(line.as_bytes()),
            };
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event's fields as text: the message, then what else it says.
#[derive(Default)]
struct Text {
    message: String,
    rest: String,
}

impl Text {
    fn joined(self) -> String {
        let text = if self.rest.is_empty() {
            self.message
        } else {
            format!("{} ({})", self.message, self.rest)
        };
        text.replace('\n', " ")
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let target = if field.name() == "message" {
            &mut self.message
        } else {
            &mut self.rest
        };
        if !target.is_empty() {
            target.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(target, "{value:?}"),
            name => write!(target, "{name}: {value:?}"),
        };
    }
}
