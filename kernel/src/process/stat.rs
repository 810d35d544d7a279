//! In: the text of a process's stat. Out: whether it runs, and since when.

use std::fs::File;
use std::io::Read;

use crate::cgroup::Line;

/// What `/proc/PID/stat` says, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it runs: a zombie has left its cgroup and its namespaces.
    pub runs: bool,
    /// When it started, in clock ticks since boot (field 22).
    pub started: u64,
}

impl Stat {
    /// The process's, if there is one.
    #[must_use]
    pub fn of(pid: u32) -> Option<Stat> {
        let path = Line::of(format_args!("/proc/{pid}/stat"));
        let mut file = File::open(path.as_str()).ok()?;
        // A name of 15 bytes and 51 numbers; only the name may be no text.
        let mut buffer = [0; 1024];
        let read = file.read(&mut buffer).ok()?;
        let behind = buffer[..read].iter().rposition(|byte| *byte == b')')?;
        Stat::parse(str::from_utf8(&buffer[behind..read]).ok()?)
    }

    /// Counted behind the last parenthesis, since a program's name may hold
    /// anything.
    pub(super) fn parse(text: &str) -> Option<Stat> {
        let (_, behind) = text.rsplit_once(')')?;
        let mut fields = behind.split_whitespace();
        let runs = !matches!(fields.next()?, "Z" | "X");
        let started = fields.nth(18)?.parse().ok()?;
        Some(Stat { runs, started })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let fields = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8840 9 9";
        let line = |state: &str| format!("7 (a) Z 1 (b)) {state} {fields}\n");
        let stat = |state| Stat::parse(&line(state));
        let (started, runs) = (8840, true);
        assert_eq!(stat("S"), Some(Stat { runs, started }));
        assert!(!stat("Z").unwrap().runs && !stat("X").unwrap().runs);
        assert_eq!(Stat::parse("7 (a) S 1 1"), None);
        assert_eq!(Stat::parse(""), None);
        assert_eq!(Stat::of(u32::MAX), None);
        assert!(Stat::of(std::process::id()).unwrap().runs);
    }
}
