//! Where the world is, so that a test can hand in another.

use std::path::PathBuf;

/// What the watcher reads and writes.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/run/packrank`: records, deeds, lock and socket.
    pub run: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// `/etc/packrank`.
    pub policy: PathBuf,
    /// Where systemd-journald listens; `None`: it is not told.
    pub journald: Option<PathBuf>,
}

impl Default for Roots {
    fn default() -> Self {
        Roots {
            run: "/run/packrank".into(),
            proc: "/proc".into(),
            cgroup: "/sys/fs/cgroup".into(),
            policy: "/etc/packrank".into(),
            journald: Some("/run/systemd/journal/socket".into()),
        }
    }
}

impl Roots {
    /// The socket of the watcher that runs here.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run.join("watcher.sock")
    }

    /// The file of the node's last hours.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.run.join("history")
    }

    /// The socket on which metrics are served.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.run.join("metrics.sock")
    }

    /// The file whose lock makes it the only one.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.run.join("watcher.lock")
    }
}
