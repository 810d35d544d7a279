//! What `top --once` shows, for programs: base units, `null` for what is not
//! known or has no limit.

use packrank_core::record::Amount;
use packrank_monitor::{Pack, Snapshot};
use serde_json::{Value as Json, json};

use super::view::View;

pub(crate) fn tell(view: &View) -> Json {
    let Some(snapshot) = &view.snapshot else {
        return json!({ "packs": [] });
    };
    let levels = snapshot.watcher.as_ref().map(|told| &told.pressure);
    let packs: Vec<Json> = view.packs().iter().map(|p| pack(snapshot, p)).collect();
    json!({
        "node": {
            "memory-bytes": snapshot.node.memory_total,
            "memory-available-bytes": snapshot.node.memory_available,
            "cpu-capacity-percent": snapshot.node.cpu_capacity.map(|n| n / 1_000),
            "cpu-used-percent": snapshot.node.cpu_used.map(|n| n / 1_000),
            "pressure": levels.map(|l| json!({ "cpu": l.cpu, "memory": l.memory, "io": l.io })),
        },
        "watcher": snapshot.watcher.as_ref().map(|told| json!({ "paused": told.paused })),
        "packs": packs,
    })
}

fn pack(snapshot: &Snapshot, pack: &Pack) -> Json {
    let record = &pack.record;
    let rates = pack.rates.unwrap_or_default();
    let number = |amount: Option<Amount>| amount.and_then(Amount::number);
    json!({
        "id": record.id, "name": record.names.name, "pod": record.names.pod,
        "namespace": record.names.namespace, "class": record.priority.name(), "pid": record.pid,
        "cpu-percent": rates.cpu,
        "cpu-percent-of-limit": pack.cpu_percent(&snapshot.node),
        "cpu-limit-percent": number(pack.cpu_limit).map(|n| n / 1_000),
        "memory-bytes": pack.sample.memory, "cache-bytes": pack.sample.cache,
        "memory-percent-of-limit": pack.memory_percent(&snapshot.node),
        "memory-limit-bytes": number(pack.memory_limit),
        "throttled-percent": rates.throttled,
        "network-bits-per-second": pack.network.map(|_| rates.network.map(|n| n * 8.0)),
        "network-limit-bits-per-second": pack.network_limit,
        "io-limit-bytes-per-second": pack.io_limit, "frozen": pack.frozen,
        "io-bytes-per-second": &rates.io[..2], "io-operations-per-second": &rates.io[2..],
        "open-files": pack.files.map(|f| f.used), "connections": pack.connections.map(|c| c.used),
        "processes": pack.processes.map(|p| p.used),
    })
}
