//! How long a pack's disk operations take.
//!
//! In: between two looks, the operations a pack completed and either the
//! kernel's own mean latency (`avg_lat` of io.stat, which io.latency writes) or
//! the time in which some task of the pack waited for the disk (io.pressure).
//! Out: a [`Histogram`].
//!
//! The kernel counts operations per cgroup but, unless io.latency is on, not
//! how long each took. Waiting time over operations is their mean latency as
//! the pack felt it: below the device's own where operations overlap, and
//! including time spent held back by a limit. Each operation of an interval is
//! counted at the interval's mean.

/// Upper bounds in seconds: from a fast NVMe read to what a person notices, in
/// steps of about 2.2, so that a limit of 83 operations per second (12 ms)
/// falls in the middle.
pub const BOUNDS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];

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
        let at = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.counts[at.unwrap_or(BOUNDS.len())] += operations;
        #[expect(clippy::cast_precision_loss, reason = "2^53 operations are decades")]
        let all = seconds * operations as f64;
        self.sum += all;
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
            let bound = BOUNDS.get(at).copied().unwrap_or(f64::INFINITY);
            (bound, self.counts[at])
        })
    }
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
    fn the_kernels_own_mean_is_taken_where_it_is() {
        let text = b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 depth=1 avg_lat=250 win=9\n\
                     8:16 rbytes=1 avg_lat=1000\n";
        assert_eq!(kernels_own(text), Some(0.001));
        assert_eq!(kernels_own(b"8:0 rbytes=1 wbytes=2\n"), None);
    }
}
