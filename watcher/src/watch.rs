//! The loop.
//!
//! In: the roots, a configuration. Out: a node that is watched until a while
//! after its last pack. It sleeps until a pressure trigger, a change of a
//! record, the end of a pack, a client or the next look is due; while memory
//! presses it looks every few milliseconds.

mod obey;
mod poll;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use packrank_core::Priority;
use packrank_core::record::{Packs, RecordError};
use packrank_kernel::cgroup::{CgroupError, Mounts};

use crate::above::Ancestors;
use crate::decide::{Actions, Knob, Level, Millis, Node, Observation, Resource, State, decide};
use crate::exporter::Exporter;
use crate::history::History;
use crate::journal::Journal;
use crate::links::Links;
use crate::observe::NodeReader;
use crate::registry::Registry;
use crate::scarce::Turn;
use crate::server::Server;
use crate::{Config, Roots, act, protocol, stand};
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

/// Between two looks while memory presses: below the trigger's shortest window,
/// above the jiffy under which stalls are not accounted.
const ALERT: Duration = Duration::from_millis(20);

/// Between two looks after it has pressed.
const WARY: Duration = Duration::from_millis(200);

/// Between two looks where no trigger wakes: reading two files of /proc twice
/// a second is 0.005 % of a core.
const UNWOKEN: Duration = Duration::from_millis(500);

/// Full looks after which every pack's values were compared with the kernel's.
const DRIFT: usize = 12;

/// Actions in one look.
const ROOM: usize = 1024;

/// How it is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Print decisions.
    pub print: bool,
    /// Take no cgroup, memory lock or score for itself: for tests.
    pub guest: bool,
}

struct Watcher {
    roots: Roots,
    config: Config,
    state: State,
    registry: Registry,
    ancestors: Ancestors,
    mounts: Mounts,
    node: NodeReader,
    last: Node,
    actions: Actions,
    journal: Journal,
    history: History,
    notes: Vec<String>,
    begin: Instant,
    rescan: bool,
    empty_since: Option<Millis>,
    full_at: Option<Millis>,
    quick_at: Option<Millis>,
    looks: usize,
    turn: Turn,
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
    let mounts = Mounts::find(&roots.cgroup)?;
    let mut notes = match manner.guest {
        true => Vec::new(),
        false => stand::settle(&roots, &mounts),
    };
    packs.sweep();
    let mut poll = Poll::new(&roots, &config, packs.folder()).map_err(io("poll"))?;
    notes.extend(poll.notes());
    let mut server = Server::listen(&roots.socket()).map_err(io("socket"))?;
    poll.add_listener(server.listener()).map_err(io("socket"))?;
    let (mut exporter, problems) = Exporter::listen(&roots, config.metrics);
    notes.extend(problems);
    watch_exporter(&exporter, &poll);
    let (history, opened) = History::open(&roots.history(), config.history);
    if let Err(error) = opened {
        notes.push(format!("no history is kept: {error}"));
    }
    let mut links = match Links::listen() {
        Ok(links) => Some(links),
        Err(error) => {
            notes.push(format!("networks that come later are not shaped: {error}"));
            None
        }
    };
    if let Some(links) = &links {
        poll.add_links(links.as_fd()).map_err(io("interfaces"))?;
    }
    let mut watcher = Watcher {
        ancestors: Ancestors::load(&packs),
        registry: Registry::new(packs),
        state: State::new(config.clone()),
        node: NodeReader::open(&roots.proc),
        last: Node::default(),
        actions: Actions::with_room(ROOM),
        journal: Journal::new(manner.print),
        history,
        begin: Instant::now(),
        rescan: true,
        empty_since: None,
        full_at: None,
        quick_at: None,
        looks: 0,
        turn: Turn::default(),
        roots,
        config,
        mounts,
        notes,
    };
    if !watcher.node.has_pressure() {
        watcher
            .notes
            .push("no pressure information: memory in use decides alone".to_owned());
    }
    for note in watcher.notes.clone() {
        watcher.journal.say(note, None, wall_clock());
    }
    let mut trigger = Level::None;
    let mut again: Vec<i32> = Vec::new();
    loop {
        watcher.look(trigger, &mut poll);
        trigger = Level::None;
        if watcher.ended() {
            // Whoever registered before this and found us listening is seen by
            // a last look; whoever registers after it finds nobody.
            drop(server);
            watcher.scan(watcher.now(), &mut poll);
            if watcher.registry.count() == 0 {
                watcher.leave(manner);
                return Ok(());
            }
            server = Server::listen(&watcher.roots.socket()).map_err(io("socket"))?;
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
        let mut wakes = poll.wait(pause).map_err(io("wait"))?;
        wakes.extend(again.drain(..).map(Wake::Client));
        if let Some(links) = &mut links {
            for (id, what) in links.shape(&watcher.registry.packs) {
                watcher.journal.say(what, Some(&id), wall_clock());
            }
        }
        for wake in wakes {
            match wake {
                Wake::Pressure(level) => trigger = trigger.max(level),
                Wake::Records => watcher.rescan = true,
                Wake::Pack => watcher.full_at = None,
                Wake::Links => links.iter_mut().for_each(Links::hear),
                Wake::Stop => {
                    watcher
                        .journal
                        .say("asked to stop".to_owned(), None, wall_clock());
                    watcher.leave(manner);
                    return Ok(());
                }
                Wake::Scrape => {
                    if let Err(error) = exporter.start(&watcher.roots) {
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

impl Watcher {
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn leave(&self, manner: Manner) {
        if !manner.guest && !stand::has_unit(&self.roots.proc) {
            stand::leave(&self.mounts);
        }
    }

    /// One look: records, figures, decision, deeds.
    fn look(&mut self, trigger: Level, poll: &mut Poll) {
        let now = self.now();
        if self.rescan {
            self.rescan = false;
            self.scan(now, poll);
        }
        let every = self.config.adaptive.every;
        let full = self.full_at.is_none_or(|at| now.passed(at, every));
        self.last = match full {
            true => self.node.all(now),
            false => self.node.memory(),
        };
        self.last.memory_trigger = trigger;
        if full {
            self.full_at = Some(now);
            self.read_all(now);
        } else if self.state.alert() || trigger > Level::None {
            self.read_givers(now);
        }
        let seen = Observation {
            node: self.last,
            packs: &self.registry.samples,
        };
        decide(&mut self.state, &seen, now, &mut self.actions);
        self.carry_out(now);
        if full {
            for id in self.registry.bury(&mut self.state) {
                self.journal
                    .say("ended".to_owned(), Some(&id), wall_clock());
            }
            self.ancestors.forget(&mut self.state);
            let (state, registry) = (&self.state, &self.registry);
            self.history
                .note(state, registry, &self.last, now, wall_clock());
        }
    }

    fn scan(&mut self, now: Millis, poll: &mut Poll) {
        let scanned = self
            .registry
            .scan(&mut self.state, &self.mounts, &mut self.ancestors, now);
        match scanned {
            Ok(warnings) => {
                for warning in warnings {
                    self.journal.say(warning, None, wall_clock());
                }
            }
            Err(error) => self.journal.say(error.to_string(), None, wall_clock()),
        }
        poll.watch_packs(self.registry.kept.iter().flatten().map(|kept| &kept.cgroup));
        self.full_at = None;
    }

    /// Every pack's figures.
    fn read_all(&mut self, now: Millis) {
        let waits = [self.last.cpu_some, self.last.io_some]
            .into_iter()
            .flatten()
            .any(|stall| stall.avg10 >= 1_000);
        let pressed = self.state.alert() || self.state.busy();
        self.looks = self.looks.wrapping_add(1);
        let packs = self.registry.kept.iter().zip(&mut self.registry.samples);
        for (at, (kept, sample)) in (0u32..).zip(packs) {
            let Some(kept) = kept else { continue };
            let asleep = kept.reader.asleep(&kept.cgroup, *sample, waits, now);
            let full = || kept.reader.full(&kept.cgroup, *sample, waits, now);
            *sample = Some(asleep.unwrap_or_else(full));
            // What others wrote over ours (a daemon-reload) is written again: at
            // once while something presses, else within a minute, since
            // limits that follow use differ from the plan on most packs.
            if !pressed && !(self.looks + at as usize).is_multiple_of(DRIFT) {
                continue;
            }
            for name in kept.deeds.taken.keys() {
                let knob = packrank_core::key::Key::named(name).and_then(Knob::of);
                let Some(knob) = knob else { continue };
                let slot = crate::decide::Slot(at);
                let wrote = self.state.pack(slot).and_then(|pack| pack.dial(knob).wrote);
                let has = kept.cgroup.value(knob.key()).ok().flatten();
                if let (Some(wrote), Some(has)) = (wrote, has)
                    && differs(wrote.number(), has.number())
                {
                    self.state.drifted(slot, knob);
                }
            }
        }
        self.turn.take(&mut self.registry, &self.roots.run);
    }

    /// The figures of those who may have to give now.
    fn read_givers(&mut self, now: Millis) {
        // A tenth of a millisecond for each pack: reading takes a tenth of that.
        let apart = (self.registry.count() as u64 / 10).max(200);
        let due = self.quick_at.is_none_or(|at| now.since(at) >= apart);
        if !due {
            return;
        }
        self.quick_at = Some(now);
        let critical = self.state.level(Resource::Memory) == Level::Critical;
        let packs = self.registry.kept.iter().zip(&mut self.registry.samples);
        for (kept, sample) in packs {
            let Some(kept) = kept else { continue };
            if critical || kept.class <= Priority::Low {
                *sample = Some(kept.reader.quick(&kept.cgroup, *sample, now));
            }
        }
    }

    fn carry_out(&mut self, now: Millis) {
        let save = |watcher: &mut Watcher| {
            for failure in act::save(&mut watcher.state, &mut watcher.registry) {
                watcher.journal.say(failure, None, wall_clock());
            }
        };
        save(self);
        for at in 0..self.actions.list().len() {
            let action = self.actions.list()[at];
            let outcome = act::carry_out(
                &action,
                &mut self.registry,
                &self.mounts,
                &self.ancestors,
                &self.roots.proc,
            );
            self.state.answer(&action, outcome, now);
            let pack = action.slot.and_then(|slot| self.registry.pack(slot));
            let of = pack.map(|kept| (kept.id.clone(), kept.class));
            self.journal.add(&action, outcome, of, wall_clock());
        }
        save(self);
    }

    /// How long it may sleep.
    fn pause(&self) -> Duration {
        let now = self.now();
        let every = self.config.adaptive.every.saturating_mul(1_000);
        let rest = self
            .full_at
            .map_or(0, |at| every.saturating_sub(now.since(at)));
        let rest = Duration::from_millis(rest);
        let quiet = self.last.memory_some.is_none_or(|stall| stall.avg10 < 100);
        match self.state.alert() {
            true if quiet => rest.min(WARY),
            true => rest.min(ALERT),
            false if self.state.busy() => rest.min(Duration::from_secs(1)),
            false => rest,
        }
    }

    /// Whether the last pack is long gone.
    fn ended(&mut self) -> bool {
        let now = self.now();
        if self.registry.count() > 0 {
            self.empty_since = None;
            return false;
        }
        let since = *self.empty_since.get_or_insert(now);
        now.passed(since, self.config.linger)
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

/// Kernels round: memory to pages, quotas to microseconds.
fn differs(a: Option<u64>, b: Option<u64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) > (a / 50).max(1),
        (a, b) => a != b,
    }
}
