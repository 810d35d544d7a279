//! What wakes the loop.
//!
//! In: pressure triggers, the record folder, packs' ends, signals, the
//! socket. Out: [`Wake`]s, in one epoll.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use packrank_kernel::cgroup::Cgroup;
use packrank_kernel::pressure::{Kind, Trigger};

use crate::{Config, Roots};

/// Why the loop woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A pressure trigger fired.
    Pressure,
    /// A record came, changed or went.
    Records,
    /// A pack ended, or was frozen or thawed.
    Pack,
    /// SIGTERM or SIGINT.
    Stop,
    /// Somebody wants in.
    Listener,
    /// Somebody wants metrics.
    Scrape,
    /// Interfaces came or changed.
    Links,
    /// A client is ready.
    Client(i32),
}

/// Wakes at once.
pub const MOST: usize = 32;

/// Tokens; those of clients are their descriptors.
const RECORDS: u64 = 1 << 32;
const PACKS: u64 = 2 << 32;
const STOP: u64 = 3 << 32;
const LISTENER: u64 = 4 << 32;
const SCRAPE: u64 = 5 << 32;
const LINKS: u64 = 6 << 32;
const TRIGGERS: u64 = 7 << 32;

/// Everything that is polled.
pub struct Poll {
    epoll: Epoll,
    triggers: Vec<Trigger>,
    records: Inotify,
    packs: Inotify,
    signals: SignalFd,
    notes: Vec<String>,
}

impl Poll {
    pub fn new(roots: &Roots, config: &Config, records: &Path) -> io::Result<Poll> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTERM);
        stop.add(Signal::SIGINT);
        stop.thread_block()?;
        let mut poll = Poll {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            triggers: Vec::new(),
            records: Inotify::init(flags)?,
            packs: Inotify::init(flags)?,
            signals: SignalFd::with_flags(&stop, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            notes: Vec::new(),
        };
        let changes = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM;
        poll.records.add_watch(records, changes)?;
        let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        poll.epoll.add(&poll.records, readable(RECORDS))?;
        poll.epoll.add(&poll.packs, readable(PACKS))?;
        poll.epoll.add(&poll.signals, readable(STOP))?;
        let file = roots.proc.join("pressure/memory");
        let levels = [
            (Kind::Some, config.memory.some_low),
            (Kind::Full, config.memory.full_high),
        ];
        for (kind, percent) in levels {
            match Trigger::arm(&file, kind, percent) {
                Ok(trigger) => {
                    let token = TRIGGERS + poll.triggers.len() as u64;
                    let event = EpollEvent::new(EpollFlags::EPOLLPRI, token);
                    match poll.epoll.add(&trigger, event) {
                        Ok(()) => poll.triggers.push(trigger),
                        Err(error) => poll.notes.push(format!("no pressure trigger: {error}")),
                    }
                }
                Err(error) => poll.notes.push(format!("no pressure trigger: {error}")),
            }
        }
        if let Some(trigger) = poll.triggers.first() {
            let window = trigger.window().as_millis();
            poll.notes
                .push(format!("pressure triggers have windows of {window} ms"));
        }
        Ok(poll)
    }

    /// Whether pressure wakes the loop by itself.
    pub fn has_triggers(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// What the kernel did not allow.
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    pub fn add_listener(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?)
    }

    pub fn add_links(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, LINKS))?)
    }

    /// Wakes once: from then on it is somebody else's, until it is added again.
    pub fn add_scrape(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        Ok(self.epoll.add(fd, EpollEvent::new(once, SCRAPE))?)
    }

    /// Is looked at no more. Best effort: one that is not there is gone already.
    pub fn drop_scrape(&self, fd: BorrowedFd<'_>) {
        let _ = self.epoll.delete(fd);
    }

    /// Edge-triggered for writing: a client that takes nothing wakes nobody.
    pub fn add_client(&self, fd: BorrowedFd<'_>, token: i32) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        let token = u64::try_from(token).map_err(io::Error::other)?;
        Ok(self.epoll.add(fd, EpollEvent::new(flags, token))?)
    }

    /// Watches for the packs' ends, where version 2 tells them; whether all
    /// will be told. A pack that goes takes its watch with it. Not
    /// memory.events: who runs into its limit all the time would wake us a
    /// hundred times a second, and the next look finds the same.
    pub fn watch_packs<'c>(&self, packs: impl Iterator<Item = &'c Cgroup>) -> bool {
        let watch = |cgroup: &Cgroup| {
            let file = cgroup.unified()?.path().join("cgroup.events");
            self.packs.add_watch(&file, AddWatchFlags::IN_MODIFY).ok()
        };
        let mut all = true;
        for cgroup in packs {
            all &= watch(cgroup).is_some();
        }
        all
    }

    pub fn wait(&self, pause: Duration, wakes: &mut Vec<Wake>) -> io::Result<()> {
        // Rounded up: a wait of 0.4 ms would be a loop without rest.
        let pause = match pause.is_zero() {
            true => pause,
            false => pause + Duration::from_micros(999),
        };
        let timeout = EpollTimeout::try_from(pause).unwrap_or(EpollTimeout::from(1_000u16));
        let mut events = [EpollEvent::empty(); MOST];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        wakes.extend(events[..count].iter().map(|event| self.wake(event.data())));
        Ok(())
    }

    fn wake(&self, token: u64) -> Wake {
        match token {
            RECORDS => {
                let _ = self.records.read_events();
                Wake::Records
            }
            PACKS => {
                let _ = self.packs.read_events();
                Wake::Pack
            }
            STOP => {
                let _ = self.signals.read_signal();
                Wake::Stop
            }
            LISTENER => Wake::Listener,
            SCRAPE => Wake::Scrape,
            LINKS => Wake::Links,
            client if client < RECORDS => Wake::Client(i32::try_from(client).unwrap_or(-1)),
            _ => Wake::Pressure,
        }
    }
}

impl std::fmt::Debug for Poll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fd = self.records.as_fd().as_raw_fd();
        f.debug_struct("Poll")
            .field("records", &fd)
            .finish_non_exhaustive()
    }
}
