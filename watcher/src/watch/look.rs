//! One look: figures, decision, deeds; then what may wait.
//!
//! In: what woke it. Out: the right pack gives. From a trigger to the last
//! deed of memory's ladder nothing is allocated, and nothing is read that the
//! decision does not need. What costs more comes after the deeds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use packrank_core::Priority;
use packrank_core::record::Packs;
use packrank_kernel::cgroup::{Cgroup, Mounts};

use super::{WatchError, wall_clock};
use crate::above::Ancestors;
use crate::decide::{Actions, Deed, Knob, Level, Millis, Node, Observation, Resource, Slot};
use crate::decide::{State, decide};
use crate::history::History;
use crate::journal::Journal;
use crate::journald::Journald;
use crate::observe::NodeReader;
use crate::registry::Registry;
use crate::scarce::Turn;
use crate::{Config, Roots, act};

/// Between two looks while memory presses: below the trigger's shortest window,
/// above the jiffy under which stalls are not accounted.
const ALERT: Duration = Duration::from_millis(20);

/// Between two looks after it has pressed.
const WARY: Duration = Duration::from_millis(200);

/// Between two looks while nothing stalls and only scavengers' cache is asked
/// for: a node whose memory is well used stays there for days.
const EASY: Duration = Duration::from_secs(1);

/// Full looks after which every pack's values were compared with the kernel's.
const DRIFT: usize = 12;

/// Actions in one look.
const ROOM: usize = 1024;

/// The node, its packs and what is done about them.
#[derive(Debug)]
pub struct Watcher {
    pub(super) roots: Roots,
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) registry: Registry,
    pub(super) mounts: Mounts,
    pub(super) journal: Journal,
    journald: Journald,
    pub(super) notes: Vec<String>,
    /// A record came, changed or went.
    pub(super) rescan: bool,
    /// Every pack that ends says so by itself.
    pub(super) ends_told: bool,
    pub(super) ancestors: Ancestors,
    node: NodeReader,
    last: Node,
    actions: Actions,
    history: History,
    begin: Instant,
    compact: PathBuf,
    /// A pack may have ended.
    ends: bool,
    empty_since: Option<Millis>,
    full_at: Option<Millis>,
    quick_at: Option<Millis>,
    /// The last look was at everything.
    whole: bool,
    looks: usize,
    turn: Turn,
    /// The node's stalls when every pack's were last read.
    stalled: Option<u64>,
}

impl Watcher {
    /// Opens what the node offers; no record is read yet.
    ///
    /// # Errors
    /// When there are no cgroups, or no place for records.
    pub fn new(roots: Roots, config: Config, print: bool) -> Result<Watcher, WatchError> {
        let packs = Packs::under(&roots.run);
        let (history, opened) = History::open(&roots.history(), config.history);
        let mut notes = Vec::new();
        if let Err(error) = opened {
            notes.push(format!("no history is kept: {error}"));
        }
        let node = NodeReader::open(&roots.proc);
        if !node.has_pressure() {
            notes.push("no pressure information: memory in use decides alone".to_owned());
        }
        let mounts = Mounts::find(&roots.cgroup)?;
        let mut state = State::new(config.clone());
        Ok(Watcher {
            ancestors: Ancestors::load(&packs, &mounts, &mut state),
            mounts,
            registry: Registry::new(packs)?,
            state,
            node,
            last: Node::default(),
            actions: Actions::with_room(ROOM),
            journal: Journal::new(print, wall_clock()),
            journald: Journald::at(roots.journald.clone()),
            history,
            begin: Instant::now(),
            compact: roots.proc.join("sys/vm/compact_memory"),
            rescan: true,
            ends_told: true,
            ends: false,
            empty_since: None,
            full_at: None,
            quick_at: None,
            whole: false,
            looks: 0,
            turn: Turn::default(),
            stalled: None,
            roots,
            config,
            notes,
        })
    }

    /// Reads the records again where they may have changed. The cgroups of
    /// packs that are new.
    pub fn records(&mut self) -> impl Iterator<Item = &Cgroup> {
        if std::mem::take(&mut self.rescan) {
            let now = self.now();
            let (state, mounts, above) = (&mut self.state, &self.mounts, &mut self.ancestors);
            match self.registry.scan(state, mounts, above, now) {
                Ok(warnings) => {
                    for warning in warnings {
                        self.journal.say(warning, None, wall_clock());
                    }
                }
                Err(error) => self.journal.say(error.to_string(), None, wall_clock()),
            }
            self.full_at = None;
        }
        self.registry.newcomers()
    }

    /// A pack may have ended: the next look asks all.
    pub(super) fn ask_who_lives(&mut self) {
        self.ends = true;
    }

    /// Figures, decision, deeds. `trigger`: a pressure trigger fired.
    pub fn look(&mut self, trigger: bool) {
        let now = self.now();
        let every = self.config.adaptive.every;
        self.whole = self.full_at.is_none_or(|at| now.passed(at, every));
        self.last = match self.whole {
            true => self.node.all(now),
            false => self.node.memory(),
        };
        let pressed = self.state.alert() || trigger;
        self.last.memory_trigger = trigger;
        self.last.weighed = self.whole || trigger || (pressed && self.state.weighs(now));
        let total = self.last.memory_some.map(|stall| stall.total);
        let stalls = total.is_none() || total != self.stalled;
        if self.last.weighed {
            self.stalled = total;
        }
        if self.whole {
            self.full_at = Some(now);
            self.read_all(stalls, now);
        } else if pressed {
            self.read_givers(now);
        }
        if self.last.weighed && !self.whole {
            self.read_stalls();
        }
        if self.ends {
            self.read_ends();
        }
        let seen = Observation {
            node: self.last,
            packs: &self.registry.samples,
        };
        decide(&mut self.state, &seen, now, &mut self.actions);
        self.carry_out(now);
    }

    /// What may wait until the deeds are done.
    pub fn tend(&mut self) {
        let ends = std::mem::take(&mut self.ends);
        if self.whole || ends {
            for id in self.registry.bury(&mut self.state) {
                self.journal
                    .say("ended".to_owned(), Some(&id), wall_clock());
            }
        }
        if !std::mem::take(&mut self.whole) {
            return;
        }
        self.ancestors.forget(&mut self.state);
        self.ancestors.keep(&self.registry.packs);
        let (state, registry) = (&self.state, &self.registry);
        self.history
            .note(state, registry, &self.last, self.now(), wall_clock());
        self.find_drift();
        if !self.state.alert() {
            for path in self.ancestors.compare(&self.mounts, &mut self.state) {
                let what = format!(
                    "memory.min or memory.low of {} was changed by somebody else",
                    path.display()
                );
                self.journal.say(what, None, wall_clock());
            }
            self.ancestors.tell(&self.mounts);
            self.turn.take(&mut self.registry, &self.roots.run);
        }
    }

    /// Tells the system's journal what was done.
    pub fn tell(&mut self) {
        self.journald.tell(&self.journal);
    }

    /// Every pack's figures.
    fn read_all(&mut self, stalls: bool, now: Millis) {
        let waits = [self.last.cpu_some, self.last.io_some]
            .into_iter()
            .flatten()
            .any(|stall| stall.avg10 >= 1_000);
        let told = self.ends_told;
        let packs = self.registry.kept.iter().zip(&mut self.registry.samples);
        for (kept, sample) in packs {
            let Some(kept) = kept else { continue };
            let asleep = kept.reader.asleep(&kept.cgroup, *sample, waits, told, now);
            let full = || {
                kept.reader
                    .full(&kept.cgroup, *sample, (waits, stalls), now)
            };
            *sample = Some(asleep.unwrap_or_else(full));
        }
    }

    /// The figures of those who may have to give now.
    fn read_givers(&mut self, now: Millis) {
        // A tenth of a millisecond for each pack: reading takes a tenth of that.
        let apart = self.registry.count() as u64 / 10;
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

    /// What every pack waited for.
    fn read_stalls(&mut self) {
        let packs = self.registry.kept.iter().zip(&mut self.registry.samples);
        for (kept, sample) in packs {
            if let (Some(kept), Some(sample)) = (kept, sample) {
                kept.reader.stalls(&kept.cgroup, sample);
            }
        }
    }

    /// Who still lives.
    fn read_ends(&mut self) {
        let packs = self.registry.kept.iter().zip(&mut self.registry.samples);
        for (kept, sample) in packs {
            if let (Some(kept), Some(sample)) = (kept, sample) {
                sample.populated = kept.reader.populated(&kept.cgroup);
            }
        }
    }

    fn carry_out(&mut self, now: Millis) {
        self.save(now);
        for at in 0..self.actions.list().len() {
            let action = self.actions.list()[at];
            let begun = wall_clock();
            let outcome = act::carry_out(
                &action,
                &self.state,
                &mut self.registry,
                &self.mounts,
                &mut self.ancestors,
                &self.compact,
            );
            self.state.answer(&action, outcome, now);
            let pack = action.slot.and_then(|slot| self.registry.pack(slot));
            let of = pack.map(|kept| (kept.id.clone(), kept.class));
            let cgroup = match action.deed {
                Deed::Protect { above, .. } => self.ancestors.path(above),
                _ => None,
            };
            self.journal.add(&action, outcome, of, cgroup, begun);
        }
        self.save(now);
    }

    fn save(&mut self, now: Millis) {
        let journal = &mut self.journal;
        self.registry.save(&mut self.state, now, |error| {
            journal.say(error.to_string(), None, wall_clock());
        });
    }

    /// What others wrote over ours (a daemon-reload) is written again: at once
    /// while something presses, else within a minute, since limits that follow
    /// use differ from the plan on most packs.
    fn find_drift(&mut self) {
        let pressed = self.state.alert() || self.state.busy();
        self.looks = self.looks.wrapping_add(1);
        for (at, kept) in (0u32..).zip(&self.registry.kept) {
            let turn = (self.looks + at as usize).is_multiple_of(DRIFT);
            let Some(kept) = kept.as_ref().filter(|_| pressed || turn) else {
                continue;
            };
            let slot = Slot(at);
            for knob in Knob::ALL {
                let dial = self.state.pack(slot).map(|pack| pack.dial(knob));
                let Some(wrote) = dial.and_then(|dial| dial.taken().and(dial.wrote())) else {
                    continue;
                };
                let has = kept.cgroup.value(knob.key()).ok().flatten();
                if has.is_some_and(|has| differs(wrote.number(), has.number())) {
                    self.state.drifted(slot, knob);
                }
            }
        }
    }

    /// How long it may sleep.
    pub(super) fn pause(&self) -> Duration {
        let now = self.now();
        let every = self.config.adaptive.every.saturating_mul(1_000);
        let rest = self
            .full_at
            .map_or(0, |at| every.saturating_sub(now.since(at)));
        let rest = Duration::from_millis(rest);
        let quiet = self.last.memory_some.is_none_or(|stall| stall.avg10 < 100);
        let low = self.state.level(Resource::Memory) == Level::Low;
        match self.state.alert() {
            true if quiet && low => rest.min(EASY),
            true if quiet => rest.min(WARY),
            true => rest.min(ALERT),
            false if self.state.busy() => rest.min(Duration::from_secs(1)),
            false => rest,
        }
    }

    /// Whether the last pack is long gone.
    pub(super) fn ended(&mut self) -> bool {
        let now = self.now();
        if self.registry.count() > 0 {
            self.empty_since = None;
            return false;
        }
        let since = *self.empty_since.get_or_insert(now);
        now.passed(since, self.config.linger)
    }

    fn now(&self) -> Millis {
        Millis::at(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Kernels round: memory to pages, quotas to microseconds.
fn differs(a: Option<u64>, b: Option<u64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) > (a / 50).max(1),
        (a, b) => a != b,
    }
}
