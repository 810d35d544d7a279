//! What a cgroup tells: one table for both versions.
//!
//! In: a [`Figure`]. Out: a [`Reader`] that keeps the file open and re-reads
//! it with pread, into a buffer that is handed in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;

use super::parse::{flat, io_totals, number, v1_totals};
use super::{Cgroup, Folder};

/// One thing to read, in the same unit on both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Bytes charged.
    Memory,
    /// Bytes that can be had back without ending anything: clean file pages
    /// and, on version 2, reclaimable slab.
    Cache,
    /// How often `memory.max` and `memory.high` were run into, as a pair; on
    /// version 1 the limit alone.
    AtLimit,
    /// Microseconds of CPU time.
    CpuUsed,
    /// Microseconds for which the quota held it back.
    CpuThrottled,
    /// Bytes read and written.
    IoBytes,
    /// Reads and writes.
    IoOperations,
}

/// How a file's text becomes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    /// Nanoseconds, as microseconds.
    Nanoseconds,
    Flat(&'static str),
    /// Nanoseconds behind a key.
    FlatNanoseconds(&'static str),
    /// The first three, those that are there, less the other two.
    Clean([&'static str; 5]),
    /// Each by itself.
    Both(&'static str, &'static str),
    IoStat(usize),
    V1Io,
}

/// Controller, version 1 file and form, version 2 file and form.
type Row = (Figure, &'static str, &'static str, Form, &'static str, Form);

#[rustfmt::skip]
static TABLE: [Row; 7] = [
    (Figure::Memory, "memory", "memory.usage_in_bytes", Form::Number, "memory.current", Form::Number),
    (Figure::Cache, "memory", "memory.stat", Form::Clean(["total_inactive_file", "total_active_file", "", "total_dirty", "total_writeback"]), "memory.stat", Form::Clean(["inactive_file", "active_file", "slab_reclaimable", "file_dirty", "file_writeback"])),
    (Figure::AtLimit, "memory", "memory.failcnt", Form::Number, "memory.events", Form::Both("max", "high")),
    (Figure::CpuUsed, "cpuacct", "cpuacct.usage", Form::Nanoseconds, "cpu.stat", Form::Flat("usage_usec")),
    (Figure::CpuThrottled, "cpu", "cpu.stat", Form::FlatNanoseconds("throttled_time"), "cpu.stat", Form::Flat("throttled_usec")),
    (Figure::IoBytes, "blkio", "blkio.throttle.io_service_bytes_recursive", Form::V1Io, "io.stat", Form::IoStat(0)),
    (Figure::IoOperations, "blkio", "blkio.throttle.io_serviced_recursive", Form::V1Io, "io.stat", Form::IoStat(2)),
];

/// An open file and how to read it. A watcher of a thousand packs keeps eight
/// thousand of these.
#[derive(Debug)]
pub struct Reader {
    file: File,
    form: Kind,
}

/// Which form, in a byte: those of a row of the table, or a plain number.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    V1(u8),
    V2(u8),
}

impl Kind {
    fn form(self) -> Form {
        match self {
            Kind::Plain => Form::Number,
            Kind::V1(row) => TABLE[usize::from(row)].3,
            Kind::V2(row) => TABLE[usize::from(row)].5,
        }
    }
}

impl Cgroup {
    /// A figure's reader; `None` where this kernel does not tell it.
    #[must_use]
    pub fn reader(&self, figure: Figure) -> Option<Reader> {
        let mut rows = (0u8..).zip(&TABLE);
        let (at, (_, controller, v1_file, _, v2_file, _)) =
            rows.find(|(_, row)| row.0 == figure)?;
        let open = |folder: &Folder, name: &str, form: Kind| {
            let file = folder.file(name, OFlag::O_RDONLY).ok()?;
            Some(Reader { file, form })
        };
        let v1 = self.v1(controller);
        let v1 = v1.and_then(|folder| open(folder, v1_file, Kind::V1(at)));
        v1.or_else(|| open(self.unified()?, v2_file, Kind::V2(at)))
    }
}

impl Reader {
    /// Wraps an open file that holds one number, for files outside the table.
    #[must_use]
    pub fn plain(file: File) -> Reader {
        Reader {
            file,
            form: Kind::Plain,
        }
    }

    /// Reads the file again into `buffer`; what does not fit is left out. Once:
    /// the kernel makes the text of these files, and of /proc's that tell one
    /// thing, in one piece.
    ///
    /// # Errors
    /// When the kernel refuses: ENODEV once the cgroup is gone.
    pub fn bytes<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let end = self.file.read_at(buffer, 0)?;
        Ok(&buffer[..end])
    }

    /// The same, for files of /proc that have a line for each of many things:
    /// of these the kernel hands out a page at a time.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn whole<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let mut end = 0;
        while end < buffer.len() {
            match self.file.read_at(&mut buffer[end..], end as u64)? {
                0 => break,
                more => end += more,
            }
        }
        Ok(&buffer[..end])
    }

    /// The figure, as one number; of a pair the sum.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        let form = self.form.form();
        let text = self.bytes(buffer)?;
        Ok(match form {
            Form::Number => number(text),
            Form::Nanoseconds => number(text).map(|n| n / 1_000),
            Form::Flat(key) => flat(text, key.as_bytes()),
            Form::FlatNanoseconds(key) => flat(text, key.as_bytes()).map(|n| n / 1_000),
            Form::Clean(keys) => clean(text, keys),
            Form::Both(..) | Form::IoStat(_) | Form::V1Io => {
                let [one, other] = form.pair(text);
                Some(one.saturating_add(other))
            }
        })
    }

    /// A figure that is a pair: for I/O, reading and writing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pair(&self, buffer: &mut [u8]) -> io::Result<[u64; 2]> {
        Ok(self.form.form().pair(self.bytes(buffer)?))
    }
}

impl Form {
    fn pair(self, text: &[u8]) -> [u64; 2] {
        match self {
            Form::IoStat(from) => {
                let totals = io_totals(text);
                [totals[from], totals[from + 1]]
            }
            Form::V1Io => v1_totals(text),
            Form::Both(a, b) => [a, b].map(|key| flat(text, key.as_bytes()).unwrap_or(0)),
            Form::Number => [number(text).unwrap_or(0), 0],
            _ => [0, 0],
        }
    }
}

/// `None` where the kernel tells of no file pages.
fn clean(text: &[u8], [inactive, active, slab, dirty, writeback]: [&str; 5]) -> Option<u64> {
    let of = |key: &str| flat(text, key.as_bytes());
    let some = |key| of(key).unwrap_or(0);
    let back = of(inactive)?
        .saturating_add(of(active)?)
        .saturating_add(some(slab));
    Some(back.saturating_sub(some(dirty).saturating_add(some(writeback))))
}
