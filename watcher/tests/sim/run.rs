//! One node's life, from a seed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use packrank_core::Priority;
use packrank_core::record::{Amount, Deeds};
use packrank_watcher::Config;
use packrank_watcher::decide::{
    Action, Actions, Deed, Knob, Millis, Observation, Outcome, Sample, Slot, State, Why, decide,
};

use crate::check::{Checker, Step, given_back};
use crate::fault::Fault;
use crate::habit::Habit;
use crate::node::{Container, Kind, World, die};
use crate::rng::Rng;

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub packs: u64,
    pub seconds: u64,
    /// Refused, late and lost, in percent.
    pub faults: u64,
    /// What goes wrong beside that, and nothing else.
    pub only: Option<Fault>,
    /// Whether packs come, go and restart, and the watcher too.
    pub churn: bool,
    pub kind: Kind,
    /// The first pack is somebody's who does what he can, by this seed.
    pub attacker: Option<u64>,
    /// Packs come four at a time, and the oldest go.
    pub waves: bool,
    pub print: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    pub hash: u64,
    pub steps: u64,
    pub kills: u64,
    pub sets: u64,
    pub freezes: u64,
    /// Kills, freezes and clamps.
    pub taken: u64,
    pub oom_kills: u64,
    /// How often the one fault befell it.
    pub befell: u64,
}

pub struct Run {
    pub rng: Rng,
    pub world: World,
    pub state: State,
    actions: Actions,
    pub checker: Checker,
    pub disk: BTreeMap<String, Deeds>,
    /// What could not be written down yet.
    pub unwritten: Vec<Slot>,
    pub samples: Vec<Option<Sample>>,
    pub late: Vec<(u64, Action)>,
    /// When this watcher began: its clock counts from there.
    begin: u64,
    pub shape: Shape,
    pub history: History,
    hasher: DefaultHasher,
}

/// Lives it.
pub fn run(seed: u64, shape: Shape) -> Result<History, String> {
    let mut rng = Rng(seed);
    let world = World::new(&mut rng, shape.packs, shape.kind);
    let mut run = Run {
        rng,
        world,
        state: State::new(Config::default()),
        actions: Actions::with_room(256),
        checker: Checker::default(),
        disk: BTreeMap::new(),
        unwritten: Vec::new(),
        begin: 0,
        samples: Vec::new(),
        late: Vec::new(),
        shape,
        history: History::default(),
        hasher: DefaultHasher::new(),
    };
    for _ in 0..shape.packs {
        run.start();
    }
    let told = |e: String, run: &Run| format!("at {} ms: {e}", run.world.now);
    while run.world.now < shape.seconds * 1_000 {
        run.step().map_err(|e| told(e, &run))?;
    }
    // Calm, and a kernel that obeys: everything comes back.
    run.world.calm = true;
    run.shape.faults = 0;
    run.shape.only = None;
    run.shape.churn = false;
    run.shape.waves = false;
    let end = run.world.now + 900_000;
    while run.world.now < end {
        run.step().map_err(|e| told(e, &run))?;
    }
    given_back(&run.world, &run.state, run.now().number()).map_err(|e| told(e, &run))?;
    run.history.hash = run.hasher.finish();
    run.history.oom_kills = run.world.oom_kills;
    Ok(run.history)
}

impl Run {
    /// By the clock of the watcher that runs.
    fn now(&self) -> Millis {
        Millis::at(self.world.now - self.begin)
    }

    pub fn start(&mut self) {
        let mut record = self.world.record(&mut self.rng);
        let attacker = self.shape.attacker;
        let attacker = attacker.filter(|_| self.world.containers.is_empty());
        if attacker.is_some() {
            // Of a class that nobody ends.
            record.priority = Priority::Normal;
        }
        let now = self.now();
        let slot = self.state.join(&record, &Deeds::default(), None, 0, now);
        self.checker.forget(slot);
        self.samples
            .resize((slot.0 as usize + 1).max(self.samples.len()), None);
        self.samples[slot.0 as usize] = None;
        let habit = attacker.map_or_else(|| Habit::any(&mut self.rng), Habit::Attacks);
        self.world.start(&mut self.rng, record, slot, habit);
    }

    fn step(&mut self) -> Result<(), String> {
        self.history.steps += 1;
        let ms = if self.state.alert() { 200 } else { 1_000 };
        self.world.pass(&mut self.rng, ms);
        self.answer_late();
        self.save();
        if self.shape.churn {
            self.churn()?;
        }
        if self.shape.waves {
            self.wave();
        }
        if self.befalls(Fault::Killed) {
            self.restart(false)?;
        }
        if self.befalls(Fault::Damaged) {
            self.damage();
            self.restart(false)?;
        }
        if self.befalls(Fault::Stopped) {
            for _ in 0..self.rng.between(1, 600) {
                self.world.pass(&mut self.rng, 1_000);
            }
        }
        let at = self.now();
        for container in &self.world.containers {
            let sample = &mut self.samples[container.slot.0 as usize];
            let new = self.world.sample(container, at);
            match sample {
                // A lost event: the old figures stay.
                Some(old) if self.rng.chance(self.shape.faults) => {
                    (old.stalled, old.at_high) = (new.stalled, new.at_high);
                    old.at_limit = new.at_limit;
                }
                sample => *sample = Some(new),
            }
        }
        let node = self.seen_node();
        self.spoil();
        let seen = Observation {
            node,
            packs: &self.samples,
        };
        let now = at;
        decide(&mut self.state, &seen, now, &mut self.actions);
        let actions = self.actions.list();
        let step = Step {
            world: &self.world,
            state: &self.state,
            seen: &seen,
            actions,
        };
        self.checker.check(&step)?;
        let list: Vec<Action> = actions.to_vec();
        self.save();
        if self.shape.churn && self.rng.next().is_multiple_of(500) {
            // Killed between saving and acting.
            return self.restart(false);
        }
        for action in list {
            (self.world.now, format!("{action:?}")).hash(&mut self.hasher);
            if self.shape.print {
                println!("{:>9} {action:?}", self.world.now);
            }
            self.carry_out(action);
            if self.befalls(Fault::KilledMidway) {
                return self.restart(true);
            }
        }
        // What the answers changed.
        self.save();
        Ok(())
    }

    fn save(&mut self) {
        let mut changed = Vec::new();
        self.state.unsaved(|slot, _| changed.push(slot));
        changed.append(&mut self.unwritten);
        let full = self.befalls(Fault::FullDisk);
        let (world, disk) = (&self.world, &mut self.disk);
        if full {
            self.unwritten = changed;
            return;
        }
        for slot in changed {
            let Some(container) = world.containers.iter().find(|c| c.slot == slot) else {
                continue;
            };
            let deeds = disk.entry(container.record.id.clone()).or_default();
            self.state.deeds(slot, deeds);
        }
    }

    /// A new watcher finds the packs and what was done to them.
    pub fn restart(&mut self, midway: bool) -> Result<(), String> {
        let mut state = State::new(Config::default());
        self.begin = self.world.now;
        let now = self.now();
        self.samples.clear();
        let unwritten = std::mem::take(&mut self.unwritten);
        self.late.clear();
        let mut forgotten = Vec::new();
        for container in &mut self.world.containers {
            let deeds = self
                .disk
                .get(&container.record.id)
                .cloned()
                .unwrap_or_default();
            let mut before = Deeds::default();
            self.state.deeds(container.slot, &mut before);
            let known = !deeds.damaged && !unwritten.contains(&container.slot);
            let age = self.world.now - container.born;
            container.slot = state.join(&container.record, &deeds, None, age, now);
            let mut after = Deeds::default();
            state.deeds(container.slot, &mut after);
            // Amid deeds, what was just undone is not written down yet: it is
            // found again, and undone again.
            let lost = before
                .taken
                .iter()
                .any(|(key, taken)| after.taken.get(key) != Some(taken));
            let more = after.taken.len() != before.taken.len() || after.frozen != before.frozen;
            let lost = lost || (before.frozen && !after.frozen);
            if known && (lost || (more && !midway)) {
                return Err(format!(
                    "a new watcher finds {after:?}, the old had {before:?}"
                ));
            }
            forgotten.push(container.slot);
        }
        self.samples.resize(forgotten.len(), None);
        self.state = state;
        self.checker = Checker::default();
        Ok(())
    }

    fn answer_late(&mut self) {
        let now = self.world.now;
        let (due, rest) = self.late.drain(..).partition(|(at, _)| *at <= now);
        self.late = rest;
        let due: Vec<(u64, Action)> = due;
        for (_, action) in due {
            let outcome = self.effect(&action);
            self.state.answer(&action, outcome, self.now());
        }
    }

    fn carry_out(&mut self, action: Action) {
        if self.befalls(Fault::Vanishes)
            && let Some(gone) = self.of(&action)
        {
            die(gone);
            return self.state.answer(&action, Outcome::Gone, self.now());
        }
        if self.befalls(Fault::Refused) {
            return self.state.answer(&action, Outcome::Refused, self.now());
        }
        if self.rng.chance(self.shape.faults) {
            match self.rng.between(0, 2) {
                0 => return self.state.answer(&action, Outcome::Refused, self.now()),
                1 => {
                    let at = self.world.now + self.rng.between(100, 3_000);
                    return self.late.push((at, action));
                }
                // No answer at all.
                _ => return,
            }
        }
        let outcome = self.effect(&action);
        self.state.answer(&action, outcome, self.now());
    }

    fn of(&mut self, action: &Action) -> Option<&mut Container> {
        let containers = self.world.containers.iter_mut();
        containers.into_iter().find(|c| Some(c.slot) == action.slot)
    }

    fn effect(&mut self, action: &Action) -> Outcome {
        let Some(slot) = action.slot else {
            return Outcome::Gone;
        };
        let Some(container) = self.world.containers.iter_mut().find(|c| c.slot == slot) else {
            return Outcome::Gone;
        };
        if action.audit {
            return Outcome::Done;
        }
        match action.deed {
            Deed::Set { knob, to, .. } => {
                self.history.sets += 1;
                let lower = container.values[knob as usize].is_some_and(|now| to < now);
                let pressed = matches!(action.why, Why::Pressure(..));
                self.history.taken += u64::from(lower && pressed && knob == Knob::MemoryHigh);
                container.values[knob as usize] = Some(to);
                if knob == Knob::MemoryHigh
                    && let Amount::At(high) = to
                {
                    container.cache = container.cache.min(high.saturating_sub(container.anon));
                }
            }
            Deed::Reclaim(bytes) => {
                let freed = bytes.min(container.cache);
                container.cache -= freed;
                return Outcome::Freed(freed);
            }
            Deed::Kill => {
                self.history.kills += 1;
                self.history.taken += u64::from(matches!(action.why, Why::Pressure(..)));
                die(container);
            }
            Deed::Freeze => {
                self.history.freezes += 1;
                self.history.taken += 1;
                container.frozen = true;
            }
            Deed::Thaw => container.frozen = false,
            _ => {}
        }
        Outcome::Done
    }
}
