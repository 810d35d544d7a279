//! What to do: a pure function of what was, what is seen, and the time.
//!
//! In: a [`State`], an [`Observation`], [`Millis`]. Out: the state changed,
//! and [`Actions`]. No clock, no file, no chance, and no allocation: room is
//! made when packs join. Whoever carries the actions out tells the outcome by
//! [`State::answer`], after saving what [`State::unsaved`] names.

mod action;
mod adapt;
mod dial;
mod forecast;
#[cfg(test)]
mod gain_tests;
mod give_back;
#[cfg(test)]
mod held_tests;
mod histogram;
#[cfg(test)]
mod lab;
mod ladder;
mod level;
mod measure;
mod pack;
mod protection;
#[cfg(test)]
mod protection_tests;
mod reconcile;
mod seen;
mod shortage;
mod slim;
mod squeeze;
mod state;
#[cfg(test)]
mod tests;
mod time;
mod victim;
mod violation;

pub use action::{Above, Action, Actions, Alert, Deed, Knob, Outcome, Slot, Why};
pub use dial::Dial;
pub use forecast::{Forecasts, Need, Score, Trend};
pub use level::{Gauge, Level, Resource};
pub use pack::{Facts, Pack};
pub use seen::{Node, Observation, Sample, Stall};
pub use state::State;
pub use time::{Millis, scaled};

/// Decides. Memory comes before CPU and I/O, and these before limits that
/// follow use (C8).
pub fn decide(state: &mut State, seen: &Observation<'_>, now: Millis, actions: &mut Actions) {
    actions.clear();
    let mut node = seen.node;
    // Free swap helps only packs that may be swapped out.
    if let Some(free) = node.swap_free.filter(|free| *free > 0) {
        node.swap_free = Some(free.min(state.swappable(seen.packs)));
    }
    let seen = &Observation { node, ..*seen };
    state.look(seen, now);
    if !state.paused {
        ladder::climb(state, &seen.node, now, actions);
        squeeze::press(state, now);
        give_back::ease(state, now, actions);
        protection::raise(state, &seen.node, now, actions);
    }
    measure::packs(state, &seen.node, now, actions);
    if !state.paused {
        reconcile::write(state, now, actions);
    }
}
