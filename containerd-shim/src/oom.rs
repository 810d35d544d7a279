//! Processes that the kernel killed for want of memory.
//!
//! In: a container's memory cgroup. Out: word of every such kill, as it
//! happens, by inotify on `memory.events` or version 1's event counter; and
//! once more on demand, so that a container's end never comes before the news
//! of what ended it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use packrank_kernel::cgroup::{Folder, flat};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;
use tokio::task::AbortHandle;

use crate::polled::polled;
use crate::stats::Cgroup;

/// A container's count of such kills.
#[derive(Debug)]
pub struct Oom {
    cgroup: Arc<Cgroup>,
    told: AtomicU64,
}

impl Oom {
    /// Begins to count.
    #[must_use]
    pub fn new(cgroup: Arc<Cgroup>) -> Oom {
        Oom {
            cgroup,
            told: AtomicU64::new(0),
        }
    }

    fn folder(&self) -> Option<&Folder> {
        self.cgroup.folder("memory")
    }

    fn file(&self) -> &'static str {
        match self.cgroup.unified() {
            true => "memory.events",
            false => "memory.oom_control",
        }
    }

    /// Whether there were kills that this has not told of.
    pub fn news(&self) -> bool {
        let text = self
            .folder()
            .and_then(|folder| folder.read(self.file()).ok());
        let count = text.and_then(|text| flat(&text, b"oom_kill"));
        count.is_some_and(|count| self.told.fetch_max(count, Ordering::Relaxed) < count)
    }

    /// Calls `tell` for news as they come, until it is aborted or the cgroup
    /// goes.
    ///
    /// # Errors
    /// When the kernel offers no such events.
    pub fn watch(self: &Arc<Self>, tell: impl Fn() + Send + 'static) -> io::Result<AbortHandle> {
        let Some(folder) = self.folder() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let events = match self.cgroup.unified() {
            true => changes(folder)?,
            false => counter(folder)?,
        };
        let events = polled(events)?;
        let oom = self.clone();
        let task = tokio::spawn(async move {
            // One event or many: what counts is the count.
            let mut drained = [0; 4096];
            while let Ok(mut ready) = events.readable().await {
                match rustix::io::read(events.get_ref(), &mut drained) {
                    Ok(_) => {}
                    Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                    Err(_) => return,
                }
                if oom.news() {
                    tell();
                }
                if !oom.folder().is_some_and(Folder::is_there) {
                    return;
                }
            }
        });
        Ok(task.abort_handle())
    }
}

/// Says when `memory.events` changes.
fn changes(folder: &Folder) -> io::Result<OwnedFd> {
    let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let file = folder.path().join("memory.events");
    inotify::add_watch(&events, file, inotify::WatchFlags::MODIFY)?;
    Ok(events)
}

/// Says when version 1's memory controller is out of memory.
fn counter(folder: &Folder) -> io::Result<OwnedFd> {
    let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let control = folder.file("memory.oom_control", OFlag::O_RDONLY)?;
    let line = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
    let written = folder.write("cgroup.event_control", &line);
    written.map_err(io::Error::other)?;
    Ok(events)
}
