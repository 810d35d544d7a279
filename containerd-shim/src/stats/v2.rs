//! Version 2's files and members.

use containerd_shim_protos::cgroups_v2::metrics::{
    CPUStat, HugeTlbStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats,
    PidsStat, RdmaEntry, RdmaStat,
};
use containerd_shim_protos::protobuf::MessageField;
use packrank_kernel::cgroup::Folder;

use super::{device, member, page_sizes, text, value};

type Part<M> = (&'static str, fn(&mut M) -> &mut u64);

const CPU: [Part<CPUStat>; 8] = [
    ("usage_usec", |m| &mut m.usage_usec),
    ("user_usec", |m| &mut m.user_usec),
    ("system_usec", |m| &mut m.system_usec),
    ("nr_periods", |m| &mut m.nr_periods),
    ("nr_throttled", |m| &mut m.nr_throttled),
    ("throttled_usec", |m| &mut m.throttled_usec),
    ("nr_bursts", |m| &mut m.nr_bursts),
    ("burst_usec", |m| &mut m.burst_usec),
];

const MEMORY: [Part<MemoryStat>; 31] = [
    ("anon", |m| &mut m.anon),
    ("file", |m| &mut m.file),
    ("kernel_stack", |m| &mut m.kernel_stack),
    ("slab", |m| &mut m.slab),
    ("sock", |m| &mut m.sock),
    ("shmem", |m| &mut m.shmem),
    ("file_mapped", |m| &mut m.file_mapped),
    ("file_dirty", |m| &mut m.file_dirty),
    ("file_writeback", |m| &mut m.file_writeback),
    ("anon_thp", |m| &mut m.anon_thp),
    ("inactive_anon", |m| &mut m.inactive_anon),
    ("active_anon", |m| &mut m.active_anon),
    ("inactive_file", |m| &mut m.inactive_file),
    ("active_file", |m| &mut m.active_file),
    ("unevictable", |m| &mut m.unevictable),
    ("slab_reclaimable", |m| &mut m.slab_reclaimable),
    ("slab_unreclaimable", |m| &mut m.slab_unreclaimable),
    ("pgfault", |m| &mut m.pgfault),
    ("pgmajfault", |m| &mut m.pgmajfault),
    ("workingset_refault", |m| &mut m.workingset_refault),
    ("workingset_activate", |m| &mut m.workingset_activate),
    ("workingset_nodereclaim", |m| &mut m.workingset_nodereclaim),
    ("pgrefill", |m| &mut m.pgrefill),
    ("pgscan", |m| &mut m.pgscan),
    ("pgsteal", |m| &mut m.pgsteal),
    ("pgactivate", |m| &mut m.pgactivate),
    ("pgdeactivate", |m| &mut m.pgdeactivate),
    ("pglazyfree", |m| &mut m.pglazyfree),
    ("pglazyfreed", |m| &mut m.pglazyfreed),
    ("thp_fault_alloc", |m| &mut m.thp_fault_alloc),
    ("thp_collapse_alloc", |m| &mut m.thp_collapse_alloc),
];

const MEMORY_FILES: [Part<MemoryStat>; 6] = [
    ("memory.current", |m| &mut m.usage),
    ("memory.max", |m| &mut m.usage_limit),
    ("memory.swap.current", |m| &mut m.swap_usage),
    ("memory.swap.max", |m| &mut m.swap_limit),
    ("memory.peak", |m| &mut m.max_usage),
    ("memory.swap.peak", |m| &mut m.swap_max_usage),
];

const EVENTS: [Part<MemoryEvents>; 6] = [
    ("low", |m| &mut m.low),
    ("high", |m| &mut m.high),
    ("max", |m| &mut m.max),
    ("oom", |m| &mut m.oom),
    ("oom_kill", |m| &mut m.oom_kill),
    ("oom_group_kill", |m| &mut m.oom_group_kill),
];

/// A message from the members of one flat file.
fn filled<M: Default>(folder: &Folder, file: &str, parts: &[Part<M>]) -> M {
    let mut message = M::default();
    let text = text(folder, file).unwrap_or_default();
    for (key, place) in parts {
        *place(&mut message) = member(&text, key);
    }
    message
}

/// Everything.
pub fn metrics(folder: &Folder) -> Metrics {
    let mut cpu = filled(folder, "cpu.stat", &CPU);
    cpu.psi = pressure(folder, "cpu.pressure");
    let mut memory = filled(folder, "memory.stat", &MEMORY);
    for (file, place) in MEMORY_FILES {
        *place(&mut memory) = value(folder, file);
    }
    memory.psi = pressure(folder, "memory.pressure");
    Metrics {
        pids: MessageField::some(PidsStat {
            current: value(folder, "pids.current"),
            limit: value(folder, "pids.max"),
            ..PidsStat::default()
        }),
        cpu: MessageField::some(cpu),
        memory: MessageField::some(memory),
        rdma: MessageField::some(RdmaStat {
            current: rdma(folder, "rdma.current"),
            limit: rdma(folder, "rdma.max"),
            ..RdmaStat::default()
        }),
        io: MessageField::some(IOStat {
            usage: io(&text(folder, "io.stat").unwrap_or_default()),
            psi: pressure(folder, "io.pressure"),
            ..IOStat::default()
        }),
        hugetlb: page_sizes(folder)
            .into_iter()
            .map(|size| huge(folder, size))
            .collect(),
        memory_events: MessageField::some(filled(folder, "memory.events", &EVENTS)),
        ..Metrics::default()
    }
}

fn huge(folder: &Folder, size: String) -> HugeTlbStat {
    let events = text(folder, &format!("hugetlb.{size}.events")).unwrap_or_default();
    HugeTlbStat {
        current: value(folder, &format!("hugetlb.{size}.current")),
        max: value(folder, &format!("hugetlb.{size}.max")),
        failcnt: member(&events, "max"),
        pagesize: size,
        ..HugeTlbStat::default()
    }
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn io(text: &[u8]) -> Vec<IOEntry> {
    let text = String::from_utf8_lossy(text);
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let mut entry = IOEntry {
            major,
            minor,
            ..IOEntry::default()
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let place = match key {
                "rbytes" => &mut entry.rbytes,
                "wbytes" => &mut entry.wbytes,
                "rios" => &mut entry.rios,
                "wios" => &mut entry.wios,
                _ => continue,
            };
            *place = value.parse().unwrap_or(0);
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

/// Lines of `mlx5_0 hca_handle=1 hca_object=2`.
fn rdma(folder: &Folder, file: &str) -> Vec<RdmaEntry> {
    let text = text(folder, file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let number = |text: &str| match text {
        "max" => u32::MAX,
        text => text.parse().unwrap_or(0),
    };
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let mut entry = RdmaEntry {
            device: words.next()?.to_owned(),
            ..RdmaEntry::default()
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "hca_handle" => entry.hca_handles = number(value),
                "hca_object" => entry.hca_objects = number(value),
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}

/// Lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`; nothing where the
/// kernel keeps no pressure.
fn pressure(folder: &Folder, file: &str) -> MessageField<PSIStats> {
    let Some(text) = text(folder, file) else {
        return MessageField::none();
    };
    let text = String::from_utf8_lossy(&text);
    let mut stats = PSIStats::default();
    for line in text.lines() {
        let mut data = PSIData::default();
        for (key, value) in line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
        {
            match key {
                "avg10" => data.avg10 = value.parse().unwrap_or(0.0),
                "avg60" => data.avg60 = value.parse().unwrap_or(0.0),
                "avg300" => data.avg300 = value.parse().unwrap_or(0.0),
                "total" => data.total = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        match line.split(' ').next() {
            Some("some") => stats.some = MessageField::some(data),
            Some("full") => stats.full = MessageField::some(data),
            _ => {}
        }
    }
    MessageField::some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_its_message() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("cpu.stat", "usage_usec 12\nuser_usec 7\nnr_throttled 3\n"),
            (
                "memory.stat",
                "anon 4096\npgfault 9\nworkingset_refault_anon 5\n",
            ),
            ("memory.current", "8192\n"),
            ("memory.max", "max\n"),
            ("pids.max", "42\n"),
            ("memory.events", "oom 2\noom_kill 1\n"),
            (
                "io.stat",
                "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\nbad\n",
            ),
            ("hugetlb.2MB.current", "0\n"),
            ("hugetlb.2MB.max", "max\n"),
            (
                "memory.pressure",
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
            ),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let metrics = metrics(&Folder::open(folder.path()).unwrap());
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.nr_throttled), (12, 3));
        assert_eq!((metrics.memory.anon, metrics.memory.pgfault), (4096, 9));
        assert_eq!(
            (metrics.memory.usage, metrics.memory.usage_limit),
            (8192, u64::MAX)
        );
        assert_eq!(
            (metrics.pids.limit, metrics.memory_events.oom_kill),
            (42, 1)
        );
        assert_eq!((metrics.io.usage.len(), metrics.io.usage[0].wios), (1, 4));
        assert_eq!(metrics.hugetlb[0].pagesize, "2MB");
        assert_eq!(
            (metrics.memory.psi.some.total, metrics.memory.psi.full.total),
            (7, 2)
        );
        assert!(metrics.cpu.psi.is_none());
    }
}
