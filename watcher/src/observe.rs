//! Reading what `decide` looks at.
//!
//! In: `/proc`, and the packs' open cgroups. Out: [`Node`] and [`Sample`]s.
//! Files are kept open and read again with pread, into one buffer; what a
//! kernel does not offer is `None`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use packrank_core::key::Key;
use packrank_core::record::{Amount, Record};
use packrank_kernel::cgroup::{
    Cgroup, Figure, Folder, Line, Reader, arc, flat, meminfo, number, reclaim,
};
use packrank_kernel::pressure::Pressure;
use packrank_kernel::process::usage::interfaces;

use crate::decide::{Millis, Node, Sample, Stall, scaled};

/// Enough for any file that is read: memory.stat of version 1 is 2 KiB, and
/// /proc/stat is only needed for its first line.
const BUFFER: usize = 16 << 10;

/// The node's open files.
#[derive(Debug)]
pub struct NodeReader {
    memory: Option<Reader>,
    cpu: Option<Reader>,
    io: Option<Reader>,
    meminfo: Option<Reader>,
    vmstat: Option<Reader>,
    /// Where ZFS is loaded.
    arc: Option<Reader>,
    stat: Option<Reader>,
    capacity: Option<u64>,
    /// When CPU time was last read, and how much was used by then.
    used: Option<(Millis, u64)>,
    node: Node,
    buffer: Box<[u8; BUFFER]>,
}

impl NodeReader {
    /// Opens what this node offers.
    #[must_use]
    pub fn open(proc: &Path) -> NodeReader {
        let open = |name: &str| File::open(proc.join(name)).ok().map(Reader::plain);
        let cpus = std::thread::available_parallelism().ok();
        NodeReader {
            memory: open("pressure/memory"),
            cpu: open("pressure/cpu"),
            io: open("pressure/io"),
            meminfo: open("meminfo"),
            vmstat: open("vmstat"),
            arc: open("spl/kstat/zfs/arcstats"),
            stat: open("stat"),
            capacity: cpus.map(|n| n.get() as u64 * 100_000),
            used: None,
            node: Node::default(),
            buffer: Box::new([0; BUFFER]),
        }
    }

    /// Whether pressure is told; without it, memory in use decides.
    #[must_use]
    pub fn has_pressure(&self) -> bool {
        self.memory.is_some()
    }

    /// Memory alone: what is read every few milliseconds while it presses.
    pub fn memory(&mut self) -> Node {
        let pressure = self.memory.as_ref().map(|r| read(r, &mut self.buffer[..]));
        let pressure = pressure.unwrap_or_default();
        self.node.memory_some = pressure.some.map(stall);
        self.node.memory_full = pressure.full.map(stall);
        let text = self
            .meminfo
            .as_ref()
            .and_then(|r| r.bytes(&mut self.buffer[..]).ok());
        let memory = text.and_then(meminfo);
        // Huge pages are no shortage: nobody else was to have them.
        self.node.memory_total = memory.map(|m| m.total.saturating_sub(m.huge));
        self.node.memory_available = memory.map(|m| m.available);
        self.node.swap_free = memory.map(|m| m.swap_free);
        if let Some(memory) = memory.filter(|m| m.available < m.total / 4) {
            let zfs = Self::whole(self.arc.as_ref(), &mut self.buffer, arc);
            let available = memory.available.saturating_add(zfs.unwrap_or(0));
            self.node.memory_available = Some(available);
        }
        self.node.reclaim = Self::whole(self.vmstat.as_ref(), &mut self.buffer, reclaim);
        self.node
    }

    /// A file of several lines, of which the kernel hands out a page at a time.
    fn whole<T>(
        reader: Option<&Reader>,
        buffer: &mut [u8; BUFFER],
        parse: fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        parse(reader?.whole(buffer).ok()?)
    }

    /// Everything.
    pub fn all(&mut self, now: Millis) -> Node {
        for (reader, place) in [
            (&self.cpu, &mut self.node.cpu_some),
            (&self.io, &mut self.node.io_some),
        ] {
            let pressure = reader.as_ref().map(|r| read(r, &mut self.buffer[..]));
            *place = pressure.and_then(|p| p.some).map(stall);
        }
        let text = self
            .stat
            .as_ref()
            .and_then(|r| r.bytes(&mut self.buffer[..]).ok());
        if let Some(ticks) = text.and_then(busy_ticks) {
            if let Some((at, before)) = self.used {
                // A tick is 10 ms (USER_HZ is 100 for every user program);
                // thousandths of a percent of one CPU.
                let spent = ticks.saturating_sub(before).saturating_mul(10);
                self.node.cpu_used = Some(scaled(spent, 100_000, now.since(at).max(1)));
                self.node.cpu_capacity = self.capacity;
            }
            self.used = Some((now, ticks));
        }
        self.memory()
    }
}

fn read(reader: &Reader, buffer: &mut [u8]) -> Pressure {
    reader
        .bytes(buffer)
        .map(Pressure::parse)
        .unwrap_or_default()
}

fn stall(stalls: packrank_kernel::pressure::Stalls) -> Stall {
    Stall {
        avg10: stalls.avg10,
        total: stalls.total,
    }
}

/// Ticks that any CPU was not idle, from the first line of `/proc/stat`: user,
/// nice, system, idle, iowait, irq, softirq, steal.
#[must_use]
pub fn busy_ticks(text: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"cpu ")?;
    let words = rest
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let busy = words
        .take(8)
        .enumerate()
        .filter(|(at, _)| *at != 3 && *at != 4);
    busy.map(|(_, word)| number(word)).sum()
}

/// Which figures a pack's limits give a use to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// It has I/O limits.
    pub io: bool,
    /// It has a CPU quota.
    pub quota: bool,
    /// Its first process, where its network has rates and is its own.
    pub network: Option<u32>,
}

impl Wanted {
    /// What this record's settings ask for.
    #[must_use]
    pub fn of(record: &Record) -> Wanted {
        let has = |key| matches!(record.amount(key), Some(Amount::At(_)));
        let io = [
            Key::IoReadBps,
            Key::IoWriteBps,
            Key::IoReadIops,
            Key::IoWriteIops,
        ];
        Wanted {
            io: io.into_iter().any(has),
            quota: has(Key::CpuQuota),
            network: [Key::NetworkEgress, Key::NetworkIngress]
                .into_iter()
                .any(has)
                .then_some(record.pid),
        }
    }
}

/// One pack's open files.
#[derive(Debug)]
pub struct PackReader {
    memory: Option<Reader>,
    cache: Option<Reader>,
    at_limit: Option<Reader>,
    cpu: Option<Reader>,
    throttled: Option<Reader>,
    io: Option<Reader>,
    operations: Option<Reader>,
    events: Option<Reader>,
    network: Option<u32>,
}

/// How long a pack that uses no CPU time is believed to be as it was, in
/// seconds: what is done to it without its doing is memory taken from it, which
/// is read by itself while memory presses.
const BELIEVED: u64 = 60;

impl PackReader {
    /// Opens what this kernel tells of a pack.
    #[must_use]
    pub fn open(cgroup: &Cgroup, wanted: Wanted) -> PackReader {
        let events = |folder: &Folder| {
            let file = folder.file("cgroup.events", nix::fcntl::OFlag::O_RDONLY);
            file.ok().map(Reader::plain)
        };
        PackReader {
            memory: cgroup.reader(Figure::Memory),
            cache: cgroup.reader(Figure::Cache),
            at_limit: cgroup.reader(Figure::AtLimit),
            cpu: cgroup.reader(Figure::CpuUsed),
            throttled: cgroup.reader(Figure::CpuThrottled).filter(|_| wanted.quota),
            io: cgroup.reader(Figure::IoBytes).filter(|_| wanted.io),
            operations: cgroup.reader(Figure::IoOperations).filter(|_| wanted.io),
            events: cgroup.unified().and_then(events),
            network: wanted.network,
        }
    }

    /// What it waited for, and how often it ran into its own limits.
    pub fn stalls(&self, cgroup: &Cgroup, sample: &mut Sample) {
        let mut buffer = [0; 4096];
        let hits = |reader: &Reader| reader.pair(&mut buffer).ok();
        let hits = self.at_limit.as_ref().and_then(hits);
        sample.at_limit = hits.map(|[limit, _]| limit);
        sample.at_high = hits.map(|[_, high]| high);
        let text = cgroup.unified().and_then(|folder| {
            let text = folder.read_into("memory.pressure", &mut buffer);
            text.ok().map(Pressure::parse)
        });
        let stalled = text.and_then(|p| Some([p.some?.total, p.full?.total]));
        sample.stalled = stalled;
    }

    /// What is needed to choose who gives: memory, cache, and whether it lives.
    pub fn quick(&self, cgroup: &Cgroup, before: Option<Sample>, now: Millis) -> Sample {
        let mut buffer = [0; 4096];
        let mut sample = before.unwrap_or_default();
        sample.at = now;
        let mut of = |reader: &Option<Reader>| reader.as_ref()?.read(&mut buffer).ok()?;
        let memory = of(&self.memory);
        // memory.stat costs more than all else: while as much is charged as
        // before, to a part in 256, it holds about the same.
        let same = |(a, b): (u64, u64)| a.abs_diff(b) <= b / 256;
        let known = before.and_then(|s| s.cache).is_some();
        if !known || !sample.memory.zip(memory).is_some_and(same) {
            sample.cache = of(&self.cache);
            sample.memory = memory;
        }
        sample.populated = self.populated(cgroup);
        sample
    }

    /// The figures of a pack that has used no CPU time since they were read,
    /// which it cannot have changed; `None` when it has, or they are old.
    /// `waits`: its waiting is asked for too; who never runs waits for nothing.
    /// `told`: if it had ended, somebody would have said so.
    pub fn asleep(
        &self,
        cgroup: &Cgroup,
        before: Option<Sample>,
        waits: bool,
        told: bool,
        now: Millis,
    ) -> Option<Sample> {
        let mut buffer = [0; 4096];
        let before = before.filter(|before| !now.passed(before.read, BELIEVED))?;
        if waits && before.cpu_wait.is_none() && cgroup.unified().is_some() {
            // Whether this kernel tells of it is not known yet.
            return None;
        }
        let used = self.cpu.as_ref()?.read(&mut buffer).ok()??;
        let populated = match &self.events {
            Some(_) if !told => self.populated(cgroup),
            _ => before.populated,
        };
        (before.cpu_used == Some(used)).then_some(Sample {
            at: now,
            populated,
            cpu_wait: before.cpu_wait.map(|_| 0),
            io_wait: before.io_wait.map(|_| 0),
            ..before
        })
    }

    /// Everything. `waits`: also what it waits for, which takes two files more;
    /// `stalls`: somebody has waited for memory since.
    pub fn full(
        &self,
        cgroup: &Cgroup,
        before: Option<Sample>,
        (waits, stalls): (bool, bool),
        now: Millis,
    ) -> Sample {
        let mut buffer = [0; 4096];
        let mut sample = self.quick(cgroup, before, now);
        sample.read = now;
        let mut of = |reader: &Option<Reader>| reader.as_ref()?.read(&mut buffer).ok()?;
        sample.cpu_used = of(&self.cpu);
        sample.cpu_throttled = of(&self.throttled);
        let mut of = |reader: &Option<Reader>| reader.as_ref()?.pair(&mut buffer).ok();
        let (bytes, operations) = (of(&self.io), of(&self.operations));
        sample.io = bytes.zip(operations).map(|([a, b], [c, d])| [a, b, c, d]);
        sample.network = self.network.and_then(traffic);
        if stalls || sample.at_limit.is_none() {
            self.stalls(cgroup, &mut sample);
        }
        (sample.cpu_wait, sample.io_wait) = (None, None);
        if waits && let Some(folder) = cgroup.unified() {
            let mut wait = |name: &str| {
                let text = folder.read_into(name, &mut buffer).ok()?;
                Pressure::parse(text).some.map(|s| s.avg10)
            };
            sample.cpu_wait = wait("cpu.pressure");
            sample.io_wait = wait("io.pressure");
        }
        sample
    }

    /// Whether any process is left in it.
    pub fn populated(&self, cgroup: &Cgroup) -> bool {
        let mut buffer = [0; 256];
        match &self.events {
            Some(events) => {
                let text = events.bytes(&mut buffer);
                text.is_ok_and(|text| flat(text, b"populated") == Some(1))
            }
            None => cgroup.populated().unwrap_or(false),
        }
    }
}

/// Bytes sent and received in a process's network. Not kept open: that would
/// keep a network alive after its container.
fn traffic(pid: u32) -> Option<[u64; 2]> {
    let path = Line::of(format_args!("/proc/{pid}/net/dev"));
    let mut file = File::open(path.as_str()).ok()?;
    // A line of up to 220 bytes for each interface; those beyond 70 are left out.
    let mut buffer = [0; BUFFER];
    let mut end = 0;
    loop {
        match file.read(&mut buffer[end..]).ok()? {
            0 => return Some(interfaces(&buffer[..end])),
            more => end += more,
        }
    }
}

#[cfg(test)]
mod tests;
