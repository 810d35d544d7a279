//! The families of the node.

use std::time::UNIX_EPOCH;

use packrank_core::Priority;
use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::Family;
use super::pack::stalled;
use crate::ask::level_number;
use crate::snapshot::{Snapshot, float};

/// A node's number.
pub type OfNode = fn(&Snapshot) -> Option<f64>;

/// Every family that the node has once.
pub const NODE: &[Family<OfNode>] = &[
    Family {
        name: "packrank_watcher_up",
        unit: "",
        help: "Whether the watcher answers: 1 or 0.",
        kind: Gauge,
        samples: &[(&[], |s| Some(f64::from(u8::from(s.watcher.is_some()))))],
    },
    Family {
        name: "packrank_paused",
        unit: "",
        help: "Whether a person stopped the watcher from acting: 1 or 0.",
        kind: Gauge,
        samples: &[(&[], |s| {
            s.watcher.as_ref().map(|w| f64::from(u8::from(w.paused)))
        })],
    },
    Family {
        name: "packrank_pressure_level",
        unit: "",
        help: "The level that counts: 0 none, 1 low, 2 medium, 3 high, 4 critical.",
        kind: Gauge,
        samples: &[
            (&[("resource", "cpu")], |s| {
                s.watcher
                    .as_ref()
                    .map(|w| float(level_number(&w.pressure.cpu)))
            }),
            (&[("resource", "memory")], |s| {
                s.watcher
                    .as_ref()
                    .map(|w| float(level_number(&w.pressure.memory)))
            }),
            (&[("resource", "io")], |s| {
                s.watcher
                    .as_ref()
                    .map(|w| float(level_number(&w.pressure.io)))
            }),
        ],
    },
    Family {
        name: "packrank_pressure",
        unit: "seconds",
        help: "Time in which some task of the node, or all of them (full), waited for the resource.",
        kind: Counter,
        samples: &[
            (&[("resource", "cpu"), ("kind", "some")], |s| {
                stalled(s.pressure[0], false)
            }),
            (&[("resource", "cpu"), ("kind", "full")], |s| {
                stalled(s.pressure[0], true)
            }),
            (&[("resource", "memory"), ("kind", "some")], |s| {
                stalled(s.pressure[1], false)
            }),
            (&[("resource", "memory"), ("kind", "full")], |s| {
                stalled(s.pressure[1], true)
            }),
            (&[("resource", "io"), ("kind", "some")], |s| {
                stalled(s.pressure[2], false)
            }),
            (&[("resource", "io"), ("kind", "full")], |s| {
                stalled(s.pressure[2], true)
            }),
        ],
    },
    Family {
        name: "packrank_packs",
        unit: "",
        help: "Packs that run.",
        kind: Gauge,
        samples: &[
            (&[("class", "critical")], |s| {
                of_class(s, Priority::Critical)
            }),
            (&[("class", "high")], |s| of_class(s, Priority::High)),
            (&[("class", "normal")], |s| of_class(s, Priority::Normal)),
            (&[("class", "low")], |s| of_class(s, Priority::Low)),
            (&[("class", "scavenger")], |s| {
                of_class(s, Priority::Scavenger)
            }),
        ],
    },
    Family {
        name: "packrank_node_cpus",
        unit: "",
        help: "The node's CPUs.",
        kind: Gauge,
        samples: &[(&[], |s| s.node.cpu_capacity.map(|n| float(n) / 1e5))],
    },
    Family {
        name: "packrank_node_memory",
        unit: "bytes",
        help: "The node's memory.",
        kind: Gauge,
        samples: &[(&[], |s| s.node.memory_total.map(float))],
    },
    Family {
        name: "packrank_node_memory_available",
        unit: "bytes",
        help: "Memory of the node that can be had without swapping.",
        kind: Gauge,
        samples: &[(&[], |s| s.node.memory_available.map(float))],
    },
    Family {
        name: "packrank_sample",
        unit: "seconds",
        help: "Time that the last look at all packs took.",
        kind: Gauge,
        samples: &[(&[], |s| Some(s.took))],
    },
    Family {
        name: "packrank_sample_timestamp",
        unit: "seconds",
        help: "When these figures were read, since the epoch.",
        kind: Gauge,
        samples: &[(&[], |s| {
            s.at.duration_since(UNIX_EPOCH)
                .ok()
                .map(|d| d.as_secs_f64())
        })],
    },
];

fn of_class(snapshot: &Snapshot, class: Priority) -> Option<f64> {
    let packs = snapshot.packs.iter();
    let count = packs.filter(|pack| pack.record.priority == class).count();
    Some(float(count as u64))
}
