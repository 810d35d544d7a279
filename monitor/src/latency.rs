//! How long a pack's disk operations take.
//!
//! In, where the kernel allows it: every request's own time
//! ([`Requests`](packrank_kernel::requests::Requests)). Else, between two looks,
//! the operations a pack completed and either the kernel's own mean latency
//! (`avg_lat` of io.stat, which io.latency writes) or the time in which some task
//! of the pack waited for the disk (io.pressure). Out: a [`Histogram`].
//!
//! Without BPF the kernel counts operations per cgroup but, unless io.latency is
//! on, not how long each took. Waiting time over operations is their mean
//! latency as the pack felt it: below the device's own where operations overlap,
//! and including time spent held back by a limit. Each operation of an interval
//! is counted at the interval's mean.

use packrank_kernel::requests::{RequestsError, Times};

use crate::snapshot::float;

/// Upper bounds in nanoseconds: from a fast NVMe read to what a person notices,
/// in steps of about 2.2, so that a limit of 83 operations per second (12 ms)
/// falls in the middle.
pub const BOUNDS: [u32; 12] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
];

/// What the histograms of a node are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Every request's own time.
    Requests,
    /// Means of intervals, and why nothing better.
    Means(String),
}

impl Source {
    /// The means that a refusal leaves.
    #[must_use]
    pub fn without(why: &RequestsError) -> Source {
        Source::Means(why.to_string())
    }
}

/// Operations by how long they took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Operations at most as slow as each of [`BOUNDS`] and slower than the
    /// one before; the last is for the slower ones.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Seconds of all of them together.
    pub sum: f64,
}

impl Histogram {
    /// Takes in `operations` that took `seconds` each.
    pub fn observe(&mut self, seconds: f64, operations: u64) {
        let at = BOUNDS
            .iter()
            .position(|bound| seconds <= in_seconds(*bound));
        self.counts[at.unwrap_or(BOUNDS.len())] += operations;
        #[expect(clippy::cast_precision_loss, reason = "2^53 operations are decades")]
        let all = seconds * operations as f64;
        self.sum += all;
    }

    /// Takes in requests that were counted between [`BOUNDS`].
    pub fn add(&mut self, times: &Times) {
        let counts = self.counts.iter_mut().zip(&times.counts);
        counts.for_each(|(count, more)| *count += more);
        self.sum += float(times.sum) / 1e9;
    }

    /// How many in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Bounds with their own counts, the last at infinity.
    #[must_use]
    pub fn buckets(&self) -> [(f64, u64); BOUNDS.len() + 1] {
        std::array::from_fn(|at| {
            let bound = BOUNDS.get(at).copied().map(in_seconds);
            (bound.unwrap_or(f64::INFINITY), self.counts[at])
        })
    }
}

fn in_seconds(nanos: u32) -> f64 {
    f64::from(nanos) / 1e9
}

/// The mean latency in seconds that io.latency writes into io.stat, the
/// slowest device's: `avg_lat` is in microseconds (`iolatency_pd_stat` in
/// block/blk-iolatency.c).
#[must_use]
pub fn kernels_own(io_stat: &[u8]) -> Option<f64> {
    let words = io_stat.split(|b| b.is_ascii_whitespace());
    let lates = words.filter_map(|word| word.strip_prefix(b"avg_lat="));
    let slowest = lates.filter_map(packrank_kernel::cgroup::number).max()?;
    let micros = u32::try_from(slowest).ok()?;
    Some(f64::from(micros) / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_fall_where_their_mean_lies() {
        let mut histogram = Histogram::default();
        histogram.observe(0.004, 10);
        histogram.observe(0.005, 1);
        histogram.observe(7.0, 2);
        let buckets = histogram.buckets();
        assert_eq!(buckets[5], (0.005, 11));
        assert_eq!(buckets[12], (f64::INFINITY, 2));
        assert_eq!(histogram.count(), 13);
        assert!((histogram.sum - 14.045).abs() < 1e-9);
    }

    #[test]
    fn requests_come_to_what_is_there() {
        let mut histogram = Histogram::default();
        histogram.observe(0.004, 10);
        let mut counts = vec![0; BOUNDS.len() + 1];
        counts[5] = 3;
        counts[12] = 1;
        let sum = 2_000_000_000;
        histogram.add(&Times { sum, counts });
        let buckets = histogram.buckets();
        assert_eq!(buckets[5], (0.005, 13));
        assert_eq!(buckets[12], (f64::INFINITY, 1));
        assert!((histogram.sum - 2.04).abs() < 1e-9);
        // As they are written: no digits that nobody meant.
        let bounds: Vec<String> = buckets.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(bounds[..3], ["0.0001", "0.00025", "0.0005"]);
    }

    #[test]
    fn the_kernels_own_mean_is_taken_where_it_is() {
        let text = b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 depth=1 avg_lat=250 win=9\n\
                     8:16 rbytes=1 avg_lat=1000\n";
        assert_eq!(kernels_own(text), Some(0.001));
        assert_eq!(kernels_own(b"8:0 rbytes=1 wbytes=2\n"), None);
    }
}
