//! A bundle's config.json, read and replaced.
//!
//! In: the bundle's folder. Out: the document's bytes; and, when it is
//! replaced, the new document under the old name, owner and mode, or the old
//! one: never half of either. Everything is opened relative to the folder we
//! hold, and no link is followed where one could have been planted.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use packrank_core::spec::MOST_BYTES;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The kernel said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was tried.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// More than is read.
    #[error("{}: {bytes} bytes; at most {} MiB of config.json are read", path.display(), MOST_BYTES >> 20)]
    TooLarge {
        /// The document.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A link, which could point anywhere by the time it is followed.
    #[error("{}: is a symbolic link; a ranked container's config.json must be a file", path.display())]
    Symlink {
        /// The document.
        path: PathBuf,
    },
    /// Not a file.
    #[error("{}: is no regular file", path.display())]
    NotAFile {
        /// The document.
        path: PathBuf,
    },
    /// Somebody else could change what we are about to write.
    #[error(
        "{}: owner {owner}, mode {mode:04o}: somebody else can write to it; a ranked container's bundle must be yours alone (chmod go-w)",
        path.display()
    )]
    Shared {
        /// The folder or file.
        path: PathBuf,
        /// Its owner's uid.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
}

/// A bundle's folder, held open.
#[derive(Debug)]
pub struct Bundle {
    folder: File,
    path: PathBuf,
    name: String,
}

impl Bundle {
    /// Opens the folder. `config` names the document, where it is not
    /// `config.json`; only its last part counts, with its folder as the bundle's.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn open(folder: &Path, config: Option<&Path>) -> Result<Bundle, BundleError> {
        let name = config.and_then(Path::file_name).and_then(|n| n.to_str());
        let folder = match config.and_then(Path::parent) {
            Some(parent) => folder.join(parent),
            None => folder.to_owned(),
        };
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_PATH;
        let fd = nix::fcntl::open(&folder, flags, Mode::empty());
        Ok(Bundle {
            folder: fd.map_err(|e| io_error(&folder, e))?.into(),
            path: std::path::absolute(&folder).unwrap_or(folder),
            name: name.unwrap_or("config.json").to_owned(),
        })
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn document(&self) -> PathBuf {
        self.path.join(&self.name)
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// When it is not there, is too large, or cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, BundleError> {
        // An unranked container may have its config.json where it likes: links
        // are refused when one is to be replaced.
        self.read_file(&self.name, OFlag::empty())
    }

    /// Another file of the bundle, links not followed; `None` when absent.
    ///
    /// # Errors
    /// When it is too large or cannot be read.
    pub fn read_beside(&self, name: &str) -> Result<Option<Vec<u8>>, BundleError> {
        match self.read_file(name, OFlag::O_NOFOLLOW) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BundleError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read_file(&self, name: &str, flags: OFlag) -> Result<Vec<u8>, BundleError> {
        let path = self.path.join(name);
        let flags = flags | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd =
            openat(&self.folder, name, flags, Mode::empty()).map_err(|e| io_error(&path, e))?;
        let file = File::from(fd);
        let read_error = |source| BundleError::Io {
            path: path.clone(),
            source,
        };
        let meta = file.metadata().map_err(read_error)?;
        if !meta.is_file() {
            return Err(BundleError::NotAFile { path });
        }
        if meta.len() > MOST_BYTES as u64 {
            let bytes = meta.len();
            return Err(BundleError::TooLarge { path, bytes });
        }
        // One read for the file and one for its end, whatever its size.
        let room = usize::try_from(meta.len()).unwrap_or(0) + 1;
        let mut bytes = Vec::with_capacity(room);
        let most = MOST_BYTES as u64 + 1;
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        if bytes.len() > MOST_BYTES {
            let bytes = bytes.len() as u64;
            return Err(BundleError::TooLarge { path, bytes });
        }
        Ok(bytes)
    }

    /// Whether config.json may be replaced here at all; gives what is known of
    /// it.
    ///
    /// # Errors
    /// When config.json is a link, or the bundle is open to others.
    pub fn check(&self) -> Result<std::fs::Metadata, BundleError> {
        let path = self.document();
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let old = openat(&self.folder, self.name.as_str(), flags, Mode::empty())
            .map_err(|e| io_error(&path, e))?;
        let meta = File::from(old).metadata();
        let meta = meta.map_err(|source| BundleError::Io {
            path: path.clone(),
            source,
        })?;
        if meta.is_symlink() {
            return Err(BundleError::Symlink { path });
        }
        self.own_only(&path, &meta)?;
        let folder = self.folder.metadata();
        let folder = folder.map_err(|source| BundleError::Io {
            path: self.path.clone(),
            source,
        })?;
        self.own_only(&self.path, &folder)?;
        Ok(meta)
    }

    /// Puts `document` in the place of config.json, if it differs.
    ///
    /// # Errors
    /// When [`Self::check`] refuses, or the kernel a step; config.json is then
    /// as it was.
    pub fn replace(&self, before: &[u8], document: &[u8]) -> Result<(), BundleError> {
        let meta = self.check()?;
        if before == document {
            return Ok(());
        }
        self.write(&self.name, document, Some(&meta))
    }

    /// Writes a file of ours beside config.json, mode 0600.
    ///
    /// # Errors
    /// When the kernel refuses a step; an older one is then as it was.
    pub fn write_beside(&self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        self.write(name, bytes, None)
    }

    /// Removes a file of ours; one that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_beside(&self, name: &str) -> Result<(), BundleError> {
        match unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(io_error(&self.path.join(name), errno)),
        }
    }

    /// Writes a file without a name, gives it one when it is complete, and
    /// renames it: whoever is stopped in between leaves at most a complete file
    /// under the temporary name, which the next run replaces.
    fn write(
        &self,
        name: &str,
        bytes: &[u8],
        like: Option<&std::fs::Metadata>,
    ) -> Result<(), BundleError> {
        /// Runs at the same moment take each other's temporary name away; each
        /// time one of them gets through.
        const TRIES: usize = 100;
        let temporary = format!(".{name}.packrank");
        let path = self.path.join(&temporary);
        for _ in 0..TRIES {
            let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            let file = match openat(&self.folder, ".", flags, OWN) {
                Ok(fd) => File::from(fd),
                // NFS and others have no files without a name.
                Err(Errno::EOPNOTSUPP | Errno::EISDIR) => {
                    return self.write_named(name, bytes, like);
                }
                Err(errno) => return Err(io_error(&path, errno)),
            };
            fill(&file, &path, bytes, like)?;
            let linked = self.name_it(&file, &temporary);
            let renamed =
                linked.and_then(|()| renameat(&self.folder, &*temporary, &self.folder, name));
            match renamed {
                Ok(()) => return Ok(()),
                Err(Errno::EEXIST) => self.remove_beside(&temporary)?,
                Err(Errno::ENOENT) => {}
                Err(errno) => {
                    self.remove_beside(&temporary)?;
                    return Err(io_error(&path, errno));
                }
            }
        }
        Err(io_error(&path, Errno::EBUSY))
    }

    /// Gives a name to a file that has none.
    fn name_it(&self, file: &File, name: &str) -> nix::Result<()> {
        let (here, empty) = (&self.folder, AtFlags::AT_EMPTY_PATH);
        match linkat(file, "", here, name, empty) {
            // The short way needs CAP_DAC_READ_SEARCH.
            Err(Errno::ENOENT) => {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                let follow = AtFlags::AT_SYMLINK_FOLLOW;
                linkat(AT_FDCWD, path.as_str(), here, name, follow)
            }
            done => done,
        }
    }

    /// The same where every file has a name from the start: one of this process.
    fn write_named(
        &self,
        name: &str,
        bytes: &[u8],
        like: Option<&std::fs::Metadata>,
    ) -> Result<(), BundleError> {
        let temporary = format!(".{name}.packrank-{}", std::process::id());
        let path = self.path.join(&temporary);
        // A leftover of an earlier process of this number is ours to remove.
        self.remove_beside(&temporary)?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.folder, temporary.as_str(), flags, OWN);
        let file = File::from(fd.map_err(|e| io_error(&path, e))?);
        let written = fill(&file, &path, bytes, like).and_then(|()| {
            renameat(&self.folder, temporary.as_str(), &self.folder, name)
                .map_err(|e| io_error(&self.path.join(name), e))
        });
        if written.is_err() {
            self.remove_beside(&temporary)?;
        }
        written
    }

    fn own_only(&self, path: &Path, meta: &std::fs::Metadata) -> Result<(), BundleError> {
        let own = nix::unistd::geteuid().as_raw();
        let mode = meta.mode() & 0o7777;
        if mode & 0o022 == 0 && (meta.uid() == own || meta.uid() == 0) {
            return Ok(());
        }
        Err(BundleError::Shared {
            path: path.to_owned(),
            owner: meta.uid(),
            mode,
        })
    }
}

/// The mode of what is ours alone.
const OWN: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// Writes the bytes, with the owner and mode of the file they will replace.
fn fill(
    file: &File,
    path: &Path,
    bytes: &[u8],
    like: Option<&std::fs::Metadata>,
) -> Result<(), BundleError> {
    let failed = |source| BundleError::Io {
        path: path.to_owned(),
        source,
    };
    let mut out = file;
    out.write_all(bytes).map_err(failed)?;
    let Some(like) = like else { return Ok(()) };
    let own = file.metadata().map_err(failed)?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(file, Some(like.uid()), Some(like.gid())).map_err(failed)?;
    }
    let mode = Mode::from_bits_truncate(like.mode() & 0o7777);
    fchmod(file.as_fd(), mode).map_err(|e| io_error(path, e))
}

fn io_error(path: &Path, errno: Errno) -> BundleError {
    BundleError::Io {
        path: path.to_owned(),
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn bundle(text: &str) -> (tempfile::TempDir, Bundle) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), text).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let bundle = Bundle::open(folder.path(), None).unwrap();
        (folder, bundle)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replacing_keeps_the_mode_and_leaves_nothing_else() {
        let (folder, bundle) = bundle("{}");
        let config = folder.path().join("config.json");
        fs::set_permissions(&config, Permissions::from_mode(0o640)).unwrap();
        let before = bundle.read().unwrap();
        bundle.replace(&before, b"{\"a\":1}").unwrap();
        assert_eq!(fs::read(&config).unwrap(), b"{\"a\":1}");
        assert_eq!(fs::metadata(&config).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["config.json"]);
    }

    #[test]
    fn what_a_stopped_run_left_is_replaced() {
        let (folder, bundle) = bundle("{}");
        let left = folder.path().join(".config.json.packrank");
        fs::write(left, "of a run that was stopped").unwrap();
        bundle.replace(b"{}", b"{1}").unwrap();
        assert_eq!(names(folder.path()), ["config.json"]);
        bundle.write_named("config.json", b"{2}", None).unwrap();
        assert_eq!(bundle.read().unwrap(), b"{2}");
        assert_eq!(names(folder.path()), ["config.json"]);
    }

    #[test]
    fn the_same_bytes_are_not_written_again() {
        let (folder, bundle) = bundle("{}");
        let inode = || {
            fs::metadata(folder.path().join("config.json"))
                .unwrap()
                .ino()
        };
        let before = inode();
        bundle.replace(b"{}", b"{}").unwrap();
        assert_eq!(inode(), before);
    }

    #[test]
    fn links_and_shared_bundles_are_refused_and_stay_as_they_are() {
        let (folder, b) = bundle("{}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = b.replace(b"{}", b"{1}").unwrap_err();
        assert!(matches!(error, BundleError::Shared { .. }), "{error}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("config.json");
        fs::set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(
            b.replace(b"{}", b"{1}"),
            Err(BundleError::Shared { .. })
        ));
        fs::rename(&config, folder.path().join("real.json")).unwrap();
        symlink("real.json", &config).unwrap();
        assert_eq!(b.read().unwrap(), b"{}");
        assert!(matches!(
            b.replace(b"{}", b"{1}"),
            Err(BundleError::Symlink { .. })
        ));
        assert_eq!(fs::read(&config).unwrap(), b"{}");
    }

    #[test]
    fn missing_large_or_strange_documents_are_named() {
        let (folder, bundle) = bundle("{}");
        let config = folder.path().join("config.json");
        fs::File::create(&config)
            .unwrap()
            .set_len(100_000_000)
            .unwrap();
        let error = bundle.read().unwrap_err().to_string();
        assert!(error.contains("100000000 bytes; at most 16 MiB"), "{error}");
        fs::remove_file(&config).unwrap();
        let error = bundle.read().unwrap_err().to_string();
        assert!(
            error.ends_with("config.json: No such file or directory (os error 2)"),
            "{error}"
        );
        nix::unistd::mkfifo(&config, Mode::S_IRUSR).unwrap();
        assert!(matches!(bundle.read(), Err(BundleError::NotAFile { .. })));
        assert!(Bundle::open(Path::new("/nonexistent"), None).is_err());
    }
}
