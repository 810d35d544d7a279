//! What a pack will use: a trend, and what it needs.
//!
//! In: one value every few seconds. Out: when a limit will be reached (Holt's
//! double exponential smoothing), how much is enough (a percentile of a
//! decaying histogram, as Autopilot has it), and how good both were.

use std::num::NonZeroU64;

use super::histogram::Histogram;
use super::time::{percent_of, scaled};

/// The forecasts of one pack.
#[derive(Debug, Clone, Default)]
pub struct Forecasts {
    /// Of its working set.
    pub memory: Trend,
    /// What memory it needs, in bytes: from 64 KiB to 1 TiB.
    pub memory_need: Need<16, 97>,
    /// What CPU time it needs, in thousandths of a percent of one CPU: from 1 %
    /// to 2 684 CPUs.
    pub cpu_need: Need<10, 73>,
}

/// Weight of a new value, of 1024: 0.3, and 0.1 for the slope. Usual choices
/// for a series this noisy (Hyndman, Forecasting, chapter 8 fits 0.2 to 0.4).
const LEVEL_WEIGHT: i128 = 307;
const SLOPE_WEIGHT: i128 = 102;
const ONE: i128 = 1_024;

/// Holt's trend, in whole numbers: level and slope carry 10 bits of fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trend {
    level: i64,
    slope: i64,
    values: u32,
    /// What was predicted, and after how many values it is due: 0 is nothing.
    predicted: u64,
    due: u32,
    score: Score,
}

/// How good a forecast was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Forecasts that came due.
    pub count: u32,
    /// How far off they were, in thousandths of what came; recent ones weigh more.
    pub off_permille: u32,
    /// The last prediction, and what came.
    pub last: (u64, u64),
}

impl Score {
    fn add(&mut self, predicted: u64, came: u64) {
        let off = scaled(predicted.abs_diff(came), 1_000, came.max(1)).min(1_000_000);
        let off = u32::try_from(off).unwrap_or(1_000_000);
        self.off_permille = match self.count {
            0 => off,
            _ => (self.off_permille * 7 + off) / 8,
        };
        self.count = self.count.saturating_add(1);
        self.last = (predicted, came);
    }
}

impl Trend {
    /// Takes the next value; `ahead` is the horizon, in values.
    pub fn add(&mut self, value: u64, ahead: u32) {
        if self.due == 1 {
            self.score.add(self.predicted, value);
        }
        self.due = self.due.saturating_sub(1);
        let value = i128::from(value.min(MOST)) * ONE;
        let (level, slope) = (i128::from(self.level), i128::from(self.slope));
        let next = match self.values {
            0 => (value, 0),
            _ => {
                let expected = level + slope;
                let level_next = expected + (value - expected) * LEVEL_WEIGHT / ONE;
                (
                    level_next,
                    slope + (level_next - level - slope) * SLOPE_WEIGHT / ONE,
                )
            }
        };
        self.level = i64::try_from(next.0).unwrap_or(i64::MAX);
        self.slope = i64::try_from(next.1).unwrap_or(0);
        self.values = self.values.saturating_add(1);
        if self.due == 0 && self.ready() {
            (self.predicted, self.due) = (self.in_steps(ahead), ahead.max(1));
        }
    }

    /// Whether enough was seen to speak of a trend: two minutes.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.values >= 24
    }

    /// The value so many steps ahead.
    #[must_use]
    pub fn in_steps(&self, steps: u32) -> u64 {
        let ahead = i128::from(self.level) + i128::from(self.slope) * i128::from(steps);
        u64::try_from(ahead / ONE).unwrap_or(0)
    }

    /// Steps until `limit` is reached, if the trend leads there.
    #[must_use]
    pub fn steps_until(&self, limit: u64) -> Option<u64> {
        if !self.ready() || self.slope <= 0 {
            return None;
        }
        let rest = i128::from(limit.min(MOST)) * ONE - i128::from(self.level);
        u64::try_from(rest.max(0) / i128::from(self.slope)).ok()
    }

    /// How good it was.
    #[must_use]
    pub fn score(&self) -> Score {
        self.score
    }
}

/// The largest value, so that ten bits of fraction fit: 8 PiB.
const MOST: u64 = 1 << 53;

/// Values after which what is enough is worked out anew: a minute.
const REFRESH: u8 = 12;

/// What is enough, and how often it was not. Values below 2^`FIRST` count as
/// that, larger ones than the last of four `BUCKETS` to a power of two as the
/// largest.
#[derive(Debug, Clone, Default)]
pub struct Need<const FIRST: u32, const BUCKETS: usize> {
    histogram: Histogram<FIRST, BUCKETS>,
    /// What was enough when that was last worked out: each minute.
    enough: Option<NonZeroU64>,
    age: u8,
    looks: u32,
    above: u32,
}

impl<const FIRST: u32, const BUCKETS: usize> Need<FIRST, BUCKETS> {
    /// Takes the next value. What was enough before is scored by it.
    pub fn add(&mut self, value: u64, percentile: u64) {
        if let Some(enough) = self.enough {
            self.looks += 1;
            self.above += u32::from(value > enough.get());
            if self.looks >= 1 << 20 {
                self.looks /= 2;
                self.above /= 2;
            }
        }
        self.histogram.add(value);
        self.age += 1;
        if self.age >= REFRESH {
            self.age = 0;
            let enough = self.histogram.percentile(percentile);
            self.enough = enough.and_then(NonZeroU64::new);
        }
    }

    /// What was enough in so many percent of the time, recent time weighing
    /// more; `None` before there is a history.
    #[must_use]
    pub fn enough(&self) -> Option<u64> {
        self.enough.map(NonZeroU64::get)
    }

    /// Of how many predictions, how many thousandths were too small. With a
    /// percentile of 95 about 50 are right.
    #[must_use]
    pub fn missed(&self) -> (u32, u64) {
        (
            self.looks,
            scaled(u64::from(self.above), 1_000, u64::from(self.looks)),
        )
    }
}

/// What a limit has to be for a need to stay in the zone where it is left alone.
pub(super) fn limit_for(need: u64, busy: u64) -> u64 {
    // Five points below the border: a need at the border would grow it again.
    scaled(need, 100, busy.saturating_sub(5).max(1)).max(percent_of(105, need))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_climb_is_foreseen_and_scored() {
        let mut trend = Trend::default();
        for step in 0..200u64 {
            trend.add(1_000_000 + step * 10_000, 12);
        }
        let now = 1_000_000 + 199 * 10_000;
        let until = trend.steps_until(now + 100_000).unwrap();
        assert!((8..=12).contains(&until), "{until}");
        let score = trend.score();
        assert!(score.count >= 10 && score.off_permille < 20, "{score:?}");
        assert_eq!(trend.steps_until(0), Some(0));
    }

    #[test]
    fn no_trend_no_date() {
        let mut trend = Trend::default();
        for step in 0..200u64 {
            trend.add(1_000_000 + (step % 2) * 10, 12);
        }
        assert!(
            trend
                .steps_until(2_000_000)
                .is_none_or(|steps| steps > 1_000)
        );
        trend.add(u64::MAX, 12);
        trend.add(0, 12);
        let _ = (trend.in_steps(u32::MAX), trend.steps_until(u64::MAX));
    }

    #[test]
    fn what_is_enough_misses_about_as_often_as_it_says() {
        let mut need = Need::<16, 97>::default();
        let mut noise = 1u64;
        for _ in 0..5_000 {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            need.add(50_000_000 + (noise >> 38), 95);
        }
        let (looks, missed) = need.missed();
        assert!(looks > 4_000 && missed <= 60, "{looks} {missed}");
    }
}
