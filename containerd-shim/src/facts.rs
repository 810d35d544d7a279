//! The two things that the shim itself wants to know of a config.json.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Which containers share a shim: the stock shim's label, then the pod.
const GROUPS: [&str; 2] = [
    "io.containerd.runc.v2.group",
    "io.kubernetes.cri.sandbox-id",
];

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

/// The group that the container belongs to, if it names one.
///
/// # Errors
/// When the document is none.
pub fn group(document: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let mut document: Document = serde_json::from_slice(document)?;
    Ok(GROUPS
        .iter()
        .find_map(|name| document.annotations.remove(*name)))
}

/// Whether its processes live on when its first one ends: it has no PID
/// namespace of its own.
#[must_use]
pub fn shares_pids(document: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<Document>(document) else {
        return false;
    };
    let namespaces = document.linux.map(|linux| linux.namespaces);
    let own = |n: &Namespace| n.kind == "pid" && n.path.is_empty();
    !namespaces.unwrap_or_default().iter().any(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_processes() {
        let pod = br#"{"annotations": {"io.kubernetes.cri.sandbox-id": "pod"}, "linux": {"namespaces": [{"type": "pid"}]}}"#;
        assert_eq!(group(pod).unwrap().as_deref(), Some("pod"));
        assert!(!shares_pids(pod));
        assert_eq!(group(b"{}").unwrap(), None);
        assert!(shares_pids(
            br#"{"linux": {"namespaces": [{"type": "pid", "path": "/proc/1/ns/pid"}]}}"#
        ));
        assert!(group(b"[").is_err());
    }
}
