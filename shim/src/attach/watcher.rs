//! Whoever registers a container sees to it that somebody watches.
//!
//! In: the folder of records, and the watcher's program beside our own. Out:
//! one that runs: already, or started now, through systemd where it runs the
//! node, else detached. That two are started at once is the watcher's to
//! settle, by its lock. To have none under systemd, mask its unit.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use packrank_kernel::live::{self, Service, Systemd};
use packrank_kernel::process::{self, detach};

use super::RUN_FOLDER;

/// Its socket, under `/run/packrank`.
pub const SOCKET: &str = "watcher.sock";

/// Its unit.
pub const UNIT: &str = "packrank-watcher.service";

/// Bytes guaranteed to it: twice what it uses with a thousand packs.
const GUARANTEE: u64 = 16 << 20;

/// Open files: ten for each of ten thousand packs.
const FILES: u64 = 131_072;

/// Why nobody watches.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program.
    #[error("{} is not installed", program.display())]
    NotInstalled {
        /// Where it should be.
        program: PathBuf,
    },
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] process::Error),
    /// systemd does not start it.
    #[error(transparent)]
    Systemd(#[from] live::Error),
}

/// Whether one was there, or was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// It listens.
    Already,
    /// It was started and may still be getting ready; what was registered
    /// before is found.
    Started,
}

/// Sees to it that a watcher runs for the records under `run`.
///
/// # Errors
/// When none runs and none can be started.
pub fn ensure(run: &Path, policy: Option<&Path>) -> Result<Launched, LaunchError> {
    if listens(&run.join(SOCKET)) {
        return Ok(Launched::Already);
    }
    let own = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let program = own.with_file_name("packrank-watcher");
    if !runs(&program) {
        return Err(LaunchError::NotInstalled { program });
    }
    let mut args: Vec<OsString> = vec!["--run".into(), run.into()];
    if let Some(policy) = policy {
        let policy = std::path::absolute(policy).unwrap_or_else(|_| policy.to_owned());
        args.extend(["--policy".into(), policy.into()]);
    }
    // Other folders are for tests and for a second node on this machine.
    let node = run == Path::new(RUN_FOLDER) && Path::new("/run/systemd/system").is_dir();
    // A systemd without a bus is asked nothing.
    if node && let Ok(systemd) = Systemd::connect() {
        let command =
            std::iter::once(program.as_os_str()).chain(args.iter().map(|a| a.as_os_str()));
        systemd.start(&Service {
            unit: UNIT,
            description: "packrank: pressure comes, the lowest class gives",
            command: command
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            memory_min: GUARANTEE,
            oom_score: -999,
            files: FILES,
        })?;
    } else {
        detach(&program, &args)?;
    }
    Ok(Launched::Started)
}

/// Whether it is a program: to fail at starting one is more than a containerd
/// shim, whose children are reaped elsewhere, can bear.
fn runs(program: &Path) -> bool {
    let meta = std::fs::metadata(program);
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether somebody listens there. One that is stopped, or busy with others,
/// is there too, and is not waited for.
fn listens(path: &Path) -> bool {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let Ok(socket) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else {
        return false;
    };
    let Ok(address) = UnixAddr::new(path) else {
        return false;
    };
    use std::os::fd::AsRawFd;
    matches!(
        connect(socket.as_raw_fd(), &address),
        Ok(()) | Err(Errno::EAGAIN)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_counts_only_while_somebody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        assert!(!listens(&path), "there is none");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(listens(&path));
        // One that accepts nobody: its queue fills, and nobody waits for it.
        assert!((0..1_000).all(|_| listens(&path)));
        drop(listener);
        assert!(!listens(&path), "what it left behind");
    }

    #[test]
    fn without_the_program_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let error = ensure(folder.path(), None).unwrap_err();
        assert!(matches!(error, LaunchError::NotInstalled { .. }), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("packrank-watcher is not installed")
        );
    }
}
