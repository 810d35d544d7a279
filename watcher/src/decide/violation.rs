//! Broken bounds (C6).
//!
//! In: a pack's figures. Out: an alert when one begins to be broken, and a
//! restart for a pack that asked for it and stays at its memory limit, or
//! stands still at its `memory.high`.

use super::pack::Killed;
use super::time::scaled;
use super::{Action, Actions, Alert, Deed, Knob, Millis, Pack, Slot, Why};
use crate::config::Config;

/// The bounds of one pack: since when each is broken, and whether it was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Broken {
    since: [Option<Millis>; 6],
    said: [bool; 6],
}

/// Looks at one pack's bounds. A watcher that is paused tells of them and ends nobody.
pub(super) fn check(
    config: &Config,
    pack: &mut Pack,
    slot: Slot,
    (now, paused): (Millis, bool),
    actions: &mut Actions,
) {
    let (Some(before), Some(seen)) = (pack.measured, pack.seen) else {
        return;
    };
    if !pack.lives() {
        return;
    }
    let bounds = &config.violation;
    let counts = |percent: Option<u8>| percent.is_some_and(|p| u64::from(p) >= bounds.count);
    let limit = pack
        .dial(Knob::MemoryLimit)
        .wrote()
        .and_then(|a| a.number());
    let full = pack
        .working_set()
        .zip(limit)
        .is_some_and(|(used, limit)| limit > 0 && scaled(used, 100, limit) >= bounds.memory);
    let ran_into = before
        .at_limit()
        .zip(seen.at_limit())
        .is_some_and(|(a, b)| b > a);
    // At its memory.high: it ran into that, and stood still for a tenth of the
    // time.
    let ran = before.at_high().zip(seen.at_high());
    let stood = before.stalled().zip(seen.stalled());
    let held = ran.is_some_and(|(a, b)| a != b)
        && stood.is_some_and(|(a, b)| {
            let ms = u64::from(b[1].wrapping_sub(a[1])) / 1_000;
            ms >= seen.at.since(before.at) / 10
        });
    let rows = [
        (Alert::MemoryAtLimit, full || ran_into || held, 0),
        (Alert::CpuThrottled, pack.held_back, bounds.throttled),
        (Alert::IoThrottled, pack.io_held_back, bounds.throttled),
        (Alert::Files, counts(seen.files()), 0),
        (Alert::Connections, counts(seen.connections()), 0),
        (Alert::DiskSpace, counts(seen.disk()), 0),
    ];
    let audit = pack.facts.audit;
    let act = |deed, actions: &mut Actions| {
        actions.push(Action {
            slot: Some(slot),
            deed,
            why: Why::Violation,
            audit,
        })
    };
    let Broken { since, said } = &mut pack.broken;
    for ((since, said), (alert, broken, after)) in since.iter_mut().zip(said).zip(rows) {
        if !broken {
            (*since, *said) = (None, false);
            continue;
        }
        let since = *since.get_or_insert(now);
        if !*said && now.passed(since, after) {
            *said = act(Deed::Alert(alert), actions);
        }
    }
    let Broken { since, said } = pack.broken;
    let long = since[0].is_some_and(|since| now.passed(since, bounds.restart_after));
    if pack.facts.restart && said[0] && long && !paused && act(Deed::Kill, actions) {
        pack.killed = Some(Killed {
            at: now,
            stuck: false,
        });
    }
}
