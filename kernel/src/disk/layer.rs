//! In: the path of a container's root file system. Out: the directory that
//! what it writes ends in.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::error::{Error, Unsupported};
use super::mount::{self, Mount};

/// A container's writable layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) upper: PathBuf,
    /// Where an overlay prepares what it then moves into `upper`. It must be
    /// of the same project, or the kernel refuses to move (EXDEV).
    pub(super) work: Option<PathBuf>,
    /// The whole root file system, what the image brought included.
    pub(super) plain: bool,
}

impl Layer {
    pub(super) fn find(root: &Path, table: &[Mount]) -> Result<Layer, Error> {
        let failed = |source| Error::Io {
            action: "look at",
            path: root.to_owned(),
            source,
        };
        let unsupported = |why| Error::Unsupported {
            path: root.to_owned(),
            why,
        };
        let path = fs::canonicalize(root).map_err(failed)?;
        let mount = mount::of(directory(&path)?.as_fd(), table)?;
        if mount.kind != "overlay" || !mount.is_top(&path) {
            let here = fs::metadata(&path).map_err(failed)?;
            let host = fs::metadata("/").map_err(failed)?;
            if (here.dev(), here.ino()) == (host.dev(), host.ino()) {
                return Err(unsupported(Unsupported::HostRoot));
            }
            return Ok(Layer {
                upper: path,
                work: None,
                plain: true,
            });
        }
        let Some(upper) = mount.option("upperdir") else {
            return Err(unsupported(Unsupported::ReadOnly));
        };
        let work = mount.option("workdir").unwrap_or_default();
        let (upper, work) = resolve(&mount.point, &upper, &work)
            .ok_or_else(|| unsupported(Unsupported::UpperUnknown(upper)))?;
        Ok(Layer {
            upper,
            work: Some(work),
            plain: false,
        })
    }
}

/// Engines mount with paths relative to their storage folder when absolute
/// ones would not fit into a page. The mount point lies in that folder.
fn resolve(point: &Path, upper: &str, work: &str) -> Option<(PathBuf, PathBuf)> {
    let bases = point.ancestors().skip(1);
    // Joining an absolute path gives that path.
    let pairs = bases.map(|base| (base.join(upper), base.join(work)));
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    pairs
        .into_iter()
        .find(|(upper, work)| is_directory(upper) && is_directory(work))
}

/// Opens a directory that is no symbolic link.
pub(super) fn directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|errno| Error::Io {
        action: "open",
        path: path.to_owned(),
        source: io::Error::from(errno),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_directories_absolute_and_relative() {
        let storage = tempfile::tempdir().unwrap();
        let at = |name: &str| storage.path().join(name);
        for name in ["ab/diff", "ab/work", "ab/merged"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let expected = Some((at("ab/diff"), at("ab/work")));
        assert_eq!(resolve(&at("ab/merged"), "ab/diff", "ab/work"), expected);
        let (upper, work) = (at("ab/diff"), at("ab/work"));
        let absolute = resolve(
            Path::new("/x"),
            upper.to_str().unwrap(),
            work.to_str().unwrap(),
        );
        assert_eq!(absolute, expected);
        assert_eq!(resolve(&at("ab/merged"), "cd/diff", "ab/work"), None);
        std::os::unix::fs::symlink("/", at("ab/link")).unwrap();
        assert_eq!(resolve(&at("ab/merged"), "ab/link", "ab/work"), None);
    }

    #[test]
    fn the_hosts_root_is_refused() {
        let error = Layer::find(Path::new("/"), &mount::table().unwrap()).unwrap_err();
        assert!(
            error.to_string().ends_with("it is the host's own root") || error.is_unsupported(),
            "{error}"
        );
    }
}
