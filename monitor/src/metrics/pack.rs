//! The families of each pack.

use packrank_core::key::Key;
use packrank_core::record::Amount;
use packrank_kernel::pressure::Pressure;
use packrank_watcher::decide::Node;
use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::Family;
use crate::snapshot::{Pack, float};

/// Bits in a byte.
const BITS: u64 = 8;

/// A pack's number, on its node.
pub type OfPack = fn(&Pack, &Node) -> Option<f64>;

/// Every family that a pack has numbers of, labelled with pack, pod,
/// namespace, class and what each sample says.
pub const PACK: &[Family<OfPack>] = &[
    Family {
        name: "pack_cpu_usage",
        unit: "percent",
        help: "CPU time of late in percent of the quota in force; of all the node's CPUs where there is none.",
        kind: Gauge,
        samples: &[(&[], |pack, node| pack.cpu_percent(node))],
    },
    Family {
        name: "pack_cpu",
        unit: "seconds",
        help: "CPU time used.",
        kind: Counter,
        samples: &[(&[], |pack, _| pack.sample.cpu_used.map(micros))],
    },
    Family {
        name: "pack_cpu_limit",
        unit: "cpus",
        help: "CPU quota in force, in CPUs; absent where there is none.",
        kind: Gauge,
        samples: &[(&[], |pack, _| {
            number(pack.cpu_limit).map(|n| float(n) / 1e5)
        })],
    },
    Family {
        name: "pack_throttled",
        unit: "seconds",
        help: "Time for which the CPU quota held it back, each CPU's added up.",
        kind: Counter,
        samples: &[(&[], |pack, _| pack.sample.cpu_throttled.map(micros))],
    },
    Family {
        name: "pack_memory_usage",
        unit: "bytes",
        help: "Memory charged to it, page cache included.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.sample.memory.map(float))],
    },
    Family {
        name: "pack_memory_working_set",
        unit: "bytes",
        help: "Memory charged to it less the page cache, which can be had back.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.working_set().map(float))],
    },
    Family {
        name: "pack_memory_usage",
        unit: "percent",
        help: "Memory charged to it less the page cache, in percent of the limit in force; of the node's memory where there is none.",
        kind: Gauge,
        samples: &[(&[], |pack, node| pack.memory_percent(node))],
    },
    Family {
        name: "pack_memory_limit",
        unit: "bytes",
        help: "Memory limit in force; absent where there is none.",
        kind: Gauge,
        samples: &[(&[], |pack, _| number(pack.memory_limit).map(float))],
    },
    Family {
        name: "pack_memory_guarantee",
        unit: "bytes",
        help: "Memory in force that the kernel leaves it under pressure.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.limit(Key::MemoryGuarantee).map(float))],
    },
    Family {
        name: "pack_memory_limit_hits",
        unit: "",
        help: "How often it ran into its memory limit.",
        kind: Counter,
        samples: &[(&[], |pack, _| pack.sample.at_limit.map(float))],
    },
    Family {
        name: "pack_network",
        unit: "bytes",
        help: "Bytes that passed its network interfaces, loopback left out. The containers of a pod share one network: each shows the same.",
        kind: Counter,
        samples: &[
            (&[("direction", "transmit")], |pack, _| {
                pack.network.map(|n| float(n[0]))
            }),
            (&[("direction", "receive")], |pack, _| {
                pack.network.map(|n| float(n[1]))
            }),
        ],
    },
    Family {
        name: "pack_network_limit",
        unit: "bytes_per_second",
        help: "Rate in force to which its network is shaped; absent where it is not.",
        kind: Gauge,
        samples: &[
            (&[("direction", "transmit")], |pack, _| {
                pack.network_limit[0].map(|n| float(n / BITS))
            }),
            (&[("direction", "receive")], |pack, _| {
                pack.network_limit[1].map(|n| float(n / BITS))
            }),
        ],
    },
    Family {
        name: "pack_io",
        unit: "bytes",
        help: "Bytes read from and written to disks.",
        kind: Counter,
        samples: &[
            (&[("direction", "read")], |pack, _| io(pack, 0)),
            (&[("direction", "write")], |pack, _| io(pack, 1)),
        ],
    },
    Family {
        name: "pack_io_operations",
        unit: "",
        help: "Disk operations completed.",
        kind: Counter,
        samples: &[
            (&[("direction", "read")], |pack, _| io(pack, 2)),
            (&[("direction", "write")], |pack, _| io(pack, 3)),
        ],
    },
    Family {
        name: "pack_io_limit",
        unit: "bytes_per_second",
        help: "Rate in force to which the kernel limits its reads and writes, of the disk that has the least; absent where none is limited.",
        kind: Gauge,
        samples: &[
            (&[("direction", "read")], |pack, _| {
                pack.io_limit[0].map(float)
            }),
            (&[("direction", "write")], |pack, _| {
                pack.io_limit[1].map(float)
            }),
        ],
    },
    Family {
        name: "pack_pressure",
        unit: "seconds",
        help: "Time in which some of its tasks, or all of them (full), waited for the resource.",
        kind: Counter,
        samples: &[
            (&[("resource", "cpu"), ("kind", "some")], |pack, _| {
                stalled(pack.pressure[0], false)
            }),
            (&[("resource", "cpu"), ("kind", "full")], |pack, _| {
                stalled(pack.pressure[0], true)
            }),
            (&[("resource", "memory"), ("kind", "some")], |pack, _| {
                stalled(pack.pressure[1], false)
            }),
            (&[("resource", "memory"), ("kind", "full")], |pack, _| {
                stalled(pack.pressure[1], true)
            }),
            (&[("resource", "io"), ("kind", "some")], |pack, _| {
                stalled(pack.pressure[2], false)
            }),
            (&[("resource", "io"), ("kind", "full")], |pack, _| {
                stalled(pack.pressure[2], true)
            }),
        ],
    },
    Family {
        name: "pack_open_files",
        unit: "",
        help: "Open files of that process of the pack that has the most.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.files.map(|n| float(n.used)))],
    },
    Family {
        name: "pack_open_files_limit",
        unit: "",
        help: "Open files that each of its processes may have.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.files?.limit.map(float))],
    },
    Family {
        name: "pack_connections",
        unit: "",
        help: "TCP sockets in use in its network, listening ones included. The containers of a pod share one network.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.connections.map(|n| float(n.used)))],
    },
    Family {
        name: "pack_connections_limit",
        unit: "",
        help: "Connections it may have at once.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.connections?.limit.map(float))],
    },
    Family {
        name: "pack_processes",
        unit: "",
        help: "Its processes.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.processes.map(|n| float(n.used)))],
    },
    Family {
        name: "pack_processes_limit",
        unit: "",
        help: "Processes and threads it may have.",
        kind: Gauge,
        samples: &[(&[], |pack, _| pack.processes?.limit.map(float))],
    },
];

fn micros(micros: u64) -> f64 {
    float(micros) / 1e6
}

fn number(amount: Option<Amount>) -> Option<u64> {
    amount?.number()
}

fn io(pack: &Pack, at: usize) -> Option<f64> {
    pack.sample.io.map(|io| float(io[at]))
}

/// Seconds in which some task, or all of them, waited.
pub(super) fn stalled(pressure: Option<Pressure>, full: bool) -> Option<f64> {
    let pressure = pressure?;
    let stalls = if full { pressure.full } else { pressure.some };
    stalls.map(|stalls| micros(stalls.total))
}
