//! Whose memory is short: the node's, or a pack's own.
//!
//! In: the node's stalls and its own reclaim, and each pack's stalls and runs
//! into its own limits. Out: the share of time for which somebody waited for
//! the *node's* memory. Only that ends anybody: what a pack waits for at its
//! own `memory.high` or `memory.max` nobody else can give it, and memory that
//! is merely in use is missed by nobody.

use packrank_kernel::cgroup::Reclaim;

use super::time::scaled;
use super::{Millis, Node, Pack};

/// Shortest stretch from which a share of stalled time is told, in
/// milliseconds: the window of the pressure triggers.
const FRESH_MS: u64 = 500;

/// The longest stretch that tells whether it still presses, in milliseconds.
const PROOF_MS: u64 = 3_000;

/// For how long after it was last seen the node counts as reclaiming, in
/// milliseconds: kswapd works in bursts.
const RECLAIMS_MS: u64 = 1_000;

/// What happened over more than this, in milliseconds, is no evidence of what
/// happens now: the watcher was stopped. Three looks at rest.
const STALE_MS: u64 = 15_000;

/// For how long a pack that ran into its own limit counts as waiting for
/// itself, in milliseconds: over `memory.high` one wait alone takes up to two
/// seconds (`MEMCG_MAX_HIGH_DELAY_JIFFIES` in mm/memcontrol.c).
const OWN_MS: u64 = 5_000;

/// Shares of time, in hundredths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fresh {
    pub some: u64,
    pub full: u64,
}

/// Running totals of stalls, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    some: u64,
    full: u64,
}

/// A moment, and the totals then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    start: Option<(Millis, Totals)>,
}

/// Stalls in microseconds, and the milliseconds in which they were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    us: u64,
    ms: u64,
}

/// What is remembered of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shortage {
    /// Of the last window, for the node's memory.
    pub fresh: Fresh,
    /// The same since the watcher began.
    counted: Totals,
    /// Everybody's stalls, of each pack and of the node, whatever for, since the
    /// watcher began, and the time in which they were told.
    all: Mark,
    /// Their share in the last window, in hundredths of a percent.
    pub all_fresh: u64,
    window: Window,
    scanned: Option<Reclaim>,
    /// When the node was last seen to reclaim, and to make tasks wait for it.
    reclaimed: Option<Millis>,
    waited_for: Option<Millis>,
}

/// What a pack's totals were when the window began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weighed {
    stalled: Option<[u32; 2]>,
    /// Runs into its own limits.
    hits: Option<u32>,
    /// When it last ran into one.
    hit: Option<Millis>,
}

impl Window {
    /// Begins now.
    pub fn restart(&mut self, shortage: &Shortage, now: Millis) {
        self.start = Some((now, shortage.counted));
    }

    /// The shares since it began, once it is `least` milliseconds long, and not
    /// so long that they are of old.
    pub fn look(&mut self, shortage: &Shortage, now: Millis, least: u64) -> Option<Fresh> {
        let Some((start, before)) = self.start else {
            self.restart(shortage, now);
            return None;
        };
        let long = now.since(start);
        if long > PROOF_MS.max(least) {
            self.restart(shortage, now);
            return None;
        }
        (long >= least.max(1)).then(|| shortage.counted.less(before).over(long))
    }
}

impl Totals {
    fn of(node: &Node) -> Option<Totals> {
        Some(Totals {
            some: node.memory_some?.total,
            full: node.memory_full?.total,
        })
    }

    fn less(self, before: Totals) -> Totals {
        Totals {
            some: self.some.saturating_sub(before.some),
            full: self.full.saturating_sub(before.full),
        }
    }

    fn over(self, ms: u64) -> Fresh {
        // Microseconds in milliseconds: a tenth of a percent is one; times ten.
        let share = |total: u64| scaled(total, 10, ms.max(1)).min(10_000);
        Fresh {
            some: share(self.some),
            full: share(self.full),
        }
    }
}

impl Shortage {
    /// Whether packs' stalls are wanted with the next look.
    pub fn due(&self, now: Millis) -> bool {
        let start = self.window.start;
        start.is_none_or(|(at, _)| now.since(at) >= FRESH_MS)
    }

    /// A pack left. What it waited for at its own limit since the window began
    /// is not told any more: the window begins anew.
    pub fn lose(&mut self, pack: &Pack) {
        let hits = pack.seen.and_then(|seen| seen.hits());
        if pack.weighed.hit.is_some() || hits != pack.weighed.hits {
            self.window.start = None;
        }
    }

    /// Takes one look in.
    pub fn look(&mut self, node: &Node, packs: &mut [Option<Pack>], now: Millis) {
        self.reclaim(node, now);
        let Some(totals) = Totals::of(node) else {
            (self.fresh, self.all_fresh, self.window.start) = (Fresh::default(), 0, None);
            return;
        };
        let due = node.weighed && (node.memory_trigger || self.due(now));
        if !due {
            return;
        }
        let window = self.window.start.replace((now, totals));
        let stalls = weigh(packs, now);
        let recent = |(start, _): &(Millis, Totals)| (1..=STALE_MS).contains(&now.since(*start));
        let Some((start, before)) = window.filter(recent) else {
            self.fresh = Fresh::default();
            return;
        };
        let span = now.since(start);
        let all = totals.less(before);
        let node_alone = all.less(stalls.own);
        let reclaims = self.reclaims(node, now, span);
        let others = Totals {
            some: node_alone.some.max(stalls.others.some.min(all.some)),
            full: node_alone.full.max(stalls.others.full.min(all.full)),
        };
        let others = match reclaims && !stalls.lost {
            true => others,
            false => Totals::default(),
        };
        // A trigger speaks of its own window: a long one before it dilutes.
        let over = match node.memory_trigger {
            true => span.min(FRESH_MS),
            false => span,
        };
        self.fresh = others.over(over);
        self.counted.some = self.counted.some.saturating_add(others.some);
        self.counted.full = self.counted.full.saturating_add(others.full);
        let all = all.some.saturating_add(stalls.sum);
        self.all.us = self.all.us.saturating_add(all);
        self.all.ms = self.all.ms.saturating_add(span);
        self.all_fresh = scaled(all, 10, span);
    }

    fn reclaim(&mut self, node: &Node, now: Millis) {
        let rose = |of: fn(&Reclaim) -> u64| {
            let pair = node.reclaim.as_ref().zip(self.scanned.as_ref());
            pair.is_some_and(|(new, old)| of(new) > of(old))
        };
        let direct = rose(|r| r.direct);
        if direct {
            self.waited_for = Some(now);
        }
        if direct || rose(|r| r.background) {
            self.reclaimed = Some(now);
        }
        self.scanned = node.reclaim;
    }

    /// Whether the node itself had to free memory in the last `span`
    /// milliseconds. A kernel that does not tell is believed its stalls.
    fn reclaims(&self, node: &Node, now: Millis, span: u64) -> bool {
        let of_late = |at| now.since(at) <= span.max(RECLAIMS_MS);
        node.reclaim.is_none() || self.reclaimed.is_some_and(of_late)
    }

    /// A mark from which [`Shortage::all_since`] counts.
    pub fn mark(&self) -> Mark {
        self.all
    }

    /// The share of everybody's stalls since a mark that was set so many
    /// milliseconds ago, in hundredths of a percent; `None` when less than half
    /// of that was told.
    pub fn all_since(&self, mark: Mark, ago: u64) -> Option<u64> {
        let (us, ms) = (self.all.us - mark.us, self.all.ms - mark.ms);
        (ms > ago / 2).then(|| scaled(us, 10, ms))
    }

    /// Whether somebody waits for the node's memory: `some` hundredths of a
    /// percent of the time, or at all where the kernel does not tell how long.
    pub fn presses(&self, node: &Node, some: u64, now: Millis) -> bool {
        match Totals::of(node) {
            Some(_) => self.fresh.some >= some,
            None => self
                .waited_for
                .is_some_and(|at| now.since(at) <= RECLAIMS_MS),
        }
    }
}

/// What the packs waited for in the window that ends.
#[derive(Default)]
struct Stalls {
    /// For themselves, added up.
    own: Totals,
    /// For others: that of the pack that waited most.
    others: Totals,
    /// For whatever, added up.
    sum: u64,
    /// One that was told before was not told now: it may explain everything.
    lost: bool,
}

/// Closes every pack's window and opens the next.
fn weigh(packs: &mut [Option<Pack>], now: Millis) -> Stalls {
    let mut stalls = Stalls::default();
    for pack in packs.iter_mut().flatten() {
        let Some(seen) = pack.seen else { continue };
        let before = pack.weighed;
        let hits = seen.hits();
        // Of one that came in this window all is new.
        let ran = hits.is_some_and(|new| new != before.hits.unwrap_or(0));
        pack.weighed = Weighed {
            stalled: seen.stalled().or(before.stalled),
            hits,
            hit: if ran { Some(now) } else { before.hit },
        };
        let Some(new) = seen.stalled() else {
            stalls.lost |= before.stalled.is_some();
            continue;
        };
        let old = before.stalled.unwrap_or_default();
        let [some, full] = [0, 1].map(|at| u64::from(new[at].wrapping_sub(old[at])));
        stalls.sum = stalls.sum.saturating_add(some);
        if pack.waits_for_itself(now) {
            stalls.own.some = stalls.own.some.saturating_add(some);
            stalls.own.full = stalls.own.full.saturating_add(full);
        } else if before.stalled.is_some() {
            stalls.others.some = stalls.others.some.max(some);
            stalls.others.full = stalls.others.full.max(full);
        }
    }
    stalls
}

impl Pack {
    /// Whether it has run into its own `memory.high` or `memory.max` of late:
    /// what it waits for then is its own.
    pub(super) fn waits_for_itself(&self, now: Millis) -> bool {
        let hit = self.weighed.hit;
        hit.is_some_and(|at| now.since(at) <= OWN_MS)
    }
}
