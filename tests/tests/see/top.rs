//! The live view of a real node, once.

use serde_json::Value as Json;

use crate::workload;

#[test]
fn top_shows_a_real_node() {
    let Some(mut node) = workload::busy("top") else {
        return;
    };
    node.policy("[watch]\nlinger = 600\n");
    node.watch();
    let out = node
        .packrank(&["top", "--once", "--format", "json"])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let told: Json = serde_json::from_slice(&out.stdout).unwrap();
    let packs = told["packs"].as_array().unwrap();
    let named = |name: &str| packs.iter().find(|p| p["name"] == name).unwrap();
    assert_eq!(packs.len(), 4, "{told}");
    assert!(
        named("api")["cpu-percent"].as_f64().unwrap() > 1.0,
        "{told}"
    );
    assert!(named("db")["memory-bytes"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(named("db")["memory-limit-bytes"], 256 << 20);
    let out = node
        .packrank(&["top", "--once", "--sort", "cpu", "--filter", "shop"])
        .output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    assert!(
        text.contains("crit db") && text.contains("norm api"),
        "{text}"
    );
    assert!(
        !text.contains("batch") && !text.contains('\u{1b}'),
        "{text}"
    );
}
