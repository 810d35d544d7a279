//! Version 1's files and members.

use std::collections::HashMap;

use containerd_shim_protos::cgroups::metrics::{
    BlkIOEntry, BlkIOStat, CPUStat, CPUUsage, HugetlbStat, MemoryEntry, MemoryOomControl,
    MemoryStat, Metrics, PidsStat, Throttle,
};
use containerd_shim_protos::protobuf::MessageField;
use packrank_kernel::cgroup::{Folder, number};

use super::{Cgroup, device, member, page_sizes, text, value};

type Part<M> = (&'static str, fn(&mut M) -> &mut u64);

const MEMORY: [Part<MemoryStat>; 32] = [
    ("cache", |m| &mut m.cache),
    ("rss", |m| &mut m.rss),
    ("rss_huge", |m| &mut m.rss_huge),
    ("mapped_file", |m| &mut m.mapped_file),
    ("dirty", |m| &mut m.dirty),
    ("writeback", |m| &mut m.writeback),
    ("pgpgin", |m| &mut m.pg_pg_in),
    ("pgpgout", |m| &mut m.pg_pg_out),
    ("pgfault", |m| &mut m.pg_fault),
    ("pgmajfault", |m| &mut m.pg_maj_fault),
    ("inactive_anon", |m| &mut m.inactive_anon),
    ("active_anon", |m| &mut m.active_anon),
    ("inactive_file", |m| &mut m.inactive_file),
    ("active_file", |m| &mut m.active_file),
    ("unevictable", |m| &mut m.unevictable),
    ("hierarchical_memory_limit", |m| {
        &mut m.hierarchical_memory_limit
    }),
    ("hierarchical_memsw_limit", |m| {
        &mut m.hierarchical_swap_limit
    }),
    ("total_cache", |m| &mut m.total_cache),
    ("total_rss", |m| &mut m.total_rss),
    ("total_rss_huge", |m| &mut m.total_rss_huge),
    ("total_mapped_file", |m| &mut m.total_mapped_file),
    ("total_dirty", |m| &mut m.total_dirty),
    ("total_writeback", |m| &mut m.total_writeback),
    ("total_pgpgin", |m| &mut m.total_pg_pg_in),
    ("total_pgpgout", |m| &mut m.total_pg_pg_out),
    ("total_pgfault", |m| &mut m.total_pg_fault),
    ("total_pgmajfault", |m| &mut m.total_pg_maj_fault),
    ("total_inactive_anon", |m| &mut m.total_inactive_anon),
    ("total_active_anon", |m| &mut m.total_active_anon),
    ("total_inactive_file", |m| &mut m.total_inactive_file),
    ("total_active_file", |m| &mut m.total_active_file),
    ("total_unevictable", |m| &mut m.total_unevictable),
];

const OOM: [Part<MemoryOomControl>; 3] = [
    ("oom_kill_disable", |m| &mut m.oom_kill_disable),
    ("under_oom", |m| &mut m.under_oom),
    ("oom_kill", |m| &mut m.oom_kill),
];

type Entries = fn(&mut BlkIOStat) -> &mut Vec<BlkIOEntry>;

/// A file of the proportional scheduler, or, where there is none, of the
/// throttle.
const BLOCK: [(&str, &str, Entries); 8] = [
    (
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
        |m| &mut m.io_service_bytes_recursive,
    ),
    (
        "blkio.bfq.io_serviced_recursive",
        "blkio.throttle.io_serviced",
        |m| &mut m.io_serviced_recursive,
    ),
    ("blkio.bfq.io_queued_recursive", "", |m| {
        &mut m.io_queued_recursive
    }),
    ("blkio.bfq.io_service_time_recursive", "", |m| {
        &mut m.io_service_time_recursive
    }),
    ("blkio.bfq.io_wait_time_recursive", "", |m| {
        &mut m.io_wait_time_recursive
    }),
    ("blkio.bfq.io_merged_recursive", "", |m| {
        &mut m.io_merged_recursive
    }),
    ("blkio.bfq.time_recursive", "", |m| &mut m.io_time_recursive),
    ("blkio.bfq.sectors_recursive", "", |m| {
        &mut m.sectors_recursive
    }),
];

/// Everything.
pub fn metrics(cgroup: &Cgroup) -> Metrics {
    let mut metrics = Metrics::default();
    let mut cpu = CPUStat::default();
    if let Some(folder) = cgroup.folder("cpuacct") {
        cpu.usage = MessageField::some(usage(folder));
    }
    if let Some(folder) = cgroup.folder("cpu") {
        let text = text(folder, "cpu.stat").unwrap_or_default();
        cpu.throttling = MessageField::some(Throttle {
            periods: member(&text, "nr_periods"),
            throttled_periods: member(&text, "nr_throttled"),
            throttled_time: member(&text, "throttled_time"),
            ..Throttle::default()
        });
    }
    metrics.cpu = MessageField::some(cpu);
    if let Some(folder) = cgroup.folder("memory") {
        metrics.memory = MessageField::some(memory(folder));
        let text = text(folder, "memory.oom_control").unwrap_or_default();
        let mut oom = MemoryOomControl::default();
        for (key, place) in OOM {
            *place(&mut oom) = member(&text, key);
        }
        metrics.memory_oom_control = MessageField::some(oom);
    }
    if let Some(folder) = cgroup.folder("pids") {
        let limit = value(folder, "pids.max");
        metrics.pids = MessageField::some(PidsStat {
            current: value(folder, "pids.current"),
            // Here no limit is told as zero.
            limit: if limit == u64::MAX { 0 } else { limit },
            ..PidsStat::default()
        });
    }
    if let Some(folder) = cgroup.folder("blkio") {
        metrics.blkio = MessageField::some(block(folder));
    }
    if let Some(folder) = cgroup.folder("hugetlb") {
        metrics.hugetlb = page_sizes(folder)
            .into_iter()
            .map(|size| huge(folder, size))
            .collect();
    }
    metrics
}

fn usage(folder: &Folder) -> CPUUsage {
    /// cpuacct.stat counts in USER_HZ, which is 100 on every architecture
    /// that packrank runs on (asm-generic/param.h).
    const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / 100;
    let text_of = |file| text(folder, file).unwrap_or_default();
    let ticks = text_of("cpuacct.stat");
    let each = text_of("cpuacct.usage_percpu");
    let each = each.split(u8::is_ascii_whitespace);
    CPUUsage {
        total: value(folder, "cpuacct.usage"),
        kernel: member(&ticks, "system").saturating_mul(NANOSECONDS_PER_TICK),
        user: member(&ticks, "user").saturating_mul(NANOSECONDS_PER_TICK),
        per_cpu: each.filter_map(number).collect(),
        ..CPUUsage::default()
    }
}

fn memory(folder: &Folder) -> MemoryStat {
    let text = text(folder, "memory.stat").unwrap_or_default();
    let mut memory = MemoryStat::default();
    for (key, place) in MEMORY {
        *place(&mut memory) = member(&text, key);
    }
    let entry = |name: &str| {
        let file = |what: &str| value(folder, &format!("{name}.{what}"));
        let there = folder.has(&format!("{name}.usage_in_bytes"));
        match there {
            true => MessageField::some(MemoryEntry {
                limit: file("limit_in_bytes"),
                usage: file("usage_in_bytes"),
                max: file("max_usage_in_bytes"),
                failcnt: file("failcnt"),
                ..MemoryEntry::default()
            }),
            false => MessageField::none(),
        }
    };
    memory.usage = entry("memory");
    memory.swap = entry("memory.memsw");
    memory.kernel = entry("memory.kmem");
    memory.kernel_tcp = entry("memory.kmem.tcp");
    memory
}

fn huge(folder: &Folder, size: String) -> HugetlbStat {
    let file = |what: &str| value(folder, &format!("hugetlb.{size}.{what}"));
    HugetlbStat {
        usage: file("usage_in_bytes"),
        max: file("max_usage_in_bytes"),
        failcnt: file("failcnt"),
        pagesize: size,
        ..HugetlbStat::default()
    }
}

fn block(folder: &Folder) -> BlkIOStat {
    let names = devices();
    let mut stat = BlkIOStat::default();
    for (scheduler, throttle, place) in BLOCK {
        let text = text(folder, scheduler).or_else(|| text(folder, throttle));
        let text = text.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        *place(&mut stat) = text
            .lines()
            .filter_map(|line| entry(line, &names))
            .collect();
    }
    stat
}

/// Lines of `8:0 Read 4096`; the file's last line, its sum, is none.
fn entry(line: &str, names: &HashMap<(u64, u64), String>) -> Option<BlkIOEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = device(words.next()?)?;
    let (op, number) = match (words.next()?, words.next()) {
        (op, Some(number)) => (op, number),
        (number, None) => ("", number),
    };
    Some(BlkIOEntry {
        op: op.to_owned(),
        device: names.get(&(major, minor)).cloned().unwrap_or_default(),
        major,
        minor,
        value: number.parse().ok()?,
        ..BlkIOEntry::default()
    })
}

/// Block devices by number.
fn devices() -> HashMap<(u64, u64), String> {
    let text = std::fs::read_to_string("/proc/partitions").unwrap_or_default();
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((numbers, format!("/dev/{}", words.nth(1)?)))
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_throttle() {
        let names = HashMap::from([((8, 0), "/dev/sda".to_owned())]);
        let read = entry("8:0 Read 4096", &names).unwrap();
        assert_eq!(
            (&*read.op, &*read.device, read.value),
            ("Read", "/dev/sda", 4096)
        );
        assert_eq!(entry("8:1 77", &names).unwrap().value, 77);
        assert!(entry("Total 4096", &names).is_none());
    }

    #[test]
    fn memory_and_processor() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            (
                "memory.stat",
                "rss 5\ntotal_inactive_file 6\nhierarchical_memory_limit 7\n",
            ),
            ("memory.usage_in_bytes", "8\n"),
            ("memory.limit_in_bytes", "9\n"),
            ("cpuacct.usage", "1000\n"),
            ("cpuacct.usage_percpu", "600 400 \n"),
            ("cpuacct.stat", "user 3\nsystem 1\n"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let folder = Folder::open(folder.path()).unwrap();
        let memory = memory(&folder);
        assert_eq!((memory.rss, memory.total_inactive_file), (5, 6));
        assert_eq!((memory.usage.usage, memory.usage.limit), (8, 9));
        assert!(memory.swap.is_none());
        let usage = usage(&folder);
        assert_eq!((usage.total, usage.user), (1000, 30_000_000));
        assert_eq!(usage.per_cpu, [600, 400]);
    }
}
