//! The node's last hours, for `packrank report`.
//!
//! In: what the watcher sees, every half a minute. Out: a file of
//! [`ROWS`] rows of [`WIDTH`] bytes each, as a ring: a row's place follows from
//! the time, so that a watcher that starts again goes on where the one before
//! it ended. It is written from a buffer that is always there: 720 KiB in
//! /run and two writes a minute are all that it costs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use packrank_core::record::Amount;
use serde::{Deserialize, Serialize};

use crate::decide::{Knob, Level, Millis, Node, Resource, Slot, State};
use crate::registry::Registry;

/// Rows: six hours at the usual half a minute.
pub const ROWS: u64 = 720;

/// Bytes of a row: 36 numbers of at most 20 digits, and their names.
pub const WIDTH: usize = 1024;

/// One moment of the node. Bytes; CPU time in thousandths of a percent of one
/// CPU; waits in hundredths of a percent of the last ten seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Milliseconds since the epoch.
    pub at: u64,
    /// Levels of memory, CPU and I/O: 0 none to 4 critical.
    pub levels: [u8; 3],
    /// Memory in use, and all of it.
    pub memory: [u64; 2],
    /// CPU time in use, and all of it.
    pub cpu: [u64; 2],
    /// Time in which some task waited for memory, CPU and I/O.
    pub waits: [u32; 3],
    /// By class, the lowest first.
    pub classes: [Class; 5],
}

/// A class's packs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// How many.
    #[serde(rename = "n")]
    pub packs: u32,
    /// Memory without page cache.
    #[serde(rename = "m")]
    pub memory: u64,
    /// What the limits allow; packs without one add nothing.
    #[serde(rename = "l")]
    pub memory_limit: u64,
    /// CPU time used.
    #[serde(rename = "c")]
    pub cpu: u64,
    /// What the quotas allow, likewise.
    #[serde(rename = "q")]
    pub cpu_limit: u64,
    /// CPU time for which quotas held packs back, likewise.
    #[serde(rename = "t")]
    pub throttled: u64,
}

/// The file, and what the next row is compared with.
#[derive(Debug)]
pub struct History {
    file: Option<File>,
    every: u64,
    last: Option<Millis>,
    /// By slot: whose, CPU time and time held back, in microseconds.
    before: Vec<(u32, u64, u64)>,
}

impl History {
    /// The file at `path`, mode 0600, with a row every so many seconds.
    /// Without one nothing is kept, and the error says why.
    pub fn open(path: &Path, every: u64) -> (History, io::Result<()>) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(OFlag::O_NOFOLLOW.bits());
        let (file, error) = match options.open(path) {
            Ok(file) => (Some(file), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let history = History {
            file,
            every: every.max(1),
            last: None,
            before: Vec::new(),
        };
        (history, error)
    }

    /// Writes a row, if it is time. Best effort: a row that cannot be written
    /// is a gap in a picture.
    pub fn note(
        &mut self,
        state: &State,
        registry: &Registry,
        node: &Node,
        now: Millis,
        wall: u64,
    ) {
        let due = self.last.is_none_or(|at| now.passed(at, self.every));
        let Some(file) = self.file.as_ref().filter(|_| due) else {
            return;
        };
        let since = self.last.map(|at| now.since(at).max(1));
        self.last = Some(now);
        let mut row = whole(state, node, wall);
        classes(&mut row, &mut self.before, state, registry, since);
        let place = wall / (self.every * 1_000) % ROWS;
        let _ = write(file, place, &row);
    }
}

fn whole(state: &State, node: &Node, wall: u64) -> Row {
    let level = |resource| match state.level(resource) {
        Level::None => 0,
        Level::Low => 1,
        Level::Medium => 2,
        Level::High => 3,
        Level::Critical => 4,
    };
    let total = node.memory_total.unwrap_or(0);
    let available = node.memory_available.unwrap_or(0);
    let wait = |stall: Option<crate::decide::Stall>| stall.map_or(0, |s| s.avg10);
    Row {
        at: wall,
        levels: [Resource::Memory, Resource::Cpu, Resource::Io].map(level),
        memory: [total.saturating_sub(available), total],
        cpu: [node.cpu_used.unwrap_or(0), node.cpu_capacity.unwrap_or(0)],
        waits: [
            wait(node.memory_some),
            wait(node.cpu_some),
            wait(node.io_some),
        ],
        classes: Default::default(),
    }
}

fn classes(
    row: &mut Row,
    before: &mut Vec<(u32, u64, u64)>,
    state: &State,
    registry: &Registry,
    since: Option<u64>,
) {
    if before.len() < registry.kept.len() {
        before.resize(registry.kept.len(), (0, 0, 0));
    }
    for (at, kept) in (0..).zip(&registry.kept) {
        let Some(kept) = kept else { continue };
        let Some(pack) = state.pack(Slot(at)) else {
            continue;
        };
        let at = at as usize;
        let sample = registry
            .samples
            .get(at)
            .copied()
            .flatten()
            .unwrap_or_default();
        let class = &mut row.classes[kept.class as usize];
        let limit = |knob| pack.dial(knob).plan().map(|_| pack.dial(knob).target());
        let number = |amount: Option<Amount>| amount.and_then(Amount::number).unwrap_or(0);
        class.packs += 1;
        let cache = sample.cache.unwrap_or(0);
        class.memory += sample.memory.unwrap_or(0).saturating_sub(cache);
        class.memory_limit += number(limit(Knob::MemoryLimit));
        class.cpu_limit += number(limit(Knob::CpuQuota));
        let used = sample.cpu_used.unwrap_or(0);
        let held = sample.cpu_throttled.unwrap_or(0);
        let (pid, used_before, held_before) =
            std::mem::replace(&mut before[at], (kept.pid, used, held));
        if let Some(since) = since.filter(|_| pid == kept.pid) {
            // Microseconds in milliseconds: a tenth of a percent is one.
            class.cpu += used.saturating_sub(used_before).saturating_mul(100) / since;
            class.throttled += held.saturating_sub(held_before).saturating_mul(100) / since;
        }
    }
}

fn write(file: &File, place: u64, row: &Row) -> io::Result<()> {
    let mut buffer = [b' '; WIDTH];
    let mut rest = &mut buffer[..WIDTH - 1];
    serde_json::to_writer(&mut rest, row)?;
    rest.flush()?;
    buffer[WIDTH - 1] = b'\n';
    file.write_all_at(&buffer, place * WIDTH as u64)
}

/// The rows of a file, oldest first, that are at most `age` milliseconds older
/// than `wall`; what is no row is left out.
#[must_use]
pub fn read(bytes: &[u8], wall: u64, age: u64) -> Vec<Row> {
    let rows = bytes.chunks(WIDTH);
    let rows = rows.filter_map(|chunk| serde_json::from_slice::<Row>(chunk).ok());
    let mut rows: Vec<Row> = rows
        .filter(|row| row.at <= wall.saturating_add(60_000) && wall.saturating_sub(row.at) <= age)
        .collect();
    rows.sort_by_key(|row| row.at);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_row_fits_and_reads_back() {
        let most = u64::MAX;
        let class = Class {
            packs: u32::MAX,
            memory: most,
            memory_limit: most,
            cpu: most,
            cpu_limit: most,
            throttled: most,
        };
        let row = Row {
            at: most,
            levels: [4; 3],
            memory: [most; 2],
            cpu: [most; 2],
            waits: [u32::MAX; 3],
            classes: [class; 5],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let file = File::create(&path).unwrap();
        write(&file, 3, &row).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len(), 4 * WIDTH);
        assert_eq!(read(&text, most, 0), [row]);
    }

    #[test]
    fn rows_come_in_order_and_old_ones_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let file = File::create(&path).unwrap();
        for (place, at) in [(0, 5_000), (1, 1_000), (2, 3_000)] {
            let row = Row {
                at,
                ..Row::default()
            };
            write(&file, place, &row).unwrap();
        }
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"junk");
        let at: Vec<u64> = read(&text, 5_000, 2_500).iter().map(|row| row.at).collect();
        assert_eq!(at, [3_000, 5_000]);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(History::open(&path, 30).1.is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}
