//! One value that can be changed: what the plan says, what use has made of it,
//! what pressure leaves of it, and what the kernel was told.
//!
//! In: changes wished for, and what came of writing. Out: the value to write.

use packrank_core::record::{Amount, Taken};

use super::Millis;

/// One value. Without a plan it is never touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dial {
    /// What the record says.
    pub plan: Option<Amount>,
    /// The least that following use may make of it.
    pub floor: u64,
    /// The least that pressure may leave of it.
    pub press_floor: u64,
    /// The most.
    pub ceiling: Amount,
    /// A person set it.
    pub pinned: bool,
    /// Pressure raises it (a guarantee) instead of lowering it.
    pub raises: bool,
    /// What it is while nothing presses.
    pub adapted: Amount,
    /// What pressure has made of it.
    pub pressed: Option<Amount>,
    /// What the kernel was last told; `None` when that is not known.
    pub wrote: Option<Amount>,
    /// Being written.
    pub writing: Option<Millis>,
    /// When it last changed by following use.
    pub changed: Millis,
    /// Since when use is low, or high.
    pub low_since: Option<Millis>,
    /// See above.
    pub high_since: Option<Millis>,
    /// The last change by use was downwards.
    pub went_down: bool,
    /// How often it went up again after it went down: each doubles the wait.
    pub regrets: u8,
    /// Not to be written before this.
    pub retry: Millis,
    /// Writes refused in a row.
    pub refused: u8,
    /// It was said that it is near its end.
    pub alerted: bool,
}

/// How long an unanswered write is waited for, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// The longest wait between two tries, in milliseconds: five minutes.
const LONGEST_RETRY_MS: u64 = 300_000;

impl Dial {
    /// What the kernel should have.
    #[must_use]
    pub fn target(&self) -> Amount {
        match self.pressed {
            Some(pressed) if self.raises => pressed.max(self.adapted),
            Some(pressed) => pressed.min(self.adapted),
            None => self.adapted,
        }
    }

    /// Whether it may be changed.
    #[must_use]
    pub fn free(&self) -> bool {
        self.plan.is_some() && !self.pinned
    }

    /// What pressure may still take, where it takes by lowering.
    #[must_use]
    pub fn can_give(&self) -> bool {
        self.free()
            && match self.target() {
                Amount::At(n) => n > self.press_floor,
                Amount::Unlimited => true,
            }
    }

    /// Whether it should be written now.
    #[must_use]
    pub fn to_write(&self, now: Millis) -> bool {
        self.free()
            && self.wrote != Some(self.target())
            && now >= self.retry
            && self.writing.is_none_or(|at| now.since(at) >= ANSWER_MS)
    }

    /// A write of `to` was answered.
    pub fn answered(&mut self, to: Amount, done: bool, now: Millis) {
        self.writing = None;
        if done {
            self.wrote = Some(to);
            self.refused = 0;
            self.retry = now;
        } else {
            self.refused = self.refused.saturating_add(1);
            let wait = 1_000u64 << self.refused.min(10);
            self.retry = now.plus(wait.min(LONGEST_RETRY_MS));
        }
    }

    /// What is to be remembered over a restart: nothing when it is the plan's,
    /// and the kernel has taken that.
    #[must_use]
    pub fn taken(&self) -> Option<Taken> {
        let plan = self.plan?;
        let same = self.target() == plan && self.adapted == plan && self.wrote == Some(plan);
        (!same && !self.pinned).then(|| Taken {
            original: plan.number(),
            adapted: self.adapted.number(),
            pressed: self.pressed.and_then(Amount::number),
        })
    }

    /// Brings what a file said between floor and ceiling.
    pub(super) fn keep_inside(&mut self) {
        self.adapted = self.adapted.max(Amount::At(self.floor)).min(self.ceiling);
        let least = Amount::At(self.press_floor);
        self.pressed = self.pressed.map(|p| p.max(least).min(self.most()));
    }

    /// The most that pressure may make of it.
    fn most(&self) -> Amount {
        match self.raises {
            true => Amount::Unlimited,
            false => self.ceiling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial() -> Dial {
        Dial {
            plan: Some(Amount::At(100)),
            floor: 25,
            press_floor: 10,
            ceiling: Amount::At(100),
            adapted: Amount::At(80),
            wrote: Some(Amount::At(80)),
            ..Dial::default()
        }
    }

    #[test]
    fn pressure_lowers_and_giving_back_returns_to_what_use_made_of_it() {
        let mut dial = dial();
        assert!(!dial.to_write(Millis(0)));
        dial.pressed = Some(Amount::At(40));
        assert_eq!(dial.target(), Amount::At(40));
        assert!(dial.to_write(Millis(0)));
        dial.answered(Amount::At(40), true, Millis(0));
        assert!(!dial.to_write(Millis(0)));
        dial.pressed = None;
        assert_eq!(dial.target(), Amount::At(80));
    }

    #[test]
    fn a_refusal_waits_longer_each_time() {
        let mut dial = dial();
        dial.pressed = Some(Amount::At(40));
        dial.answered(Amount::At(40), false, Millis(0));
        assert!(!dial.to_write(Millis(1_999)) && dial.to_write(Millis(2_000)));
        for _ in 0..300 {
            dial.answered(Amount::At(40), false, Millis(0));
        }
        assert!(!dial.to_write(Millis(299_999)) && dial.to_write(Millis(300_000)));
    }

    #[test]
    fn what_files_say_is_kept_between_floor_and_ceiling() {
        let mut dial = dial();
        dial.adapted = Amount::Unlimited;
        dial.pressed = Some(Amount::At(0));
        dial.keep_inside();
        assert_eq!(
            (dial.adapted, dial.pressed),
            (Amount::At(100), Some(Amount::At(10)))
        );
    }

    #[test]
    fn a_pinned_value_is_left_alone() {
        let pinned = Dial {
            pinned: true,
            pressed: Some(Amount::At(1)),
            ..dial()
        };
        assert!(!pinned.to_write(Millis(0)) && !pinned.can_give() && pinned.taken().is_none());
    }
}
