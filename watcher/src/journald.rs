//! The same events in the system's own journal, where there is one.
//!
//! In: the events since the last time. Out: a datagram each to systemd-journald,
//! in its native protocol, so that the members of an event are fields:
//! `PACKRANK_ID`, `PACKRANK_CLASS`, `PACKRANK_DEED` and so on, beside `MESSAGE`,
//! `PRIORITY` and `SYSLOG_IDENTIFIER`. Without a journal they go nowhere. It is
//! told after the deeds, never waits, and says later what journald does not
//! take now: the events are kept anyway.

use std::io;
use std::io::ErrorKind::WouldBlock;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use nix::libc::ENOBUFS;
use serde_json::Value as Json;

use crate::decide::{Deed, Outcome, Why};
use crate::event::{Event, What};
use crate::journal::Journal;

/// Events told at once; the node is looked at between.
const AT_ONCE: usize = 64;

/// Members that are said otherwise, or are the code's own words.
const LEFT_OUT: [&str; 4] = ["text", "what", "why", "outcome"];

/// The way to systemd-journald.
#[derive(Debug)]
pub struct Journald {
    to: Option<(UnixDatagram, PathBuf)>,
    told: u64,
    entry: Vec<u8>,
}

impl Journald {
    /// Tells whoever listens at `socket`, if anybody ever does.
    #[must_use]
    pub fn at(socket: Option<PathBuf>) -> Journald {
        let open = || {
            let from = UnixDatagram::unbound()?;
            from.set_nonblocking(true)?;
            io::Result::Ok(from)
        };
        Journald {
            to: socket.and_then(|socket| Some((open().ok()?, socket))),
            told: 0,
            entry: Vec::new(),
        }
    }

    /// Tells what is new.
    pub fn tell(&mut self, journal: &Journal) {
        let Some((from, socket)) = &self.to else {
            return;
        };
        for event in journal.after(self.told).take(AT_ONCE) {
            if is_told(event) {
                self.entry.clear();
                write(event, &mut self.entry);
                match from.send_to(&self.entry, socket) {
                    // It is behind; the next time.
                    Err(e) if e.kind() == WouldBlock || e.raw_os_error() == Some(ENOBUFS) => return,
                    // There is none, or it does not want this one.
                    Ok(_) | Err(_) => {}
                }
            }
            self.told = event.number;
        }
    }
}

/// Cache taken back comes several times a second for as long as memory presses,
/// which can be days, and only takes what can be read again: it would be
/// gigabytes that tell nothing.
fn is_told(event: &Event) -> bool {
    match event.what {
        What::Remark(_) => true,
        What::Did(action, outcome) => {
            !matches!(action.deed, Deed::Reclaim(_) | Deed::Compact) || outcome == Outcome::Refused
        }
    }
}

/// As syslog has it: 4 warning, 5 notice, 6 info, 7 debug.
fn priority(event: &Event) -> u8 {
    let What::Did(action, outcome) = event.what else {
        return 6;
    };
    match (action.deed, action.why) {
        (Deed::Alert(_), _) => 4,
        _ if outcome == Outcome::Refused => 4,
        (Deed::Kill | Deed::Freeze | Deed::Thaw | Deed::Signal(_), _) => 5,
        // Limits that follow use do so all day.
        (_, Why::Use(_) | Why::Trend(_)) => 7,
        _ => 6,
    }
}

fn write(event: &Event, entry: &mut Vec<u8>) {
    field(entry, "MESSAGE", &event.line());
    field(entry, "PRIORITY", &priority(event).to_string());
    field(entry, "SYSLOG_IDENTIFIER", "packrank-watcher");
    members(entry, &event.json());
}

/// `because` has members of its own, of other names.
fn members(entry: &mut Vec<u8>, object: &Json) {
    for (name, value) in object.as_object().into_iter().flatten() {
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let text = match value {
            Json::Object(_) => {
                members(entry, value);
                continue;
            }
            Json::Null => continue,
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let name = name.replace(['.', '-'], "_").to_ascii_uppercase();
        field(entry, &format!("PACKRANK_{name}"), &text);
    }
}

/// `NAME=VALUE` in a line; a value of several lines with its length instead, so
/// that no container's name can make up a field.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use packrank_core::Priority;
    use packrank_core::record::Amount;

    use super::*;
    use crate::decide::{Action, Knob, Level, Resource};

    fn action(deed: Deed) -> Action {
        Action {
            slot: None,
            deed,
            why: Why::Pressure(Resource::Memory, Level::High),
            audit: false,
        }
    }

    fn of(id: &str) -> Option<(Arc<str>, Priority)> {
        Some((id.into(), Priority::Low))
    }

    /// One datagram, if there is one.
    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut entry = [0; 4_096];
        let length = socket.recv(&mut entry).ok()?;
        Some(String::from_utf8_lossy(&entry[..length]).into_owned())
    }

    #[test]
    fn an_event_is_an_entry_of_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut journal = Journal::new(false, 0);
        let mut journald = Journald::at(Some(path.clone()));
        journal.say("nobody listens yet".to_owned(), None, 0);
        journald.tell(&journal);

        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let set = Deed::Set {
            knob: Knob::CpuQuota,
            from: None,
            to: Amount::At(37_500),
        };
        journal.add(
            &action(Deed::Reclaim(1 << 20)),
            Outcome::Freed(0),
            of("web"),
            None,
            1,
        );
        journal.add(&action(Deed::Kill), Outcome::Done, of("web"), None, 2);
        journal.add(&action(set), Outcome::Refused, of("a\nPRIORITY=0"), None, 3);
        journald.tell(&journal);
        journald.tell(&journal);
        assert_eq!(
            heard(&socket).unwrap(),
            "MESSAGE=web low: kill, memory pressure is high\nPRIORITY=5\n\
             SYSLOG_IDENTIFIER=packrank-watcher\nPACKRANK_AT=2\nPACKRANK_AUDIT=false\n\
             PACKRANK_CAUSE=pressure\nPACKRANK_LEVEL=high\nPACKRANK_RESOURCE=memory\n\
             PACKRANK_CLASS=low\nPACKRANK_DEED=kill\nPACKRANK_ID=web\nPACKRANK_NUMBER=3\n\
             PACKRANK_RESULT=done\n"
        );
        let entry = heard(&socket).unwrap();
        assert!(entry.starts_with("MESSAGE\n"), "{entry}");
        assert!(entry.contains("PRIORITY=4\n"), "{entry}");
        assert!(
            entry.contains("PACKRANK_ID\n\u{c}\0\0\0\0\0\0\0a\nPRIORITY=0\n"),
            "{entry}"
        );
        assert!(entry.contains("PACKRANK_KEY=cpu.quota\n"), "{entry}");
        assert_eq!(heard(&socket), None, "told twice, or of cache");
    }

    #[test]
    fn what_journald_does_not_take_is_told_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut journal = Journal::new(false, 0);
        let mut journald = Journald::at(Some(path));
        for number in 0..400 {
            journal.say(format!("{number}"), None, 0);
        }
        let mut entries = Vec::new();
        for _ in 0..1_000 {
            // However few the kernel keeps for one who does not listen.
            (0..9).for_each(|_| journald.tell(&journal));
            entries.extend(heard(&socket));
        }
        assert_eq!(entries.len(), 400);
        for (number, entry) in entries.iter().enumerate() {
            assert!(entry.starts_with(&format!("MESSAGE=node -: {number}\n")));
        }
    }
}
