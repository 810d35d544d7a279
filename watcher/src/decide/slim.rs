//! A pack's figures as they are kept: a third smaller.
//!
//! In: a [`Sample`]. Out: the same, in which what was not told is a number that
//! no kernel tells.

use super::{Millis, Sample};

/// What was not told.
const NONE: u64 = u64::MAX;

/// A [`Sample`], without when its figures were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slim {
    pub at: Millis,
    memory: u64,
    cache: u64,
    at_limit: u64,
    cpu_used: u64,
    cpu_throttled: u64,
    io: [u64; 4],
    network: [u64; 2],
    cpu_wait: u32,
    io_wait: u32,
    at_high: u32,
    stalled: [u32; 2],
    files: u8,
    connections: u8,
    disk: u8,
    pub populated: bool,
}

fn told(n: u64) -> Option<u64> {
    (n != NONE).then_some(n)
}

fn wait(n: u32) -> Option<u32> {
    (n != u32::MAX).then_some(n)
}

/// A running total as far as it fits: differences of such are right as long as
/// they fit themselves.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half is what is kept"
)]
fn low_half(n: u64) -> u32 {
    (n as u32).min(u32::MAX - 1)
}

fn percent(n: u8) -> Option<u8> {
    (n != u8::MAX).then_some(n)
}

impl From<&Sample> for Slim {
    fn from(sample: &Sample) -> Slim {
        Slim {
            at: sample.at,
            memory: sample.memory.unwrap_or(NONE),
            cache: sample.cache.unwrap_or(NONE),
            at_limit: sample.at_limit.unwrap_or(NONE),
            cpu_used: sample.cpu_used.unwrap_or(NONE),
            cpu_throttled: sample.cpu_throttled.unwrap_or(NONE),
            io: sample.io.unwrap_or([NONE; 4]),
            network: sample.network.unwrap_or([NONE; 2]),
            cpu_wait: sample.cpu_wait.unwrap_or(u32::MAX),
            io_wait: sample.io_wait.unwrap_or(u32::MAX),
            at_high: sample.at_high.map_or(u32::MAX, low_half),
            stalled: sample
                .stalled
                .map_or([u32::MAX; 2], |both| both.map(low_half)),
            // More than 254 percent of a limit is 254.
            files: sample.files.map_or(u8::MAX, |n| n.min(254)),
            connections: sample.connections.map_or(u8::MAX, |n| n.min(254)),
            disk: sample.disk.map_or(u8::MAX, |n| n.min(254)),
            populated: sample.populated,
        }
    }
}

impl Slim {
    pub fn memory(&self) -> Option<u64> {
        told(self.memory)
    }

    pub fn cache(&self) -> Option<u64> {
        told(self.cache)
    }

    /// What is charged less what can be had back.
    pub fn working_set(&self) -> Option<u64> {
        Some(self.memory()?.saturating_sub(self.cache().unwrap_or(0)))
    }

    pub fn at_limit(&self) -> Option<u64> {
        told(self.at_limit)
    }

    /// A running total of 32 bits.
    pub fn at_high(&self) -> Option<u32> {
        wait(self.at_high)
    }

    /// How often it ran into its own `memory.max` or `memory.high`: a running
    /// total of 32 bits.
    pub fn hits(&self) -> Option<u32> {
        let (limit, high) = (self.at_limit().map(low_half), self.at_high());
        let hits = limit.unwrap_or(0).wrapping_add(high.unwrap_or(0));
        limit.or(high).map(|_| hits)
    }

    /// Running totals of 32 bits, of microseconds: they begin anew after 71
    /// minutes of stalls.
    pub fn stalled(&self) -> Option<[u32; 2]> {
        wait(self.stalled[0]).map(|some| [some, self.stalled[1]])
    }

    pub fn cpu_used(&self) -> Option<u64> {
        told(self.cpu_used)
    }

    pub fn cpu_throttled(&self) -> Option<u64> {
        told(self.cpu_throttled)
    }

    /// Bytes read and written, reads and writes: one of them.
    pub fn io(&self, at: usize) -> Option<u64> {
        told(self.io[at])
    }

    /// Bytes sent and received: one of them.
    pub fn network(&self, at: usize) -> Option<u64> {
        told(self.network[at])
    }

    pub fn cpu_wait(&self) -> Option<u32> {
        wait(self.cpu_wait)
    }

    pub fn io_wait(&self) -> Option<u32> {
        wait(self.io_wait)
    }

    pub fn files(&self) -> Option<u8> {
        percent(self.files)
    }

    pub fn connections(&self) -> Option<u8> {
        percent(self.connections)
    }

    pub fn disk(&self) -> Option<u8> {
        percent(self.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_told_stays_untold() {
        let sample = Sample {
            memory: Some(0),
            io: Some([1, 2, 3, 4]),
            files: Some(255),
            populated: true,
            ..Sample::default()
        };
        let slim = Slim::from(&sample);
        assert_eq!((slim.memory(), slim.cache()), (Some(0), None));
        assert_eq!((slim.io(2), slim.network(0)), (Some(3), None));
        assert_eq!((slim.files(), slim.disk()), (Some(254), None));
        assert_eq!((slim.cpu_wait(), slim.populated), (None, true));
        assert_eq!((slim.stalled(), slim.at_high()), (None, None));
        assert!(size_of::<Option<Slim>>() <= 120);
    }
}
