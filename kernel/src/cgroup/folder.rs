//! One open directory.
//!
//! In: a path. Out: a [`Folder`] whose files are opened by name from its
//! descriptor: no path is walked twice, nothing is created, and nothing on
//! another file system is touched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::CgroupError;

/// An open directory. Where it is, `/proc` tells when somebody asks: a watcher
/// of a thousand packs keeps seven thousand of these.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

/// The largest file that is read: `memory.stat` of a large machine is 8 KiB.
const LARGEST: u64 = 1 << 20;

impl Folder {
    /// Opens a directory.
    ///
    /// # Errors
    /// When it is not there, or is no directory.
    pub fn open(path: &Path) -> Result<Folder, CgroupError> {
        let file = File::open(path).map_err(|e| failed(path, "", e))?;
        let meta = file.metadata().map_err(|e| failed(path, "", e))?;
        if !meta.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(failed(path, "", source));
        }
        Ok(Folder { fd: file.into() })
    }

    /// A directory below, on the same file system.
    ///
    /// # Errors
    /// When it is not there, or something else is mounted there.
    pub fn folder(&self, below: &Path) -> Result<Folder, CgroupError> {
        let path = || self.path().join(below);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(self.fd.as_fd(), below, flags, Mode::empty())
            .map_err(|e| failed(&path(), "", e.into()))?;
        let device =
            |fd: &OwnedFd| -> io::Result<u64> { Ok(File::from(fd.try_clone()?).metadata()?.dev()) };
        let same = device(&fd).and_then(|below| Ok(below == device(&self.fd)?));
        match same {
            Ok(true) => Ok(Folder { fd }),
            Ok(false) => Err(CgroupError::Foreign {
                path: path(),
                problem: "something else is mounted there",
            }),
            Err(source) => Err(failed(&path(), "", source)),
        }
    }

    /// Its path, for people and for those who take no descriptor; where it was,
    /// when it has been removed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = std::fs::read_link(self.held()).unwrap_or_default();
        match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
            Some(was) => PathBuf::from(OsStr::from_bytes(was)),
            None => path,
        }
    }

    /// A path under which it is found, and what is in it, wherever it
    /// is by now.
    pub(super) fn held(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Opens a file in it: never creating, never following a link.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(openat(self.fd.as_fd(), name, flags, Mode::empty()).map(File::from)?)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, CgroupError> {
        let read = || {
            let mut bytes = Vec::new();
            let file = self.file(name, OFlag::O_RDONLY)?;
            file.take(LARGEST).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| failed(&self.path().join(name), "", e))
    }

    /// A file's bytes as far as they fit into `buffer`; asks for no memory.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn read_into<'b>(&self, name: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], CgroupError> {
        let file = self.file(name, OFlag::O_RDONLY);
        let read = file.and_then(|file| super::Reader::plain(file).bytes(buffer));
        read.map_err(|e| failed(&self.path().join(name), "", e))
    }

    /// A file's bytes; `None` when this kernel has no such file, an error when
    /// the whole cgroup is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, CgroupError> {
        match self.read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(CgroupError::Gone { .. }) if self.is_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory has not been removed.
    #[must_use]
    pub fn is_there(&self) -> bool {
        // A removed cgroup has no files: every one has this.
        self.file("cgroup.procs", OFlag::O_PATH).is_ok()
    }

    /// Whether it has a file of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.file(name, OFlag::O_PATH).is_ok()
    }

    /// Writes a value in one go.
    ///
    /// # Errors
    /// When there is no such file or the kernel refuses the value.
    pub fn write(&self, name: &str, value: &str) -> Result<(), CgroupError> {
        let written = self.put(name, value);
        written.map_err(|e| failed(&self.path().join(name), value, e))
    }

    /// The same, with the kernel's bare answer: for refusals that are usual.
    pub(super) fn put(&self, name: &str, value: &str) -> io::Result<()> {
        let mut file = self.file(name, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
        file.write_all(value.as_bytes())
    }
}

/// Classified by errno: a cgroup that goes answers ENOENT or ENODEV.
pub(super) fn is_gone(source: &io::Error) -> bool {
    let errno = source.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOENT | Errno::ENODEV))
}

pub(super) fn failed(path: &Path, value: &str, source: io::Error) -> CgroupError {
    match is_gone(&source) {
        true => CgroupError::Gone {
            path: path.to_owned(),
        },
        false => CgroupError::Io {
            path: path.to_owned(),
            value: value.to_owned(),
            source,
        },
    }
}
