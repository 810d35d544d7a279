//! A small node for tests: its figures, and what is decided on them.

use packrank_core::Priority;
use packrank_core::record::{Deeds, Record};
use packrank_kernel::cgroup::Reclaim;
use serde_json::json;

use super::*;
use crate::Config;

pub(super) const MIB: u64 = 1 << 20;

pub(super) struct Lab {
    pub state: State,
    pub node: Node,
    pub samples: Vec<Option<Sample>>,
    actions: Actions,
    pub now: u64,
    /// Percent of the time in which some and in which every task waits for the
    /// node's memory.
    pub stalls: (u64, u64),
    /// Somebody waits for the node, not at a limit.
    pub reclaims: bool,
}

impl Lab {
    pub fn new(classes: &[Priority]) -> Lab {
        let mut lab = Lab {
            state: State::new(Config::default()),
            node: Node {
                memory_trigger: false,
                weighed: true,
                reclaim: Some(Reclaim::default()),
                swap_free: Some(0),
                memory_total: Some(1_000 * MIB),
                memory_available: Some(900 * MIB),
                memory_some: Some(Stall::default()),
                memory_full: Some(Stall::default()),
                cpu_some: Some(Stall::default()),
                io_some: Some(Stall::default()),
                cpu_capacity: Some(400_000),
                cpu_used: Some(0),
            },
            samples: Vec::new(),
            actions: Actions::with_room(64),
            now: 0,
            stalls: (0, 0),
            reclaims: true,
        };
        for (at, class) in classes.iter().enumerate() {
            lab.join(&record(&at.to_string(), *class));
        }
        lab
    }

    pub fn join(&mut self, record: &Record) -> Slot {
        let slot = self
            .state
            .join(record, &Deeds::default(), None, 0, Millis::at(self.now));
        self.samples.push(Some(Sample {
            populated: true,
            memory: Some(80 * MIB),
            cache: Some(0),
            ..Sample::default()
        }));
        slot
    }

    /// Uses so many percent of the node's memory.
    pub fn used(&mut self, percent: u64) -> &mut Self {
        self.node.memory_available = Some((100 - percent) * 10 * MIB);
        self
    }

    /// And it is too little: somebody waits for it.
    pub fn short(&mut self, percent: u64) -> &mut Self {
        if self.stalls == (0, 0) {
            // From here on it is told from before.
            self.after(0);
        }
        self.stalls.0 = 20;
        self.used(percent)
    }

    pub fn after(&mut self, ms: u64) -> Vec<(u32, Deed)> {
        self.now += ms;
        let (some, full) = self.stalls;
        for (line, percent) in [
            (&mut self.node.memory_some, some),
            (&mut self.node.memory_full, full),
        ] {
            line.as_mut().unwrap().total += percent * ms * 10;
        }
        if some > 0 && self.reclaims {
            self.node.reclaim.as_mut().unwrap().direct += 1;
        }
        for sample in self.samples.iter_mut().flatten() {
            sample.at = Millis::at(self.now);
        }
        let seen = Observation {
            node: self.node,
            packs: &self.samples,
        };
        decide(
            &mut self.state,
            &seen,
            Millis::at(self.now),
            &mut self.actions,
        );
        let list = self.actions.list().to_vec();
        for action in &list {
            let outcome = match action.deed {
                Deed::Reclaim(n) => Outcome::Freed(n),
                _ => Outcome::Done,
            };
            self.state.answer(action, outcome, Millis::at(self.now));
        }
        list.into_iter()
            .map(|a| (a.slot.map_or(99, |s| s.0), a.deed))
            .collect()
    }
}

pub(super) fn record(id: &str, class: Priority) -> Record {
    serde_json::from_value(json!({
        "version": 1, "id": id, "priority": class.name(), "pid": 1, "started": 1,
        "cgroups": {}, "bundle": "/", "engine": "/",
        "settings": {
            "memory.limit": 100 * MIB, "memory.high": 90 * MIB, "cpu.quota": 100,
            "memory.guarantee": if class > Priority::Low { 20 * MIB } else { 0 },
        },
        "ceiling": { "memory.high": 180 * MIB, "memory.limit": 200 * MIB },
    }))
    .unwrap()
}

pub(super) const ALL: [Priority; 5] = Priority::ALL;
