//! What the watcher did: one event.
//!
//! In: its JSON. Out: an [`Event`], and its action and reason as words from a
//! short list, for labels and for people.

use serde::{Deserialize, Serialize};

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Grows by one with each.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub at: u64,
    /// The container; absent for the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What was done.
    pub what: String,
    /// Why; empty for what is no decision.
    pub why: String,
    /// What came of it.
    pub outcome: String,
    /// Decided and recorded only.
    pub audit: bool,
    /// The whole in words, where the watcher says it.
    pub text: String,
}

/// Every action, as the watcher writes it and as it is labelled.
const ACTIONS: [(&str, &str); 9] = [
    ("Reclaim", "reclaim"),
    ("Compact", "compact"),
    ("Signal", "signal"),
    ("Freeze", "freeze"),
    ("Thaw", "thaw"),
    ("Kill", "kill"),
    ("Set", "set"),
    ("Protect", "protect"),
    ("Alert", "alert"),
];

/// Every reason, likewise; the first that the text begins with counts.
const REASONS: [(&str, &str); 10] = [
    ("Pressure(Memory", "memory pressure"),
    ("Pressure(Cpu", "cpu pressure"),
    ("Pressure(Io", "io pressure"),
    ("GiveBack", "given back"),
    ("Use", "use"),
    ("Trend", "trend"),
    ("Violation", "violation"),
    ("Guarantee", "guarantee"),
    ("Restore", "restored"),
    ("Person", "person"),
];

impl Event {
    /// What was done, in one word; `None` for what is no decision.
    #[must_use]
    pub fn action(&self) -> Option<&'static str> {
        let end = self.what.find(|c: char| !c.is_ascii_alphabetic());
        let word = &self.what[..end.unwrap_or(self.what.len())];
        let known = ACTIONS.iter().find(|(written, _)| *written == word);
        known
            .filter(|_| !self.why.is_empty())
            .map(|(_, name)| *name)
    }

    /// Why, in a word or two.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        let known = REASONS
            .iter()
            .find(|(begin, _)| self.why.starts_with(begin));
        known.map_or("other", |(_, name)| name)
    }

    /// For people: what, and why.
    #[must_use]
    pub fn words(&self) -> String {
        let why = match self.action() {
            Some(_) => format!(", {}", self.reason()),
            None => String::new(),
        };
        match self.text.is_empty() {
            true => format!("{}{why}", self.what),
            false => self.text.clone(),
        }
    }

    /// Whether the kernel did it.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self.outcome.as_str() {
            "Refused" => "refused",
            "Gone" => "gone",
            _ if self.audit => "audit",
            _ => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packrank_watcher::decide::{Action, Deed, Level, Outcome, Resource, Why};
    use packrank_watcher::journal::Journal;

    #[test]
    fn the_watchers_own_words_are_known() {
        let mut journal = Journal::new(false, 0);
        let pressed = Why::Pressure(Resource::Memory, Level::High);
        for (deed, why) in [
            (Deed::Kill, pressed),
            (
                Deed::Reclaim(1 << 20),
                Why::Pressure(Resource::Io, Level::Low),
            ),
            (Deed::Compact, Why::GiveBack),
            (Deed::Signal(10), Why::Use(93)),
        ] {
            let action = Action {
                slot: None,
                deed,
                why,
                audit: false,
            };
            journal.add(&action, Outcome::Refused, None, None, 0);
        }
        journal.say("Kill is a word here".to_owned(), None, 0);
        let read = |event| serde_json::from_value::<Event>(serde_json::to_value(event).unwrap());
        let events: Vec<Event> = journal.after(0).map(|e| read(e).unwrap()).collect();
        let words: Vec<_> = events.iter().map(|e| (e.action(), e.reason())).collect();
        assert_eq!(
            words,
            [
                (Some("kill"), "memory pressure"),
                (Some("reclaim"), "io pressure"),
                (Some("compact"), "given back"),
                (Some("signal"), "use"),
                (None, "other"),
            ]
        );
        assert_eq!(events[0].result(), "refused");
    }
}
