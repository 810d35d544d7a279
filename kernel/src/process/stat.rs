//! In: the text of a process's stat. Out: whether it runs, and since when.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::thread;
use crate::cgroup::Line;

/// What `/proc/PID/stat` says, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether a thread of it runs. One without has left its cgroup and its
    /// namespaces, and waits to be reaped.
    pub runs: bool,
    /// When it started, in clock ticks since boot (field 22).
    pub started: u64,
}

impl Stat {
    /// The process's, if there is one.
    #[must_use]
    pub fn of(pid: u32) -> Option<Stat> {
        let path = Line::of(format_args!("/proc/{pid}/stat"));
        let (letter, started) = read(Path::new(path.as_str()))?;
        let others = || {
            let folder = Line::of(format_args!("/proc/{pid}"));
            thread::other(Path::new(folder.as_str())).is_some()
        };
        Some(Stat {
            runs: letter.runs() || others(),
            started,
        })
    }

    /// When the process of this text started.
    pub(super) fn started(text: &str) -> Option<u64> {
        Some(parse(text)?.1)
    }
}

/// The state of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Letter(u8);

impl Letter {
    /// The thread's with this stat file.
    pub(super) fn of(stat: &Path) -> Option<Letter> {
        Some(read(stat)?.0)
    }

    pub(super) fn runs(self) -> bool {
        !matches!(self.0, b'Z' | b'X')
    }
}

fn read(path: &Path) -> Option<(Letter, u64)> {
    let mut file = File::open(path).ok()?;
    // A name of 15 bytes and 51 numbers; only the name may be no text.
    let mut buffer = [0; 1024];
    let read = file.read(&mut buffer).ok()?;
    let behind = buffer[..read].iter().rposition(|byte| *byte == b')')?;
    parse(str::from_utf8(&buffer[behind..read]).ok()?)
}

/// Counted behind the last parenthesis, since a program's name may hold
/// anything.
fn parse(text: &str) -> Option<(Letter, u64)> {
    let (_, behind) = text.rsplit_once(')')?;
    let mut fields = behind.split_whitespace();
    let letter = Letter(*fields.next()?.as_bytes().first()?);
    let started = fields.nth(18)?.parse().ok()?;
    Some((letter, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8840 9 9";
        let line = |state: &str| format!("7 (a) Z 1 (b)) {state} {fields}\n");
        for (state, runs) in [("S", true), ("Z", false), ("X", false)] {
            let (letter, started) = parse(&line(state)).unwrap();
            assert_eq!((letter.runs(), started), (runs, 8840));
        }
        assert_eq!(parse("7 (a) S 1 1"), None);
        assert_eq!(parse(""), None);
        assert_eq!(Stat::of(u32::MAX), None);
        assert!(Stat::of(std::process::id()).unwrap().runs);
    }
}
