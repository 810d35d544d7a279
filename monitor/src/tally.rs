//! How often what was done.
//!
//! In: the watcher's events, as they come. Out: counts by pack, action, reason
//! and result. They outlive their pack by a while, or nobody would ever see
//! that it was killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ask::AskError;
use crate::event::Event;
use crate::follow::{Follower, News};
use crate::snapshot::Snapshot;

/// How long the counts of a pack that is gone are kept: ten scrapes a minute
/// apart.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Packs that are gone and still counted; the longest gone go first.
const MOST_GONE: usize = 256;

/// Who a pack is, in labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Its name, or its id where two have the same.
    pub pack: String,
    /// Its pod, or nothing.
    pub pod: String,
    /// Its namespace, or nothing.
    pub namespace: String,
    /// Its class; nothing for the node.
    pub class: String,
}

/// Action, reason, result.
pub type Kind = (&'static str, &'static str, &'static str);

#[derive(Debug)]
struct Counted {
    who: Who,
    seen: Instant,
    counts: BTreeMap<Kind, u64>,
}

/// Counts since this process began to follow the watcher, and of what was done
/// in the ten minutes before.
#[derive(Debug, Default)]
pub struct Tally {
    packs: BTreeMap<String, Counted>,
    follower: Follower,
    /// Events that the watcher had dropped before they were read.
    pub missed: u64,
}

impl Tally {
    /// Takes in who runs, then what was done since the last time. Events about
    /// a pack that nobody ever saw carry its id.
    ///
    /// # Errors
    /// When the watcher does not answer; counts stay as they were.
    pub fn follow(
        &mut self,
        socket: &Path,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), AskError> {
        for (pack, who) in snapshot.packs.iter().zip(names(snapshot)) {
            let counted = self
                .packs
                .entry(pack.record.id.clone())
                .or_insert_with(|| Counted {
                    who: Who::default(),
                    seen: now,
                    counts: BTreeMap::new(),
                });
            counted.seen = now;
            counted.who = who;
        }
        let news = self.follower.hear(socket).map(|news| {
            self.take(&news, now, snapshot.at);
        });
        self.forget(now);
        news
    }

    fn take(&mut self, news: &News, now: Instant, wall: SystemTime) {
        self.missed += news.missed;
        for event in &news.events {
            // Who only now begins to look finds what was done hours ago, to
            // packs long gone: that is not told as done now.
            let age = match news.first {
                true => age(event, wall),
                false => Duration::ZERO,
            };
            let (Some(action), true) = (event.action(), age < REMEMBERED) else {
                continue;
            };
            let done = now.checked_sub(age).unwrap_or(now);
            let id = event.id.clone().unwrap_or_default();
            let counted = self.packs.entry(id.clone()).or_insert_with(|| Counted {
                who: Who {
                    pack: id,
                    class: event.class.clone().unwrap_or_default(),
                    ..Who::default()
                },
                seen: done,
                counts: BTreeMap::new(),
            });
            counted.seen = counted.seen.max(done);
            let kind = (action, event.reason(), event.result());
            *counted.counts.entry(kind).or_default() += 1;
        }
    }

    fn forget(&mut self, now: Instant) {
        // The node itself has no id, and does not go.
        self.packs
            .retain(|id, c| id.is_empty() || now.duration_since(c.seen) < REMEMBERED);
        let gone = |c: &Counted| c.seen < now;
        let mut ages: Vec<(Instant, String)> = self
            .packs
            .iter()
            .filter(|(id, c)| !id.is_empty() && gone(c))
            .map(|(id, c)| (c.seen, id.clone()))
            .collect();
        let more = ages.len().saturating_sub(MOST_GONE);
        ages.sort();
        for (_, id) in &ages[..more] {
            self.packs.remove(id);
        }
    }

    /// Every count.
    pub fn counts(&self) -> impl Iterator<Item = (&Who, Kind, u64)> {
        self.packs.values().flat_map(|counted| {
            let counts = counted.counts.iter();
            counts.map(|(kind, count)| (&counted.who, *kind, *count))
        })
    }
}

/// How long ago it was done; nothing for what a clock that was set back has in
/// the future.
fn age(event: &Event, wall: SystemTime) -> Duration {
    let at = UNIX_EPOCH + Duration::from_millis(event.at);
    wall.duration_since(at).unwrap_or_default()
}

/// Each pack's labels. Where two packs would have the same, their ids tell
/// them apart: a sample may be there once only.
#[must_use]
pub fn names(snapshot: &Snapshot) -> Vec<Who> {
    let who = |pack: &crate::Pack, name: &str| {
        let record = &pack.record;
        Who {
            pack: name.to_owned(),
            pod: record.names.pod.clone().unwrap_or_default(),
            namespace: record.names.namespace.clone().unwrap_or_default(),
            class: record.priority.name().to_owned(),
        }
    };
    let mut seen = BTreeMap::new();
    let named: Vec<Who> = snapshot
        .packs
        .iter()
        .map(|pack| {
            who(
                pack,
                pack.record.names.name.as_deref().unwrap_or(&pack.record.id),
            )
        })
        .collect();
    for name in &named {
        *seen.entry(name.clone()).or_insert(0u32) += 1;
    }
    let packs = snapshot.packs.iter().zip(named);
    packs
        .map(|(pack, name)| match seen.get(&name) {
            Some(1) => name,
            _ => who(pack, &pack.record.id),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(number: u64, id: &str) -> Event {
        Event {
            number,
            id: Some(id.to_owned()),
            class: Some("scavenger".to_owned()),
            what: "Kill".to_owned(),
            why: "Pressure(Memory, High)".to_owned(),
            outcome: "Done".to_owned(),
            ..Event::default()
        }
    }

    /// What was done now, to one who follows already.
    fn news(events: Vec<Event>) -> News {
        News {
            events,
            ..News::default()
        }
    }

    fn names_counted(tally: &Tally) -> Vec<(&str, u64)> {
        let counts = tally.counts();
        counts
            .map(|(who, _, n)| (who.pack.as_str(), n))
            .collect::<Vec<_>>()
    }

    #[test]
    fn what_is_done_is_counted_and_the_gone_are_forgotten_in_time() {
        let mut tally = Tally::default();
        let begin = Instant::now();
        let kills = vec![kill(7, "a"), kill(8, "a"), kill(12, "b")];
        tally.take(&news(kills), begin, UNIX_EPOCH);
        assert_eq!(names_counted(&tally), [("a", 2), ("b", 1)]);
        tally.forget(begin + REMEMBERED / 2);
        assert_eq!(tally.counts().count(), 2);
        tally.forget(begin + REMEMBERED);
        assert_eq!(tally.counts().count(), 0);
    }

    #[test]
    fn who_begins_to_look_does_not_tell_of_old_kills_as_new() {
        let (begin, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(90_000));
        let ago = |seconds: u64, event: Event| Event {
            at: (90_000 - seconds) * 1_000,
            ..event
        };
        let told = News {
            events: vec![
                ago(7_200, kill(1, "hours")),
                ago(600, kill(2, "just")),
                ago(400, kill(3, "late")),
                // A clock was set back.
                Event {
                    at: 95_000_000,
                    ..kill(4, "ahead")
                },
            ],
            missed: 0,
            first: true,
        };
        let mut tally = Tally::default();
        tally.take(&told, begin, wall);
        assert_eq!(names_counted(&tally), [("ahead", 1), ("late", 1)]);
        // Ten minutes from when it was done, not from when it was seen.
        tally.forget(begin + Duration::from_secs(199));
        assert_eq!(tally.counts().count(), 2);
        tally.forget(begin + Duration::from_secs(200));
        assert_eq!(names_counted(&tally), [("ahead", 1)]);
    }

    #[test]
    fn a_storm_of_short_packs_stays_bounded() {
        let mut tally = Tally::default();
        let begin = Instant::now();
        for n in 0..2_000u64 {
            let at = begin + Duration::from_millis(n);
            let kills = vec![kill(n + 1, &format!("p{n}"))];
            tally.take(&news(kills), at, UNIX_EPOCH);
            tally.forget(at + Duration::from_micros(1));
        }
        assert!(tally.counts().count() <= MOST_GONE);
        assert!(tally.counts().any(|(who, ..)| who.pack == "p1999"));
    }
}
