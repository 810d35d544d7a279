//! A real watcher's metrics.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use packrank_tests::node::http;
use serde_json::json;

use crate::workload;

/// The number behind a sample's name and labels, if it is there once.
fn sample(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut lines = text.lines().filter(|line| {
        let named = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']));
        named && labels.iter().all(|label| line.contains(label))
    });
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{name} {labels:?} is there twice");
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn the_watcher_serves_what_its_packs_use_and_what_it_did() {
    let Some(mut node) = workload::busy("metrics") else {
        return;
    };
    // Free now, and not given to anybody else so soon.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    node.policy(&format!("[watch]\nmetrics = \"{port}\"\nlinger = 600\n"));
    node.watch();
    let socket = node.run().join("metrics.sock");
    let get = || {
        let stream = UnixStream::connect(&socket).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        http(stream, "/metrics").ok()
    };
    let children = || {
        let of = node.watcher();
        fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap()
    };
    assert_eq!(children(), "", "somebody serves before anybody asked");
    let (head, first) = get().expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(first.ends_with("# EOF\n"));
    assert_ne!(children(), "");
    let db = [
        "pack=\"db\"",
        "pod=\"shop-0\"",
        "namespace=\"shop\"",
        "class=\"critical\"",
    ];
    assert_eq!(
        sample(&first, "pack_memory_limit_bytes", &db),
        Some(268_435_456.0)
    );
    assert_eq!(sample(&first, "packrank_watcher_up", &[]), Some(1.0));
    assert_eq!(sample(&first, "packrank_packs", &["scavenger"]), Some(1.0));
    // By the second look there are rates, and the scavenger's own quota has
    // held it back.
    let batch = ["pack=\"batch\"", "class=\"scavenger\""];
    node.wait("the scavenger is at its quota and throttled", || {
        let text = get().unwrap().1;
        let busy = sample(&text, "pack_cpu_usage_percent", &batch).is_some_and(|p| p > 50.0);
        let held = sample(&text, "pack_throttled_seconds_total", &batch);
        busy && held.is_some_and(|seconds| seconds > 0.0)
    });
    let (_, over_tcp) = http(TcpStream::connect(port).unwrap(), "/metrics").unwrap();
    assert!(sample(&over_tcp, "pack_open_files", &batch).is_some_and(|files| files > 0.0));
    let (head, _) = http(TcpStream::connect(port).unwrap(), "/").unwrap();
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    // Clients that say nothing do not keep others from their answer.
    let silent: Vec<_> = (0..4).map(|_| TcpStream::connect(port).unwrap()).collect();
    assert!(get().is_some());
    drop(silent);
    // The file has the same, in the older format.
    let file = node.folder.path().join("packrank.prom");
    let status = node
        .packrank(&["metrics", "--textfile"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("# TYPE pack_throttled_seconds_total counter"),
        "{text}"
    );
    assert!(sample(&text, "pack_memory_usage_bytes", &db).is_some());
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    // A pack that goes is gone from the next look.
    fs::remove_file(node.run().join("packs/5p1n.json")).unwrap();
    node.wait("the scavenger is gone", || {
        sample(&get().unwrap().1, "pack_memory_usage_bytes", &batch).is_none()
    });
    assert!(node.ask(&json!({ "verb": "status" })).is_some());
}
