//! What the watcher knows, for people and programs.
//!
//! In: state, packs, ancestors. Out: one JSON object.

use std::path::Path;

use packrank_core::record::Amount;
use serde_json::{Value as Json, json};

use crate::decide::{Knob, Resource, State};
use crate::registry::{Kept, Registry};

/// Everything.
#[must_use]
pub fn tell(state: &State, registry: &Registry, notes: &[String]) -> Json {
    let packs: Vec<Json> = (0..)
        .map(crate::decide::Slot)
        .zip(&registry.kept)
        .filter_map(|(slot, kept)| Some(pack(state, registry, slot, kept.as_ref()?)))
        .collect();
    let mut told = node(state, registry, notes);
    told["packs"] = packs.into();
    told
}

/// The node as a whole: what is quick to tell, whatever runs.
#[must_use]
pub fn node(state: &State, registry: &Registry, notes: &[String]) -> Json {
    let level = |resource| state.level(resource).name();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "paused": state.paused(),
        "pressure": {
            "memory": level(Resource::Memory),
            "cpu": level(Resource::Cpu),
            "io": level(Resource::Io),
        },
        "notes": notes,
        "incomparable": incomparable(registry),
    })
}

fn pack(state: &State, registry: &Registry, slot: crate::decide::Slot, kept: &Kept) -> Json {
    let sample = registry.samples.get(slot.0 as usize).copied().flatten();
    // Names are needed by people only: read when asked for.
    let record = registry.packs.read(&kept.id).ok();
    let names = record.as_ref().map(|record| &record.names);
    let mut values = serde_json::Map::new();
    for knob in Knob::ALL {
        let dial = state.pack(slot).map(|pack| pack.dial(knob));
        if let Some(dial) = dial.filter(|dial| dial.plan().is_some()) {
            let of = |amount: Amount| amount.number();
            values.insert(
                knob.key().name().to_owned(),
                json!({
                    "now": of(dial.target()),
                    "planned": dial.plan().and_then(of),
                    "adapted": of(dial.adapted()),
                    "pressed": dial.pressed().map(of),
                    "pinned": dial.pinned,
                    "written": dial.wrote() == Some(dial.target()),
                }),
            );
        }
    }
    let forecasts = state.pack(slot).map(|pack| pack.forecasts());
    let forecast = forecasts.map(|f| {
        let score = f.memory.score();
        json!({
            "memory": { "predicted": score.last.0, "came": score.last.1,
                "off-permille": score.off_permille, "count": score.count },
            "memory-need": { "bytes": f.memory_need.enough(),
                "missed-permille": f.memory_need.missed().1 },
            "cpu-need": { "thousandths-of-percent": f.cpu_need.enough(),
                "missed-permille": f.cpu_need.missed().1 },
        })
    });
    json!({
        "id": &*kept.id,
        "title": record.as_ref().map(|record| record.title()),
        "class": kept.class.name(),
        "pod": names.and_then(|names| names.pod.as_deref()),
        "namespace": names.and_then(|names| names.namespace.as_deref()),
        "pid": kept.pid,
        "mode": record.as_ref().map(|record| record.mode),
        "memory": sample.and_then(|s| s.memory),
        "cache": sample.and_then(|s| s.cache),
        "cpu-us": sample.and_then(|s| s.cpu_used),
        "throttled-us": sample.and_then(|s| s.cpu_throttled),
        "frozen": state.pack(slot).is_some_and(|pack| pack.frozen()),
        "values": values,
        "forecast": forecast,
    })
}

/// Parents under which packs of different class do not share siblings, so
/// that their weights do not compare (C7): empty when all packs have the same.
#[must_use]
pub fn incomparable(registry: &Registry) -> Vec<String> {
    let parent = |kept: &Kept| -> Option<String> {
        let path = kept.cgroup.weight_folder()?.path();
        Some(
            path.parent()
                .unwrap_or(Path::new("/"))
                .display()
                .to_string(),
        )
    };
    let mut parents: Vec<(String, &str)> = registry
        .kept
        .iter()
        .flatten()
        .filter_map(|kept| Some((parent(kept)?, kept.class.name())))
        .collect();
    parents.sort();
    parents.dedup();
    let classes = |at: usize| parents[at].1;
    let differs = (1..parents.len()).any(|at| {
        parents[at].0 != parents[at - 1].0 && (0..parents.len()).any(|o| classes(o) != classes(at))
    });
    match differs {
        true => parents
            .into_iter()
            .map(|(path, class)| format!("{class} under {path}"))
            .collect(),
        false => Vec::new(),
    }
}
