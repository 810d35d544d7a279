//! One value that can be changed: what the plan says, what use has made of it,
//! what pressure leaves of it, and what the kernel was told.
//!
//! In: changes wished for, and what came of writing. Out: the value to write.

use std::fmt;

use packrank_core::record::{Amount, Taken};

use super::Millis;

/// One value. Without a plan it is never touched. A pack has ten of these, so
/// they are kept small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dial {
    plan: Slim,
    ceiling: Slim,
    adapted: Slim,
    pressed: Slim,
    wrote: Slim,
    /// The least that following use may make of it.
    pub floor: u64,
    /// The least that pressure may leave of it.
    pub press_floor: u64,
    /// When it last changed by following use.
    pub changed: Millis,
    /// Since when use is in its zone, where that counts.
    pub(super) since: Option<Millis>,
    /// Not to be written before this: it is being written, or was refused.
    wait: Millis,
    /// Where use is.
    pub(super) zone: Zone,
    /// A person set it.
    pub pinned: bool,
    /// Pressure raises it (a guarantee) instead of lowering it.
    pub raises: bool,
    /// The last change by use was downwards.
    pub(super) went_down: bool,
    /// How often it went up again after it went down: each doubles the wait.
    pub(super) regrets: u8,
    /// Writes refused in a row.
    refused: u8,
    /// It was said that it is near its end.
    pub(super) alerted: bool,
}

/// Where use is, beside a limit that follows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Zone {
    /// Below what the limit is worth.
    Idle,
    /// Where it is left alone.
    #[default]
    Right,
    /// Near the limit.
    Busy,
}

/// An amount, or none, in half the room of an `Option<Amount>`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slim(u64);

impl Slim {
    const NONE: u64 = u64::MAX;
    const UNLIMITED: u64 = u64::MAX - 1;

    fn get(self) -> Option<Amount> {
        match self.0 {
            Slim::NONE => None,
            Slim::UNLIMITED => Some(Amount::Unlimited),
            n => Some(Amount::At(n)),
        }
    }
}

impl From<Option<Amount>> for Slim {
    /// A number that is as good as unlimited is unlimited.
    fn from(amount: Option<Amount>) -> Slim {
        Slim(match amount {
            None => Slim::NONE,
            Some(Amount::Unlimited) => Slim::UNLIMITED,
            Some(Amount::At(n)) => n.min(Slim::UNLIMITED),
        })
    }
}

impl Default for Slim {
    fn default() -> Slim {
        Slim(Slim::NONE)
    }
}

impl fmt::Debug for Slim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// How long an unanswered write is waited for, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// The longest wait between two tries, in milliseconds: five minutes.
const LONGEST_RETRY_MS: u64 = 300_000;

impl Dial {
    /// A value as planned, which the kernel has been told.
    pub(super) fn planned(plan: Amount, ceiling: Amount, now: Millis) -> Dial {
        let plan = Slim::from(Some(plan));
        Dial {
            plan,
            ceiling: Some(ceiling).into(),
            adapted: plan,
            wrote: plan,
            changed: now,
            ..Dial::default()
        }
    }

    /// What the record says.
    #[must_use]
    pub fn plan(&self) -> Option<Amount> {
        self.plan.get()
    }

    /// The most that following use may make of it.
    #[must_use]
    pub fn ceiling(&self) -> Amount {
        self.ceiling.get().unwrap_or_default()
    }

    /// What it is while nothing presses.
    #[must_use]
    pub fn adapted(&self) -> Amount {
        self.adapted.get().unwrap_or_default()
    }

    /// What pressure has made of it.
    #[must_use]
    pub fn pressed(&self) -> Option<Amount> {
        self.pressed.get()
    }

    /// What the kernel was last told; `None` when that is not known.
    #[must_use]
    pub fn wrote(&self) -> Option<Amount> {
        self.wrote.get()
    }

    /// Use has made this of it.
    pub(super) fn adapt(&mut self, to: Amount) {
        self.adapted = Some(to).into();
    }

    /// Pressure makes this of it, or nothing any more.
    pub(super) fn press(&mut self, to: Option<Amount>) {
        self.pressed = to.into();
    }

    /// What the kernel has is not known any more, or known again.
    pub(super) fn believe(&mut self, wrote: Option<Amount>) {
        self.wrote = wrote.into();
    }

    /// What the kernel should have.
    #[must_use]
    pub fn target(&self) -> Amount {
        let adapted = self.adapted();
        match self.pressed() {
            Some(pressed) if self.raises => pressed.max(adapted),
            Some(pressed) => pressed.min(adapted),
            None => adapted,
        }
    }

    /// Whether it may be changed.
    #[must_use]
    pub fn free(&self) -> bool {
        self.plan.0 != Slim::NONE && !self.pinned
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

    /// Whether the kernel has another value than it should.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.free() && self.wrote() != Some(self.target())
    }

    /// Whether it should be written now.
    #[must_use]
    pub fn to_write(&self, now: Millis) -> bool {
        now >= self.wait && self.differs()
    }

    /// It is being written.
    pub(super) fn writing(&mut self, now: Millis) {
        self.wait = now.plus(ANSWER_MS);
    }

    /// A write of `to` was answered.
    pub(super) fn answered(&mut self, to: Amount, done: bool, now: Millis) {
        if done {
            self.wrote = Some(to).into();
            self.refused = 0;
            self.wait = now;
        } else {
            self.refused = self.refused.saturating_add(1);
            let wait = 1_000u64 << self.refused.min(10);
            self.wait = now.plus(wait.min(LONGEST_RETRY_MS));
        }
    }

    /// What is to be remembered over a restart: nothing when it is the plan's,
    /// and the kernel has taken that.
    #[must_use]
    pub fn taken(&self) -> Option<Taken> {
        let plan = self.plan()?;
        let same = self.target() == plan && self.adapted == self.plan && self.wrote == self.plan;
        (!same && !self.pinned).then(|| Taken {
            original: plan.number(),
            adapted: self.adapted().number(),
            pressed: self.pressed().and_then(Amount::number),
        })
    }

    /// Brings what a file said between floor and ceiling.
    pub(super) fn keep_inside(&mut self) {
        let adapted = self.adapted().max(Amount::At(self.floor));
        self.adapt(adapted.min(self.ceiling()));
        let least = Amount::At(self.press_floor);
        self.press(self.pressed().map(|p| p.max(least).min(self.most())));
    }

    /// The most that pressure may make of it.
    fn most(&self) -> Amount {
        match self.raises {
            true => Amount::Unlimited,
            false => self.ceiling(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial() -> Dial {
        let mut dial = Dial::planned(Amount::At(100), Amount::At(100), Millis::at(0));
        dial.floor = 25;
        dial.press_floor = 10;
        dial.adapt(Amount::At(80));
        dial.believe(Some(Amount::At(80)));
        dial
    }

    #[test]
    fn pressure_lowers_and_giving_back_returns_to_what_use_made_of_it() {
        let mut dial = dial();
        assert!(!dial.to_write(Millis::at(0)));
        dial.press(Some(Amount::At(40)));
        assert_eq!(dial.target(), Amount::At(40));
        assert!(dial.to_write(Millis::at(0)));
        dial.answered(Amount::At(40), true, Millis::at(0));
        assert!(!dial.to_write(Millis::at(0)));
        dial.press(None);
        assert_eq!(dial.target(), Amount::At(80));
    }

    #[test]
    fn a_refusal_waits_longer_each_time() {
        let mut dial = dial();
        dial.press(Some(Amount::At(40)));
        dial.answered(Amount::At(40), false, Millis::at(0));
        assert!(!dial.to_write(Millis::at(1_999)) && dial.to_write(Millis::at(2_000)));
        for _ in 0..300 {
            dial.answered(Amount::At(40), false, Millis::at(0));
        }
        assert!(!dial.to_write(Millis::at(299_999)) && dial.to_write(Millis::at(300_000)));
    }

    #[test]
    fn a_write_without_an_answer_is_tried_again_after_ten_seconds() {
        let mut dial = dial();
        dial.press(Some(Amount::At(40)));
        dial.writing(Millis::at(500));
        assert!(!dial.to_write(Millis::at(10_499)) && dial.to_write(Millis::at(10_500)));
    }

    #[test]
    fn what_files_say_is_kept_between_floor_and_ceiling() {
        let mut dial = dial();
        dial.adapt(Amount::Unlimited);
        dial.press(Some(Amount::At(0)));
        dial.keep_inside();
        assert_eq!(
            (dial.adapted(), dial.pressed()),
            (Amount::At(100), Some(Amount::At(10)))
        );
    }

    #[test]
    fn a_pinned_value_is_left_alone() {
        let mut pinned = dial();
        pinned.pinned = true;
        pinned.press(Some(Amount::At(1)));
        let now = Millis::at(0);
        assert!(!pinned.to_write(now) && !pinned.can_give() && pinned.taken().is_none());
    }

    #[test]
    fn amounts_fit_in_half_the_room() {
        for amount in [None, Some(Amount::Unlimited), Some(Amount::At(0))] {
            assert_eq!(Slim::from(amount).get(), amount);
        }
        let most = Slim::from(Some(Amount::At(u64::MAX))).get();
        assert_eq!(most, Some(Amount::Unlimited));
        assert!(size_of::<Dial>() <= 88, "{}", size_of::<Dial>());
    }
}
