//! Small specs for a runtime that is in front of a fake engine.
//!
//! In: annotations. Out: config.json's text.

use serde_json::{Map, Value, json};

/// A spec with these annotations, none for an empty list.
pub fn annotated(annotations: &[(&str, &str)]) -> String {
    let pairs = annotations.iter();
    let map: Map<String, Value> = pairs.map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "process": { "args": ["true"], "cwd": "/", "env": ["A=b"] },
        "root": { "path": "rootfs" },
        "linux": { "resources": {} },
        "later": { "unknown": [1, null] }
    });
    if !map.is_empty() {
        spec["annotations"] = map.into();
    }
    serde_json::to_string_pretty(&spec).unwrap()
}

/// A spec that claims a class.
pub fn ranked(class: &str) -> String {
    annotated(&[("packrank.io/priority", class)])
}
