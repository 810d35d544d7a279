//! Writing down what is about to be done to a pack, before it is done.
//!
//! In: a pack's state, and what its file said that the state does not hold.
//! Out: `deeds/<id>.json`, as [`packrank_core::record::Deeds`] reads it,
//! written under one temporary name and renamed. Text, names and descriptor
//! are kept: while memory presses nothing is asked for.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use packrank_core::record::{Deeds, RecordError, VERSION};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::decide::{Pack, Why};
use crate::event::WhyText;
use crate::registry::Kept;

/// What a file of deeds holds beside what the state does.
#[derive(Debug, Default)]
pub struct Beside {
    /// Why it was killed, or is about to be.
    pub killed: Option<Reason>,
    /// Members a newer version wrote.
    unknown: Option<Box<Map<String, Json>>>,
}

/// Why a pack was killed.
#[derive(Debug)]
pub enum Reason {
    /// In the words of a watcher before this one.
    Told(Box<str>),
    /// By this one.
    Now(Why),
}

impl Beside {
    /// What a file said.
    #[must_use]
    pub fn of(deeds: Deeds) -> Beside {
        Beside {
            killed: deeds.killed.map(|why| Reason::Told(why.into())),
            unknown: (!deeds.unknown.is_empty()).then(|| Box::new(deeds.unknown)),
        }
    }
}

/// One file, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Page<'a> {
    version: u32,
    id: &'a str,
    pid: u32,
    started: u64,
    frozen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    killed: Option<Words<'a>>,
    taken: Taken<'a>,
    #[serde(flatten)]
    unknown: Option<&'a Map<String, Json>>,
}

struct Words<'a>(&'a Reason);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reason::Told(words) => serializer.serialize_str(words),
            Reason::Now(why) => serializer.collect_str(&WhyText(*why)),
        }
    }
}

struct Taken<'a>(&'a Pack);

impl Serialize for Taken<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (knob, taken) in self.0.taken() {
            map.serialize_entry(knob.key().name(), &taken)?;
        }
        map.end()
    }
}

/// Writes into one folder. One watcher does, so one temporary name is enough.
#[derive(Debug)]
pub struct Scribe {
    path: PathBuf,
    folder: OwnedFd,
    text: Vec<u8>,
}

/// Enough for a pack with every value taken: a hundred bytes each.
const ROOM: usize = 4 << 10;

/// No id's file name begins with a dot.
const TEMPORARY: &str = ".watcher";

impl Scribe {
    /// Opens the folder.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(folder: &Path) -> Result<Scribe, RecordError> {
        let open = File::open(folder).map_err(|source| RecordError::Io {
            what: "open",
            path: folder.to_owned(),
            source,
        })?;
        Ok(Scribe {
            path: folder.to_owned(),
            folder: open.into(),
            text: Vec::with_capacity(ROOM),
        })
    }

    /// Writes what is done to a pack; nothing done removes the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&mut self, kept: &Kept, pack: &Pack) -> Result<(), RecordError> {
        let nothing = !pack.frozen() && !pack.dying() && pack.taken().next().is_none();
        let done = match nothing {
            true => self.remove(&kept.file),
            false => self.put(kept, pack),
        };
        done.map_err(|source| RecordError::Io {
            what: "write",
            path: self.path.join(&kept.file),
            source,
        })
    }

    fn put(&mut self, kept: &Kept, pack: &Pack) -> io::Result<()> {
        let page = Page {
            version: VERSION,
            id: &kept.id,
            pid: kept.pid,
            started: kept.started,
            frozen: pack.frozen(),
            // Who lives on was not killed, whatever was about to be done.
            killed: kept
                .beside
                .killed
                .as_ref()
                .filter(|_| pack.dying())
                .map(Words),
            taken: Taken(pack),
            unknown: kept.beside.unknown.as_deref(),
        };
        self.text.clear();
        serde_json::to_writer(&mut self.text, &page)?;
        let folder = self.folder.as_fd();
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(openat(folder, TEMPORARY, flags, mode)?);
        file.write_all(&self.text)?;
        Ok(renameat(folder, TEMPORARY, folder, &*kept.file)?)
    }

    fn remove(&self, name: &Path) -> io::Result<()> {
        match unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}
