//! Following what the watcher does.
//!
//! In: its socket, again and again. Out: what is new each time, also when
//! another watcher has taken the place of the one before: that one counts from
//! one again, and is told by when it began.

use std::path::Path;

use crate::ask::{AskError, Events, Watcher};
use crate::event::Event;

/// Up to where the watcher was heard.
#[derive(Debug, Default)]
pub struct Follower {
    heard: Option<Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    began: u64,
    last: u64,
}

/// What is new.
#[derive(Debug, Default)]
pub struct News {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Events that the watcher had dropped before they were asked for.
    pub missed: u64,
    /// It was never asked before, so these may be hours old.
    pub first: bool,
}

impl Follower {
    /// What was done since the last time; the first time all that the watcher
    /// still has.
    ///
    /// # Errors
    /// When the watcher does not answer; the next time goes on from the same
    /// place.
    pub fn hear(&mut self, socket: &Path) -> Result<News, AskError> {
        let mut watcher = Watcher::connect(socket)?;
        let after = self.heard.map_or(0, |heard| heard.last);
        let told = watcher.events(after)?;
        match self.heard {
            Some(heard) if another(heard, &told) => {
                let told = watcher.events(0)?;
                Ok(self.take(told, Some(0)))
            }
            heard => Ok(self.take(told, heard.map(|heard| heard.last))),
        }
    }

    fn take(&mut self, told: Events, after: Option<u64>) -> News {
        let mut last = after;
        let mut missed = 0;
        for event in &told.events {
            if let Some(last) = last {
                missed += event.number.saturating_sub(last + 1);
            }
            last = Some(event.number);
        }
        self.heard = Some(Heard {
            began: told.began,
            last: last.unwrap_or(0),
        });
        News {
            events: told.events,
            missed,
            first: after.is_none(),
        }
    }
}

/// Numbers tell too, where two began in the same millisecond.
fn another(heard: Heard, told: &Events) -> bool {
    told.began != heard.began || told.next <= heard.last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use serde_json::{Value as Json, json};

    /// Answers each question in its turn; a connection takes one answer, or
    /// two when the second is asked for over it.
    fn watcher(path: &Path, answers: Vec<(u64, Json)>) -> std::thread::JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            while answers.peek().is_some() {
                let (stream, _) = listener.accept().unwrap();
                let mut writer = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines() {
                    let asked: Json = serde_json::from_str(&line.unwrap()).unwrap();
                    let (after, answer) = answers.next().expect("a question too many");
                    assert_eq!(asked["after"], after);
                    writeln!(writer, "{answer}").unwrap();
                }
            }
        })
    }

    fn events(began: u64, numbers: std::ops::Range<u64>) -> Json {
        let next = numbers.end;
        let events: Vec<Json> = numbers.map(|n| json!({ "number": n, "at": n })).collect();
        json!({ "began": began, "next": next, "events": events })
    }

    #[test]
    fn another_watcher_is_told_by_when_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watcher.sock");
        let answers = watcher(
            &path,
            vec![
                (0, events(100, 7..9)),
                (8, events(100, 9..9)),
                (8, events(100, 11..12)),
                // Another, that has said less; then one that has said more.
                (11, events(200, 0..0)),
                (0, events(200, 1..3)),
                (2, events(300, 3..6)),
                (0, events(300, 1..6)),
                // And one that said more than it keeps.
                (5, events(400, 700..701)),
                (0, events(400, 700..701)),
                (700, events(400, 701..702)),
            ],
        );
        let mut follower = Follower::default();
        let mut hear = || {
            let news = follower.hear(&path).unwrap();
            let numbers: Vec<u64> = news.events.iter().map(|event| event.number).collect();
            (numbers, news.missed, news.first)
        };
        assert_eq!(hear(), (vec![7, 8], 0, true));
        assert_eq!(hear(), (vec![], 0, false));
        assert_eq!(hear(), (vec![11], 2, false));
        assert_eq!(hear(), (vec![1, 2], 0, false));
        assert_eq!(hear(), (vec![1, 2, 3, 4, 5], 0, false));
        assert_eq!(hear(), (vec![700], 699, false));
        assert_eq!(hear(), (vec![701], 0, false));
        answers.join().unwrap();
    }
}
