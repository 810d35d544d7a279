//! The loop.
//!
//! In: the roots, a configuration. Out: a node that is watched until a while
//! after its last pack. It sleeps until a pressure trigger, a change of a
//! record, the end of a pack, a client or the next look is due; while memory
//! presses it looks every few milliseconds.

mod look;
mod obey;
mod poll;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use packrank_core::record::{Packs, RecordError};
use packrank_kernel::cgroup::CgroupError;

use crate::exporter::{Apart, Exporter};
use crate::links::Links;
use crate::server::Server;
use crate::{Config, Roots, protocol, stand};
pub use look::Watcher;
use poll::{Poll, Wake};

/// Why it cannot watch, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is another.
    #[error(transparent)]
    Lock(#[from] stand::LockError),
    /// There are no cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// There is no place for records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// Between two looks where no trigger wakes: reading two files of /proc twice
/// a second is 0.005 % of a core.
const UNWOKEN: Duration = Duration::from_millis(500);

/// How it is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Print decisions.
    pub print: bool,
    /// Take no cgroup, memory lock or score for itself: for tests.
    pub guest: bool,
}

/// Watches until a while after the last pack.
///
/// # Errors
/// When there is another watcher, or the node has not what it takes.
pub fn run(roots: Roots, config: Config, manner: Manner) -> Result<(), WatchError> {
    let io = |what| move |source| WatchError::Io { what, source };
    let packs = Packs::under(&roots.run);
    packs.make()?;
    let _lock = stand::lock(&roots)?;
    packs.sweep();
    let mut watcher = Watcher::new(roots, config, manner.print)?;
    if !manner.guest {
        let notes = stand::settle(&watcher.roots, &watcher.mounts);
        watcher.notes.extend(notes);
    }
    let (roots, config) = (watcher.roots.clone(), watcher.config.clone());
    let poll = Poll::new(&roots, &config, packs.folder()).map_err(io("poll"))?;
    watcher.notes.extend(poll.notes());
    let mut server = Server::listen(&roots.socket()).map_err(io("socket"))?;
    poll.add_listener(server.listener()).map_err(io("socket"))?;
    let apart = match manner.guest {
        true => Apart::Beside,
        false => stand::apart(&roots, &watcher.mounts),
    };
    let (mut exporter, problems) = Exporter::listen(&roots, config.metrics, apart);
    watcher.notes.extend(problems);
    watch_exporter(&exporter, &poll);
    let mut links = match Links::listen() {
        Ok(links) => Some(links),
        Err(error) => {
            let note = format!("networks that come later are not shaped: {error}");
            watcher.notes.push(note);
            None
        }
    };
    if let Some(links) = &links {
        poll.add_links(links.as_fd()).map_err(io("interfaces"))?;
    }
    for note in watcher.notes.clone() {
        watcher.journal.say(note, None, wall_clock());
    }
    let mut trigger = false;
    let mut again: Vec<i32> = Vec::new();
    let mut wakes: Vec<Wake> = Vec::with_capacity(poll::MOST);
    loop {
        watcher.ends_told &= poll.watch_packs(watcher.records());
        watcher.look(trigger);
        watcher.tend();
        watcher.tell();
        trigger = false;
        if watcher.ended() {
            // Whoever registered before this and found us listening is seen by
            // a last look; whoever registers after it finds nobody.
            drop(server);
            watcher.rescan = true;
            watcher.ends_told &= poll.watch_packs(watcher.records());
            if watcher.registry.count() == 0 {
                watcher.leave(manner);
                return Ok(());
            }
            server = Server::listen(&roots.socket()).map_err(io("socket"))?;
            poll.add_listener(server.listener()).map_err(io("socket"))?;
        }
        let pause = match again.is_empty() {
            true if poll.has_triggers() => watcher.pause(),
            true => watcher.pause().min(UNWOKEN),
            false => Duration::ZERO,
        };
        if exporter.ended() {
            watch_exporter(&exporter, &poll);
        }
        let links_due = links.as_ref().and_then(Links::pause);
        let pause = pause.min(links_due.unwrap_or(pause));
        wakes.clear();
        poll.wait(pause, &mut wakes).map_err(io("wait"))?;
        wakes.extend(again.drain(..).map(Wake::Client));
        if let Some(links) = &mut links {
            for (id, what) in links.shape(&watcher.registry.packs) {
                watcher.journal.say(what, Some(&id), wall_clock());
            }
        }
        for wake in wakes.drain(..) {
            match wake {
                Wake::Pressure => trigger = true,
                Wake::Records => watcher.rescan = true,
                Wake::Pack => watcher.ask_who_lives(),
                Wake::Links => links.iter_mut().for_each(Links::hear),
                Wake::Stop => {
                    watcher
                        .journal
                        .say("asked to stop".to_owned(), None, wall_clock());
                    watcher.leave(manner);
                    return Ok(());
                }
                Wake::Scrape => {
                    if let Err(error) = exporter.start(&roots) {
                        let what = format!("metrics: {error}");
                        watcher.journal.say(what, None, wall_clock());
                    }
                }
                Wake::Listener => server.accept(|fd, token| {
                    // A client that cannot be polled is dropped with its stream.
                    let _ = poll.add_client(fd, token);
                }),
                Wake::Client(fd) => {
                    if server.serve(fd, |line| watcher.answer(line)) {
                        again.push(fd);
                    }
                }
            }
        }
    }
}

impl Watcher {
    fn leave(&mut self, manner: Manner) {
        self.tell();
        self.ancestors.give_back(&self.mounts, &self.registry.packs);
        if !manner.guest && !stand::has_unit(&self.roots.proc) {
            stand::leave(&self.mounts);
        }
    }

    fn answer(&mut self, line: &[u8]) -> Vec<u8> {
        let answer = match protocol::parse(line) {
            Ok(request) => self
                .obey(request)
                .unwrap_or_else(|why| protocol::refusal(&why)),
            Err(why) => protocol::refusal(&why),
        };
        answer.to_string().into_bytes()
    }
}

/// Wakes when somebody wants metrics and nobody serves them.
fn watch_exporter(exporter: &Exporter, poll: &Poll) {
    for fd in exporter.listeners() {
        poll.drop_scrape(fd);
        // Best effort: metrics are not what it is for.
        let _ = poll.add_scrape(fd);
    }
}

/// For people; decisions go by a clock that never steps.
fn wall_clock() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
