//! A histogram that forgets.
//!
//! In: values, each the same time apart. Out: percentiles in which a value
//! weighs half as much as one an hour younger. No allocation.

/// Values after which all weights are halved: an hour of looks five seconds
/// apart. Stepwise, so that whole numbers do.
const HALF_LIFE: u16 = 720;

/// Values before which no percentile is told: ten minutes.
const ENOUGH: u32 = 120;

/// Weights by bucket: four to each power of two, the first for 2^`FIRST`, so a
/// percentile is at most a quarter too high. Values beyond fall into the ends.
#[derive(Debug, Clone)]
pub(super) struct Histogram<const FIRST: u32, const BUCKETS: usize> {
    weights: [u16; BUCKETS],
    since_halved: u16,
}

impl<const FIRST: u32, const BUCKETS: usize> Default for Histogram<FIRST, BUCKETS> {
    fn default() -> Self {
        Histogram {
            weights: [0; BUCKETS],
            since_halved: 0,
        }
    }
}

/// The bucket of a value: its power of two, and the two bits below it.
fn bucket(value: u64, first: u32) -> usize {
    let value = value.max(1 << first);
    let power = value.ilog2();
    let quarter = (value >> (power - 2)) & 3;
    let index = u64::from(power - first) * 4 + quarter;
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn top(bucket: usize, first: u32) -> u64 {
    let power = u32::try_from(bucket / 4).unwrap_or(0) + first;
    let quarter = bucket as u64 % 4;
    ((1 << power) >> 2) * (quarter + 5) - 1
}

impl<const FIRST: u32, const BUCKETS: usize> Histogram<FIRST, BUCKETS> {
    pub fn add(&mut self, value: u64) {
        self.weights[bucket(value, FIRST).min(BUCKETS - 1)] += 16;
        self.since_halved += 1;
        if self.since_halved == HALF_LIFE {
            self.since_halved = 0;
            self.weights.iter_mut().for_each(|weight| *weight /= 2);
        }
    }

    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u32 = self.weights.iter().map(|w| u32::from(*w)).sum();
        if all < ENOUGH * 16 {
            return None;
        }
        let wanted = u64::from(all) * percent.min(100);
        let mut below = 0u64;
        let at = self.weights.iter().position(|weight| {
            below += u64::from(*weight) * 100;
            below >= wanted
        })?;
        Some(top(at, FIRST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn old_values_fade() {
        let mut histogram = Histogram::<10, 121>::default();
        assert_eq!(histogram.percentile(95), None);
        for _ in 0..720 {
            histogram.add(1 << 30);
        }
        assert!(histogram.percentile(95).unwrap() >= 1 << 30);
        for _ in 0..4 * 720 {
            histogram.add(1 << 20);
        }
        assert!(histogram.percentile(95).unwrap() < 1 << 21);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_and_no_more_than_a_quarter_above(value in 1u64<<10..1u64<<40) {
            let top = top(bucket(value, 10), 10);
            prop_assert!(value <= top && top <= value + value / 4, "{} {}", value, top);
        }

        #[test]
        fn no_value_is_too_much(values in prop::collection::vec(any::<u64>(), 0..2_000)) {
            let mut histogram = Histogram::<10, 57>::default();
            values.into_iter().for_each(|value| histogram.add(value));
            let _ = histogram.percentile(95);
        }
    }
}
