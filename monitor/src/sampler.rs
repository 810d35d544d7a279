//! Looking at a node, again and again.
//!
//! In: the roots. Out: a [`Snapshot`] for each call. Records that did not
//! change are not read again, and the packs' files stay open between looks; a
//! pack whose process is gone or another's is left out, as the watcher does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use nix::fcntl::OFlag;
use packrank_core::key::Key;
use packrank_core::record::{Amount, Deeds, Packs, Record};
use packrank_kernel::cgroup::{Cgroup, CgroupError, Folder, Mounts, Reader, start_time};
use packrank_kernel::net;
use packrank_kernel::pressure::Pressure;
use packrank_kernel::process::usage;
use packrank_kernel::requests::{Requests, Times};
use packrank_watcher::Roots;
use packrank_watcher::decide::{Millis, Sample};
use packrank_watcher::observe::{NodeReader, PackReader, Wanted};

use crate::ask::Watcher;
use crate::latency::{self, BOUNDS, Histogram, Source};
use crate::snapshot::{Pack, Pressures, RESOURCES, Rates, Snapshot, Use, float, shaped};

/// The member of a record's network that says it has one of its own.
const OWN_NETWORK: &str = "namespace";

/// Rates over less than this are noise: CPU time is counted by the tick.
const SHORTEST: f64 = 0.05;

/// A file as it was when it was read.
type Stamp = (u64, u64, i64, i64);

/// Everything that stays open between two looks.
#[derive(Debug)]
pub struct Sampler {
    roots: Roots,
    packs: Packs,
    mounts: Mounts,
    node: NodeReader,
    pressure: [Option<Reader>; 3],
    kept: BTreeMap<PathBuf, Kept>,
    requests: Option<Requests>,
    source: Source,
    begin: Instant,
}

/// Requests since the last look, by cgroup; `None` where they are not watched.
type Taken<'t> = Option<&'t BTreeMap<u64, Times>>;

#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    record: Arc<Record>,
    deeds: Arc<Deeds>,
    /// Of the file of deeds; `None` while there is none.
    deeds_stamp: Option<Stamp>,
    cgroup: Cgroup,
    reader: PackReader,
    pressure: [Option<Reader>; 3],
    io_stat: Option<Reader>,
    files_limit: Option<u64>,
    last: Option<Look>,
    latency: Histogram,
}

/// What the next look is compared with.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    sample: Sample,
    network: Option<[u64; 2]>,
    io_waited: Option<u64>,
}

impl Sampler {
    /// Finds the cgroups; nothing is read yet.
    ///
    /// # Errors
    /// When there are no cgroups.
    pub fn new(roots: Roots) -> Result<Sampler, CgroupError> {
        let pressure = |name: &str| File::open(roots.proc.join("pressure").join(name));
        Ok(Sampler {
            packs: Packs::under(&roots.run),
            mounts: Mounts::find(&roots.cgroup)?,
            node: NodeReader::open(&roots.proc),
            pressure: RESOURCES.map(|name| pressure(name).ok().map(Reader::plain)),
            kept: BTreeMap::new(),
            requests: None,
            source: Source::Means("nobody asked for more".to_owned()),
            begin: Instant::now(),
            roots,
        })
    }

    /// From now on every request to a disk is timed, where the kernel allows
    /// it: costs every request of the node a little while this lives.
    pub fn time_requests(&mut self) {
        (self.requests, self.source) = match Requests::watch(&BOUNDS) {
            Ok(requests) => (Some(requests), Source::Requests),
            Err(why) => (None, Source::without(&why)),
        };
    }

    /// The folders it reads.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// A new look at everything, and at what the watcher says of the node.
    pub fn look(&mut self) -> Snapshot {
        let begin = Instant::now();
        let now = Millis::at(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.scan();
        let node = self.node.all(now);
        let proc = self.roots.proc.clone();
        // What is refused now is still there at the next look.
        let taken = self
            .requests
            .as_ref()
            .map(|all| all.take().unwrap_or_default());
        let packs = self.kept.values_mut();
        let mut packs: Vec<Pack> = packs
            .filter_map(|kept| kept.look(&proc, now, taken.as_ref()))
            .collect();
        share_networks(&mut packs);
        packs.sort_by_cached_key(|pack| {
            let record = &pack.record;
            (std::cmp::Reverse(record.priority), record.title())
        });
        let watcher = Watcher::connect(&self.roots.socket()).and_then(|mut w| w.node());
        Snapshot {
            at: SystemTime::now(),
            node,
            pressure: pressures(&self.pressure),
            packs,
            latency: self.source.clone(),
            watcher: watcher.ok(),
            took: begin.elapsed().as_secs_f64(),
        }
    }

    fn scan(&mut self) {
        let mut before = std::mem::take(&mut self.kept);
        // A folder that cannot be listed is a node without packs: the watcher
        // says why.
        for path in self.packs.files().unwrap_or_default() {
            let Some(stamp) = stamp(&path) else { continue };
            let known = before.remove(&path);
            let kept = match known {
                Some(kept) if kept.stamp == stamp => Some(kept),
                other => Kept::open(&path, stamp, &self.mounts, &self.roots.proc, other),
            };
            if let Some(mut kept) = kept {
                kept.read_deeds(&self.packs, &path);
                self.kept.insert(path, kept);
            }
        }
    }
}

impl Kept {
    fn open(
        path: &Path,
        stamp: Stamp,
        mounts: &Mounts,
        proc: &Path,
        before: Option<Kept>,
    ) -> Option<Kept> {
        let record = Packs::read_file(path).ok()?;
        let cgroup = Cgroup::open(mounts, &record.cgroups).ok()?;
        let open = |name: &str| {
            let file = |folder: &Folder| folder.file(name, OFlag::O_RDONLY).ok();
            cgroup.unified().and_then(file).map(Reader::plain)
        };
        // A record that was rewritten (pinned, shaped) is the same pack.
        let same =
            before.filter(|k| (k.record.pid, k.record.started) == (record.pid, record.started));
        let (last, latency) = same.map_or_else(Default::default, |k| (k.last, k.latency));
        Some(Kept {
            stamp,
            reader: PackReader::open(
                &cgroup,
                Wanted {
                    io: true,
                    quota: true,
                    network: None,
                },
            ),
            pressure: RESOURCES.map(|name| open(&format!("{name}.pressure"))),
            io_stat: open("io.stat"),
            files_limit: usage::open_files_limit(proc, record.pid),
            deeds: Arc::default(),
            deeds_stamp: None,
            record: Arc::new(record),
            cgroup,
            last,
            latency,
        })
    }

    /// Reads the deeds again where they have changed.
    fn read_deeds(&mut self, packs: &Packs, path: &Path) {
        let name = path.file_name().unwrap_or_default();
        let stamp = stamp(&packs.deeds_folder().join(name));
        if stamp != self.deeds_stamp {
            self.deeds_stamp = stamp;
            self.deeds = Arc::new(packs.deeds(&self.record));
        }
    }

    fn look(&mut self, proc: &Path, now: Millis, requests: Taken<'_>) -> Option<Pack> {
        let record = &self.record;
        if start_time(record.pid) != Some(record.started) {
            return None;
        }
        let before = self.last;
        let sample = self
            .reader
            .full(&self.cgroup, before.map(|l| l.sample), (false, true), now);
        let own_network = record.network.contains_key(OWN_NETWORK);
        let network = own_network
            .then(|| usage::traffic(proc, record.pid))
            .flatten();
        let pressure = pressures(&self.pressure);
        let look = Look {
            at: Instant::now(),
            sample,
            network,
            io_waited: pressure[2].and_then(|p| p.some).map(|s| s.total),
        };
        let rates = before.and_then(|before| rates(&before, &look));
        match (requests, &before) {
            (Some(requests), _) => self.add_requests(requests),
            (None, Some(before)) => self.observe_latency(before, &look),
            (None, None) => {}
        }
        // Too short a time is measured from the look before once more.
        if before.is_none() || rates.is_some() {
            self.last = Some(look);
        }
        let limit = |key| self.cgroup.value(key).ok().flatten();
        let processes = self.cgroup.processes().unwrap_or_default();
        let files = processes.iter().take(usage::MOST_PROCESSES);
        let files = files.filter_map(|pid| usage::open_files(proc, *pid)).max();
        Some(Pack {
            io_limit: self.cgroup.io_rates(),
            network_limit: shaped(&self.record, &self.deeds),
            frozen: self.cgroup.frozen().ok().flatten() == Some(true),
            record: self.record.clone(),
            deeds: self.deeds.clone(),
            sample,
            rates,
            cpu_limit: limit(Key::CpuQuota),
            memory_limit: limit(Key::MemoryLimit),
            pressure,
            network,
            files: files.map(|used| Use {
                used,
                limit: self.files_limit,
            }),
            connections: own_network
                .then(|| usage::tcp_sockets(proc, self.record.pid))
                .flatten()
                .map(|used| Use {
                    used,
                    limit: self.planned(Key::NetworkConnections),
                }),
            processes: Some(Use {
                used: processes.len() as u64,
                limit: self.planned(Key::Pids),
            }),
            latency: self.latency.clone(),
        })
    }

    fn planned(&self, key: Key) -> Option<u64> {
        self.record.amount(key).and_then(Amount::number)
    }

    fn add_requests(&mut self, all: &BTreeMap<u64, Times>) {
        if all.is_empty() {
            return;
        }
        let numbers = self.cgroup.disk_numbers().unwrap_or_default();
        let own = numbers.iter().filter_map(|number| all.get(number));
        own.for_each(|times| self.latency.add(times));
    }

    fn observe_latency(&mut self, before: &Look, look: &Look) {
        let done = |look: &Look| look.sample.io.map(|[_, _, reads, writes]| reads + writes);
        let operations = done(before)
            .zip(done(look))
            .map(|(a, b)| b.saturating_sub(a));
        let Some(operations @ 1..) = operations else {
            return;
        };
        let mut buffer = [0; 4096];
        let text = self
            .io_stat
            .as_ref()
            .and_then(|r| r.bytes(&mut buffer).ok());
        let waited = before.io_waited.zip(look.io_waited);
        let felt = waited.map(|(a, b)| float(b.saturating_sub(a)) / 1e6 / float(operations));
        if let Some(seconds) = text.and_then(latency::kernels_own).or(felt) {
            self.latency.observe(seconds, operations);
        }
    }
}

/// Containers of a pod share one network, which is shaped as its owner's record
/// says.
fn share_networks(packs: &mut [Pack]) {
    let owner = |pack: &Pack| net::owner(&pack.record).map(str::to_owned);
    let limits: BTreeMap<String, [Option<u64>; 2]> = packs
        .iter()
        .filter(|pack| owner(pack).as_deref() == Some(&*pack.record.id))
        .map(|pack| (pack.record.id.clone(), pack.network_limit))
        .collect();
    for pack in packs {
        if let Some(limit) = owner(pack).and_then(|owner| limits.get(&owner)) {
            pack.network_limit = *limit;
        }
    }
}

/// Per second; `None` when too little time has passed.
fn rates(before: &Look, now: &Look) -> Option<Rates> {
    let long = now.at.duration_since(before.at).as_secs_f64();
    let per_second = |a: u64, b: u64| float(b.saturating_sub(a)) / long;
    let both = |a: Option<u64>, b: Option<u64>| a.zip(b).map_or(0.0, |(a, b)| per_second(a, b));
    let (a, b) = (&before.sample, &now.sample);
    (long >= SHORTEST).then(|| Rates {
        // Microseconds in a second, in percent.
        cpu: both(a.cpu_used, b.cpu_used) / 1e4,
        throttled: both(a.cpu_throttled, b.cpu_throttled) / 1e4,
        io: pairs(a.io, b.io, per_second),
        network: pairs(before.network, now.network, per_second),
    })
}

fn pairs<const N: usize>(
    a: Option<[u64; N]>,
    b: Option<[u64; N]>,
    per_second: impl Fn(u64, u64) -> f64,
) -> [f64; N] {
    match (a, b) {
        (Some(a), Some(b)) => std::array::from_fn(|at| per_second(a[at], b[at])),
        _ => [0.0; N],
    }
}

fn pressures(readers: &[Option<Reader>; 3]) -> Pressures {
    let mut buffer = [0; 256];
    readers.each_ref().map(|reader| {
        let text = reader.as_ref()?.bytes(&mut buffer).ok()?;
        Some(Pressure::parse(text))
    })
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}
