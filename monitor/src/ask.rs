//! Asking the watcher.
//!
//! In: one line of JSON for its socket. Out: its answer, or why there is none.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::event::Event;

/// How long an answer is waited for: the watcher's longest look at a thousand
/// packs is a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer that is taken: every event the watcher keeps is 200 KiB,
/// every pack of a full node 15 MiB.
const LONGEST: u64 = 32 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No watcher runs, or it does not answer in time.
    #[error("the watcher does not answer: {0}")]
    Silent(#[from] io::Error),
    /// It says no.
    #[error("the watcher refuses: {0}")]
    Refused(String),
    /// Its answer cannot be read.
    #[error("the watcher's answer cannot be read: {0}")]
    Strange(#[from] serde_json::Error),
}

/// The watcher, from outside.
#[derive(Debug)]
pub struct Watcher {
    stream: BufReader<io::Take<UnixStream>>,
}

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
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream = BufReader::new(stream.take(LONGEST));
        Ok(Watcher { stream })
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// When it does not answer, refuses, or answers no JSON.
    pub fn ask(&mut self, request: &Json) -> Result<Json, AskError> {
        self.stream.get_mut().set_limit(LONGEST);
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        self.stream.get_mut().get_mut().write_all(&line)?;
        let mut answer = Vec::new();
        self.stream.read_until(b'\n', &mut answer)?;
        if answer.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let answer: Json = serde_json::from_slice(&answer)?;
        match answer.get("error") {
            Some(why) => Err(AskError::Refused(why.as_str().unwrap_or("").to_owned())),
            None => Ok(answer),
        }
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
    pub fn events(&mut self, after: u64) -> Result<Vec<Event>, AskError> {
        let mut answer = self.ask(&json!({ "verb": "events", "after": after }))?;
        Ok(serde_json::from_value(answer["events"].take())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn answers_refusals_and_silence_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watcher.sock");
        assert!(matches!(Watcher::connect(&path), Err(AskError::Silent(_))));
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
        let events = watcher.events(0).unwrap();
        assert_eq!((events[0].number, events[0].what.as_str()), (3, "Kill"));
        assert!(matches!(watcher.node(), Err(AskError::Strange(_))));
        assert!(matches!(watcher.node(), Err(AskError::Silent(_))));
        answers.join().unwrap();
    }
}
