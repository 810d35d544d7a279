//! What the watcher tells of the node, and of what it did.
//!
//! In: its socket. Out: its answers as types, or why there is none.

use std::path::Path;
use std::time::Duration;

use packrank_watcher::client::Client;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::event::Event;

pub use packrank_watcher::client::AskError;

/// How long an answer is waited for: the watcher's longest look at a thousand
/// packs is a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The watcher, from outside.
#[derive(Debug)]
pub struct Watcher(Client);

/// What the watcher knows of the node as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Its version.
    pub version: String,
    /// Whether a person stopped it from acting.
    pub paused: bool,
    /// The levels that count now.
    pub pressure: Levels,
    /// What this node did not allow it.
    pub notes: Vec<String>,
    /// Packs whose weights do not compare.
    pub incomparable: Vec<String>,
}

/// Pressure levels by name: none, low, medium, high, critical.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Levels {
    /// Memory's.
    pub memory: String,
    /// The CPUs'.
    pub cpu: String,
    /// The disks'.
    pub io: String,
}

/// What the watcher did, as far as it still has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<Event>,
    /// The number that the next one will have.
    pub next: u64,
    /// When this watcher began, in milliseconds since the epoch: another's is
    /// another, and counts from one.
    pub began: u64,
}

impl Levels {
    /// Each resource with its level.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &str); 3] {
        [
            ("memory", &self.memory),
            ("cpu", &self.cpu),
            ("io", &self.io),
        ]
    }
}

/// A level as a number: 0 for none to 4 for critical.
#[must_use]
pub fn level_number(name: &str) -> u64 {
    let names = ["none", "low", "medium", "high", "critical"];
    let at = names.iter().position(|known| *known == name);
    at.map_or(0, |at| at as u64)
}

impl Watcher {
    /// Connects to the watcher whose socket is at `path`.
    ///
    /// # Errors
    /// When none listens there.
    pub fn connect(path: &Path) -> Result<Watcher, AskError> {
        Client::connect(path, PATIENCE).map(Watcher)
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// When it does not answer, refuses, or answers no JSON.
    pub fn ask(&mut self, request: &Json) -> Result<Json, AskError> {
        self.0.ask(request)
    }

    /// The node as a whole.
    ///
    /// # Errors
    /// As [`Watcher::ask`].
    pub fn node(&mut self) -> Result<Told, AskError> {
        let answer = self.ask(&json!({ "verb": "node" }))?;
        Ok(serde_json::from_value(answer)?)
    }

    /// The events after the one with this number, oldest first.
    ///
    /// # Errors
    /// As [`Watcher::ask`].
    pub fn events(&mut self, after: u64) -> Result<Events, AskError> {
        let answer = self.ask(&json!({ "verb": "events", "after": after }))?;
        Ok(serde_json::from_value(answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn answers_refusals_and_silence_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watcher.sock");
        let nobody = Watcher::connect(&path);
        assert!(matches!(nobody, Err(AskError::NoWatcher { .. })));
        let listener = UnixListener::bind(&path).unwrap();
        let answers = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut stream = stream;
            for answer in [
                "{\"paused\":true,\"pressure\":{\"memory\":\"high\"},\"later\":1}",
                "{\"error\":\"no\"}",
                "{\"events\":[{\"number\":3,\"at\":5,\"what\":\"Kill\",\"id\":\"a\"}]}",
                "x",
            ] {
                lines.next().unwrap().unwrap();
                writeln!(stream, "{answer}").unwrap();
            }
        });
        let mut watcher = Watcher::connect(&path).unwrap();
        let told = watcher.node().unwrap();
        assert!(told.paused && level_number(&told.pressure.memory) == 3);
        assert_eq!(level_number(&told.pressure.io), 0);
        assert!(matches!(watcher.node(), Err(AskError::Refused(why)) if why == "no"));
        let events = watcher.events(0).unwrap().events;
        assert_eq!((events[0].number, events[0].what.as_str()), (3, "Kill"));
        assert!(matches!(watcher.node(), Err(AskError::Strange(_))));
        assert!(matches!(watcher.node(), Err(AskError::Silent(_))));
        answers.join().unwrap();
    }
}
