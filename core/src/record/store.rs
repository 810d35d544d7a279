//! The folders that hold records and deeds.
//!
//! In: the root (`/run/packrank`). Out: [`Packs`]: files of mode 0600, each
//! written under a temporary name and renamed, so that a reader finds the old
//! one or the new one; anything else there is an error that names the file.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::file::{read_trusted, remove, write_atomically};
use super::{AncestorDeed, Deeds, Record, VERSION, file_name};

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Not a record.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Written by a version that this one does not know.
    #[error("{} has version {version}, and this program reads up to {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Others than root could have written it.
    #[error("{} is foreign: {problem}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl RecordError {
    /// Whether the file is simply not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, RecordError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

pub(super) type Outcome<T> = Result<T, RecordError>;

/// The records and deeds under one root.
#[derive(Debug, Clone)]
pub struct Packs {
    packs: PathBuf,
    deeds: PathBuf,
}

impl Packs {
    /// Those under `root`; nothing is touched yet.
    #[must_use]
    pub fn under(root: &Path) -> Packs {
        Packs {
            packs: root.join("packs"),
            deeds: root.join("deeds"),
        }
    }

    /// The folder whose files are the packs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.packs
    }

    /// Where the record of `id` lies.
    #[must_use]
    pub fn path(&self, id: &str) -> PathBuf {
        self.packs.join(format!("{}.json", file_name::of(id)))
    }

    /// The folder in which is kept what was done to them.
    #[must_use]
    pub fn deeds_folder(&self) -> &Path {
        &self.deeds
    }

    fn deeds_path(&self, id: &str) -> PathBuf {
        self.deeds.join(format!("{}.json", file_name::of(id)))
    }

    /// Makes the folders, mode 0700.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make(&self) -> Outcome<()> {
        for folder in [&self.packs, &self.deeds] {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).map_err(io_error("make", folder))?;
        }
        Ok(())
    }

    /// Registers a container: writes its record, in place of any before it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, record: &Record) -> Outcome<()> {
        let path = self.path(&record.id);
        match write_atomically(&path, record) {
            // The first on this node makes the folders.
            Err(error) if error.is_absent() => {
                self.make()?;
                write_atomically(&path, record)
            }
            written => written,
        }
    }

    /// Changes the record of a container that is still registered. One that
    /// leaves in the same instant may come back as a record with a dead pid,
    /// which readers set aside.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or the system refuses.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Record)) -> Outcome<Record> {
        let mut record = self.read(id)?;
        change(&mut record);
        write_atomically(&self.path(id), &record)?;
        Ok(record)
    }

    /// Unregisters: record and deeds go. Whether there was a record.
    ///
    /// # Errors
    /// When the system refuses; that there is none is no error.
    pub fn remove(&self, id: &str) -> Outcome<bool> {
        let had = remove(&self.path(id))?;
        remove(&self.deeds_path(id))?;
        Ok(had)
    }

    /// The record of `id`.
    ///
    /// # Errors
    /// When there is none, or it is damaged, foreign or newer.
    pub fn read(&self, id: &str) -> Outcome<Record> {
        let path = self.path(id);
        let record = Self::read_file(&path)?;
        if record.id != id {
            let problem = format!("it is the record of {:?}", record.id);
            return Err(RecordError::Damaged { path, problem });
        }
        Ok(record)
    }

    /// The record in a file of the folder.
    ///
    /// # Errors
    /// When it is damaged, foreign, newer, or not under its id's name.
    pub fn read_file(path: &Path) -> Outcome<Record> {
        let bytes = read_trusted(path)?;
        let record = parse(&bytes).map_err(|problem| match problem {
            Problem::Damaged(problem) => RecordError::Damaged {
                path: path.to_owned(),
                problem,
            },
            Problem::Newer(version) => RecordError::Newer {
                path: path.to_owned(),
                version,
            },
        })?;
        if path.file_stem().and_then(|s| s.to_str()) != Some(&file_name::of(&record.id)) {
            let problem = format!("it is the record of {:?}", record.id);
            return Err(RecordError::Damaged {
                path: path.to_owned(),
                problem,
            });
        }
        Ok(record)
    }

    /// Every record there is, by file name; each file's own answer.
    ///
    /// # Errors
    /// When the folder cannot be listed; that there is none is an empty list.
    pub fn all(&self) -> Outcome<Vec<(PathBuf, Outcome<Record>)>> {
        let read = |path: PathBuf| {
            let record = Self::read_file(&path);
            (path, record)
        };
        Ok(self.files()?.into_iter().map(read).collect())
    }

    /// The ids whose records cannot be read, and why.
    ///
    /// # Errors
    /// When the folder cannot be listed; that there is none is an empty list.
    pub fn unreadable(&self) -> Outcome<Vec<(String, RecordError)>> {
        let all = self.all()?.into_iter();
        let bad = all.filter_map(|(path, record)| {
            let error = record.err().filter(|error| !error.is_absent())?;
            let id = file_name::id(path.file_stem()?.to_str()?)?;
            Some((id, error))
        });
        Ok(bad.collect())
    }

    /// The records' files, sorted, unread.
    ///
    /// # Errors
    /// When the folder cannot be listed; that there is none is an empty list.
    pub fn files(&self) -> Outcome<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.packs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", &self.packs)(e)),
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_record(path))
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// What the watcher has done to this very container; nothing when the file
    /// is absent or another container's of the same id, and
    /// [`Deeds::damaged`] when it cannot be read.
    #[must_use]
    pub fn deeds(&self, record: &Record) -> Deeds {
        let found = match read_trusted(&self.deeds_path(&record.id)) {
            Ok(bytes) => parse_deeds(&bytes).ok(),
            Err(error) if error.is_absent() => Some(Deeds::default()),
            Err(_) => None,
        };
        let damaged = found.is_none();
        found
            .filter(|d| d.id == record.id && d.pid == record.pid && d.started == record.started)
            .unwrap_or_else(|| Deeds {
                version: VERSION,
                id: record.id.clone(),
                pid: record.pid,
                started: record.started,
                damaged,
                ..Deeds::default()
            })
    }

    /// Removes deeds whose record is gone. Best effort.
    pub fn sweep(&self) {
        for entry in fs::read_dir(&self.deeds).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let kept = name.to_str() == Some(ANCESTORS) || self.packs.join(&name).exists();
            if !kept {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes what a writer that was killed left under a temporary name
    /// (`.NAME.PID.COUNT`). Best effort.
    pub fn sweep_temporaries(&self) {
        let abandoned = |name: &str| {
            let writer = name.rsplit('.').nth(1).filter(|_| name.starts_with('.'));
            writer.is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
            })
        };
        for folder in [&self.packs, &self.deeds] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_some_and(abandoned) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// Writes which protections above packs were raised; no file is left where none is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_ancestors(&self, ancestors: &[AncestorDeed]) -> Outcome<()> {
        let path = self.deeds.join(ANCESTORS);
        if !ancestors.is_empty() {
            return write_atomically(&path, &ancestors);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Which protections above packs were raised; none when unreadable.
    #[must_use]
    pub fn ancestors(&self) -> Vec<AncestorDeed> {
        read_trusted(&self.deeds.join(ANCESTORS))
            .ok()
            .and_then(|bytes| decode(&bytes).ok())
            .unwrap_or_default()
    }
}

/// No id's file name has this form: `~` is followed by a hash there.
const ANCESTORS: &str = "~ancestors";

/// Whether a name in the folder is a record's and not a temporary's.
#[must_use]
fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
        && !path
            .file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
}

/// Why bytes are no record.
#[derive(Debug)]
pub(super) enum Problem {
    Damaged(String),
    Newer(u32),
}

/// A record's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Record, Problem> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The version first: a newer format may differ in everything else.
    let versioned: Versioned = decode(bytes).map_err(Problem::Damaged)?;
    match versioned.version {
        0 => Err(Problem::Damaged("its version is 0".to_owned())),
        1..=VERSION => decode(bytes).map_err(Problem::Damaged),
        newer => Err(Problem::Newer(newer)),
    }
}

fn parse_deeds(bytes: &[u8]) -> Result<Deeds, String> {
    decode(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

pub(super) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |source| RecordError::Io { what, path, source }
}
