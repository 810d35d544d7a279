//! What was done to whom, and why.
//!
//! In: decisions as they are carried out. Out: the last few hundred, for
//! `packrank events`, and a line each where somebody watches.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::decide::{Action, Outcome};

/// Events kept: an hour of a busy node.
const KEPT: usize = 512;

/// One event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Grows by one with each.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub at: u64,
    /// The container's id; absent for the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// What was done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What came of it.
    pub outcome: String,
    /// Decided and recorded only.
    pub audit: bool,
}

/// The last events.
#[derive(Debug)]
pub struct Journal {
    events: VecDeque<Event>,
    next: u64,
    print: bool,
}

impl Journal {
    /// An empty one; `print`: each also goes to standard output.
    #[must_use]
    pub fn new(print: bool) -> Journal {
        Journal {
            events: VecDeque::with_capacity(KEPT),
            next: 1,
            print,
        }
    }

    /// Takes one in.
    pub fn add(
        &mut self,
        action: &Action,
        outcome: Outcome,
        of: Option<(Arc<str>, &'static str)>,
        at: u64,
    ) {
        let (id, class) = of.unzip();
        let event = Event {
            number: self.next,
            at,
            id: id.map(|id| id.to_string()),
            class,
            what: format!("{:?}", action.deed),
            why: format!("{:?}", action.why),
            outcome: format!("{outcome:?}"),
            audit: action.audit,
        };
        self.note(event);
    }

    /// Something that is no decision: a start, a record set aside.
    pub fn say(&mut self, what: String, id: Option<&str>, at: u64) {
        let event = Event {
            number: self.next,
            at,
            id: id.map(str::to_owned),
            class: None,
            what,
            why: String::new(),
            outcome: String::new(),
            audit: false,
        };
        self.note(event);
    }

    fn note(&mut self, event: Event) {
        if self.print {
            let id = event.id.as_deref().unwrap_or("node");
            let audit = if event.audit { " (audit)" } else { "" };
            let class = event.class.unwrap_or("-");
            let Event {
                what, why, outcome, ..
            } = &event;
            println!("{id} {class}: {what} {why} {outcome}{audit}");
        }
        self.next += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Those after the one with this number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(move |event| event.number > number)
    }
}
