//! Limits follow use (C5).
//!
//! In: a pack's use of each limit, five seconds after the last look. Out: a
//! smaller limit after long idleness, a larger one after some business or at
//! once in need; between floor, ceiling and the node's headroom.

use packrank_core::Priority;
use packrank_core::record::Amount;

use super::dial::Zone;
use super::forecast::limit_for;
use super::time::{percent_of, scaled};
use super::{Action, Actions, Alert, Deed, Dial, Knob, Level, Millis, Node, Pack, Resource};
use super::{Slot, State, Why};
use crate::config::{Adaptive, Config};

/// What the node has left for growth in this look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    memory: Option<(u64, u64)>,
    cpu: Option<(u64, u64)>,
    levels: [Level; 3],
}

impl Room {
    pub fn of(state: &State, node: &Node) -> Room {
        let cpu = node.cpu_capacity.zip(node.cpu_used);
        Room {
            memory: node.memory_total.zip(node.memory_available),
            cpu: cpu.map(|(all, used)| (all, all.saturating_sub(used))),
            levels: [state.memory.level(), state.cpu.level(), state.io.level()],
        }
    }

    fn level(&self, knob: Knob) -> Level {
        match resource(knob) {
            Some(resource) => self.levels[resource as usize],
            None => Level::None,
        }
    }

    /// How much of `more` fits beside the headroom, and takes it.
    fn take(&mut self, knob: Knob, class: Priority, config: &Adaptive, more: u64) -> u64 {
        let percent = match class {
            Priority::Scavenger | Priority::Low => config.low_headroom,
            _ => config.headroom,
        };
        let pool = match resource(knob) {
            Some(Resource::Memory) => &mut self.memory,
            Some(Resource::Cpu) => &mut self.cpu,
            _ => return more,
        };
        let Some((all, left)) = pool else { return more };
        let kept = percent_of(percent, *all);
        let taken = more.min(left.saturating_sub(kept));
        *left -= taken;
        taken
    }
}

fn resource(knob: Knob) -> Option<Resource> {
    match knob {
        Knob::MemoryHigh | Knob::MemoryLimit | Knob::Guarantee => Some(Resource::Memory),
        Knob::CpuQuota => Some(Resource::Cpu),
        Knob::ReadBps | Knob::WriteBps | Knob::ReadIops | Knob::WriteIops => Some(Resource::Io),
        Knob::Egress | Knob::Ingress => None,
    }
}

/// What adapts. memory.max grows beside memory.high.
const ADAPTING: [Knob; 8] = [
    Knob::MemoryHigh,
    Knob::CpuQuota,
    Knob::ReadBps,
    Knob::WriteBps,
    Knob::ReadIops,
    Knob::WriteIops,
    Knob::Egress,
    Knob::Ingress,
];

/// The longest wait before shrinking, in doublings of `down-after`: 80 minutes.
const MOST_REGRETS: u8 = 4;

/// Lets one pack's limits follow; whether any changed.
pub(super) fn follow(
    config: &Config,
    pack: &mut Pack,
    slot: Slot,
    room: &mut Room,
    now: Millis,
    actions: &mut Actions,
) -> bool {
    if !config.adaptive.enabled || !pack.facts.adaptive || !pack.lives() || pack.frozen {
        return false;
    }
    let mut any = false;
    for knob in ADAPTING {
        let Some(used) = pack.rate(knob) else {
            continue;
        };
        let need = match knob {
            Knob::MemoryHigh => pack.forecasts.memory_need.enough(),
            Knob::CpuQuota => pack.forecasts.cpu_need.enough(),
            _ => None,
        };
        let trend = trend(config, pack, knob);
        let (class, audit) = (pack.facts.class, pack.facts.audit);
        let dial = &mut pack.dials[knob as usize];
        if !dial.free() || dial.pressed().is_some() {
            continue;
        }
        let Amount::At(limit) = dial.adapted() else {
            continue;
        };
        let percent = scaled(used, 100, limit);
        let wish = wish(&config.adaptive, dial, percent, trend, now);
        let next = match wish {
            Wish::Stay => continue,
            Wish::Less => shrunk(&config.adaptive, dial, limit, used.max(need.unwrap_or(0))),
            Wish::More(by) => {
                if room.level(knob) > Level::Low {
                    continue;
                }
                let most = dial.ceiling().number().unwrap_or(u64::MAX);
                let more = scaled(limit, by, 100).min(most).saturating_sub(limit);
                limit + room.take(knob, class, &config.adaptive, more)
            }
        };
        let near = percent >= config.adaptive.emergency;
        let alert = near && !dial.alerted;
        if alert || next != limit {
            let why = trend
                .filter(|_| !near)
                .map_or(Why::Use(percent), Why::Trend);
            if alert {
                let deed = Deed::Alert(Alert::NearLimit(knob));
                dial.alerted = actions.push(Action {
                    slot: Some(slot),
                    deed,
                    why,
                    audit,
                });
            }
            any |= dial.turn(next, limit, now);
        }
    }
    any |= grow_limit(pack);
    pack.touched |= any;
    any
}

/// What use asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stay,
    Less,
    /// To so many percent.
    More(u64),
}

fn wish(config: &Adaptive, dial: &mut Dial, percent: u64, trend: Option<u64>, now: Millis) -> Wish {
    if percent < config.busy {
        dial.alerted = false;
    }
    let zone = match percent {
        p if p < config.idle => Zone::Idle,
        p if p >= config.busy => Zone::Busy,
        _ => Zone::Right,
    };
    if dial.zone != zone {
        (dial.zone, dial.since) = (zone, None);
    }
    let cool = now.passed(dial.changed, config.cool_down);
    match percent {
        p if p < config.idle => {
            let since = *dial.since.get_or_insert(now);
            let after = config.down_after << dial.regrets.min(MOST_REGRETS);
            let due = now.passed(since, after) && now.passed(dial.changed, after);
            if due { Wish::Less } else { Wish::Stay }
        }
        p if p >= config.emergency && cool => Wish::More(config.grow_at_once),
        p if p >= config.busy => {
            let since = *dial.since.get_or_insert(now);
            let due =
                now.passed(since, config.up_after) && now.passed(dial.changed, config.up_after);
            if due {
                Wish::More(config.grow)
            } else {
                Wish::Stay
            }
        }
        _ if trend.is_some() && now.passed(dial.changed, config.up_after) => {
            Wish::More(config.grow)
        }
        _ => Wish::Stay,
    }
}

/// Seconds until memory's trend reaches the limit, when that is near.
fn trend(config: &Config, pack: &Pack, knob: Knob) -> Option<u64> {
    let adaptive = &config.adaptive;
    let limit = pack
        .dial(knob)
        .adapted()
        .number()
        .filter(|_| knob == Knob::MemoryHigh)?;
    let trend = &pack.forecasts.memory;
    // A trend that was off by a fifth of late is no reason to act.
    let trusted = trend.score().count > 0 && trend.score().off_permille < 200;
    let seconds = trend.steps_until(limit)?.saturating_mul(adaptive.every);
    (trusted && seconds <= adaptive.horizon).then_some(seconds)
}

/// A step down, but never so far that what is needed lies outside the zone
/// in which a limit is left alone.
fn shrunk(config: &Adaptive, dial: &Dial, limit: u64, need: u64) -> u64 {
    let to = percent_of(config.shrink, limit);
    let to = to.max(limit_for(need, config.busy)).max(dial.floor);
    // Less than a twentieth is not worth a write.
    if to > percent_of(95, limit) {
        limit
    } else {
        to
    }
}

impl Dial {
    fn turn(&mut self, next: u64, limit: u64, now: Millis) -> bool {
        if next == limit {
            return false;
        }
        if next > limit && self.went_down {
            self.regrets = (self.regrets + 1).min(MOST_REGRETS);
        }
        self.went_down = next < limit;
        self.adapt(Amount::At(next));
        self.changed = now;
        self.since = None;
        true
    }
}

/// memory.max keeps a tenth above memory.high, within its own ceiling, and
/// never shrinks; memory.high stays within it.
fn grow_limit(pack: &mut Pack) -> bool {
    let Amount::At(high) = pack.dial(Knob::MemoryHigh).adapted() else {
        return false;
    };
    let limit = &mut pack.dials[Knob::MemoryLimit as usize];
    let Amount::At(now) = limit.adapted() else {
        return false;
    };
    if !limit.free() {
        return false;
    }
    let wanted = Amount::At(scaled(high, 10, 9)).min(limit.ceiling());
    let grows = wanted > Amount::At(now);
    if grows {
        limit.adapt(wanted);
    }
    grows
}
