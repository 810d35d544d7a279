//! A shim's socket, by its path.
//!
//! In: the path that containerd and every `start` of a group come to. Out: a
//! listener there, or word that somebody listens already; and no socket left of
//! a shim that was killed.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::Error;

/// The path in an address.
#[must_use]
pub fn path(address: &str) -> &Path {
    Path::new(address.trim_start_matches("unix://"))
}

/// A socket at the path; `None` when somebody answers there.
///
/// # Errors
/// When there can be none.
pub fn listen(path: &Path) -> Result<Option<UnixListener>, Error> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut made = std::fs::DirBuilder::new();
    let made = made.recursive(true).mode(0o711).create(folder);
    made.map_err(Error::path("make", folder))?;
    let _alone = alone(folder)?;
    if answers(path) {
        return Ok(None);
    }
    remove(path)?;
    let listener = UnixListener::bind(path).map_err(Error::path("listen on", path))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(Error::path("protect", path))?;
    Ok(Some(listener))
}

/// Removes a killed shim's socket; one that answers stays.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_dead(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent().filter(|folder| folder.is_dir()) else {
        return Ok(());
    };
    let _alone = alone(folder)?;
    match answers(path) {
        true => Ok(()),
        false => remove(path),
    }
}

/// One process at a time: of two that find a dead socket, the second would
/// remove what the first has just made.
fn alone(folder: &Path) -> Result<File, Error> {
    let file = File::open(folder).map_err(Error::path("open", folder))?;
    flock(&file, FlockOperation::LockExclusive).map_err(Error::path("lock", folder))?;
    Ok(file)
}

/// Whether somebody listens there, busy or not. It never waits for them.
fn answers(path: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connected = SocketAddrUnix::new(path).and_then(|address| {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)
    });
    matches!(connected, Ok(()) | Err(Errno::AGAIN))
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::path("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_taken_over_and_a_living_one_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/socket");
        let first = listen(&path).unwrap().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(listen(&path).unwrap().is_none());
        remove_dead(&path).unwrap();
        assert!(path.exists(), "somebody listens");
        drop(first);
        let second = listen(&path).unwrap().unwrap();
        drop(second);
        remove_dead(&path).unwrap();
        assert!(!path.exists());
        remove_dead(&path).unwrap();
    }

    #[test]
    fn of_many_at_once_one_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(listen(&path).unwrap());
        let listening = std::thread::scope(|scope| {
            let start = || listen(&path).unwrap();
            let all: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            let all = all.into_iter().map(|thread| thread.join().unwrap());
            all.flatten().collect::<Vec<_>>()
        });
        assert_eq!(listening.len(), 1);
        assert!(path.exists());
    }
}
