//! What goes wrong, one thing at a time.

use packrank_core::record::Deeds;
use packrank_watcher::decide::{Node, Sample};

use crate::run::Run;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write is refused.
    Refused,
    /// A cgroup goes between look and deed.
    Vanishes,
    /// The node's pressure files go, and come back.
    NoPressure,
    /// So does what tells of its memory.
    NoMemory,
    /// Some of a pack's figures are not to be had, others go back to zero.
    Spoiled,
    /// The watcher is killed between two looks.
    Killed,
    /// It is killed between two deeds.
    KilledMidway,
    /// It is killed, and what it wrote of some packs cannot be read.
    Damaged,
    /// What it does cannot be written down for a while.
    FullDisk,
    /// It is stopped for up to ten minutes.
    Stopped,
}

impl Fault {
    pub const ALL: [Fault; 10] = [
        Fault::Refused,
        Fault::Vanishes,
        Fault::NoPressure,
        Fault::NoMemory,
        Fault::Spoiled,
        Fault::Killed,
        Fault::KilledMidway,
        Fault::Damaged,
        Fault::FullDisk,
        Fault::Stopped,
    ];

    /// One time in so many that it could befall.
    fn one_in(self) -> u64 {
        match self {
            Fault::Refused | Fault::Vanishes | Fault::KilledMidway => 4,
            Fault::NoPressure | Fault::NoMemory | Fault::Spoiled | Fault::FullDisk => 2,
            Fault::Killed | Fault::Damaged | Fault::Stopped => 50,
        }
    }
}

impl Run {
    /// Whether it befalls now.
    pub fn befalls(&mut self, fault: Fault) -> bool {
        let befalls =
            self.shape.only == Some(fault) && self.rng.next().is_multiple_of(fault.one_in());
        self.history.befell += u64::from(befalls);
        befalls
    }

    /// What is to be had of the node.
    pub fn seen_node(&mut self) -> Node {
        let mut node = self.world.node();
        if self.befalls(Fault::NoPressure) {
            (node.memory_some, node.memory_full) = (None, None);
            (node.cpu_some, node.io_some) = (None, None);
        }
        if self.befalls(Fault::NoMemory) {
            (node.memory_total, node.memory_available) = (None, None);
            (node.cpu_used, node.cpu_capacity) = (None, None);
        }
        node
    }

    /// Takes figures of some packs away, or back.
    pub fn spoil(&mut self) {
        for at in 0..self.samples.len() {
            if !self.befalls(Fault::Spoiled) {
                continue;
            }
            let Some(sample) = &mut self.samples[at] else {
                continue;
            };
            match self.rng.between(0, 4) {
                0 => sample.memory = None,
                1 => sample.cache = None,
                2 => (sample.cpu_used, sample.cpu_throttled) = (None, Some(0)),
                3 => (sample.io, sample.at_limit) = (Some([0; 4]), Some(0)),
                _ => {
                    *sample = Sample {
                        at: sample.at,
                        populated: sample.populated,
                        ..Sample::default()
                    }
                }
            }
        }
    }

    /// What was written of some packs cannot be read any more.
    pub fn damage(&mut self) {
        for deeds in self.disk.values_mut() {
            if self.rng.chance(50) {
                *deeds = Deeds {
                    damaged: true,
                    ..Deeds::default()
                };
            }
        }
    }
}
