//! The last events, and how many of each kind there were.
//!
//! In: decisions as they are carried out. Out: the last few hundred, for
//! `packrank events`; counts since the start, for metrics; and a line each
//! where somebody watches.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use packrank_core::Priority;
use serde_json::{Value as Json, json};

use crate::decide::{Action, Outcome};
use crate::event::{Event, NAMES, What, name};

/// Events kept: an hour of a busy node.
const KEPT: usize = 512;

/// Whom an event is about: a pack and its class, or a cgroup above packs.
type Of = (Option<Arc<str>>, Option<&'static str>, Option<Arc<Path>>);

/// The last events.
#[derive(Debug)]
pub struct Journal {
    events: VecDeque<Event>,
    counts: BTreeMap<(&'static str, Option<&'static str>), u64>,
    next: u64,
    began: u64,
    print: bool,
}

impl Journal {
    /// An empty one; `print`: each also goes to standard output. `began`: now,
    /// in milliseconds since the epoch.
    #[must_use]
    pub fn new(print: bool, began: u64) -> Journal {
        // All there can be: counting while memory presses makes no new one.
        let classes = || Priority::ALL.into_iter().map(|class| Some(class.name()));
        let kinds = NAMES.into_iter().flat_map(|deed| {
            let classes = classes().chain([None]);
            classes.map(move |class| ((deed, class), 0))
        });
        Journal {
            events: VecDeque::with_capacity(KEPT),
            counts: kinds.collect(),
            next: 1,
            began,
            print,
        }
    }

    /// Takes a decision in, with whom it was about.
    pub fn add(
        &mut self,
        action: &Action,
        outcome: Outcome,
        of: Option<(Arc<str>, Priority)>,
        cgroup: Option<Arc<Path>>,
        at: u64,
    ) {
        let (id, class) = of.unzip();
        let class = class.map(Priority::name);
        if outcome != Outcome::Refused && !action.audit {
            *self.counts.entry((name(&action.deed), class)).or_default() += 1;
        }
        self.note(at, (id, class, cgroup), What::Did(*action, outcome));
    }

    /// Something that is no decision: a start, a record set aside.
    pub fn say(&mut self, what: String, id: Option<&str>, at: u64) {
        let id = id.map(Arc::from);
        self.note(at, (id, None, None), What::Remark(what.into()));
    }

    fn note(&mut self, at: u64, (id, class, cgroup): Of, what: What) {
        let event = Event {
            number: self.next,
            at,
            id,
            class,
            cgroup,
            what,
        };
        if self.print {
            println!("{}", event.line());
        }
        self.next += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Those after the one with this number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Event> {
        let events = self.events.iter();
        events.filter(move |event| event.number > number)
    }

    /// The number that the next one will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// When it began: another watcher's is another.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.began
    }

    /// How many deeds of each kind were done to each class since the start.
    #[must_use]
    pub fn counts(&self) -> Json {
        let rows = self.counts.iter().filter(|(_, count)| **count > 0);
        let rows = rows
            .map(|((deed, class), count)| json!({ "deed": deed, "class": class, "count": count }));
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_numbers_go_on() {
        let mut journal = Journal::new(false, 0);
        for n in 0..1_000 {
            journal.say(format!("{n}"), None, n);
        }
        let events: Vec<&Event> = journal.after(0).collect();
        assert_eq!((events.len(), events[0].number), (KEPT, 489));
        assert_eq!((journal.next(), journal.after(998).count()), (1_001, 2));
    }
}
