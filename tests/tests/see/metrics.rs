//! A real watcher's metrics.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use packrank_tests::apart::apart;
use packrank_tests::node::{Node, http, http_of};
use packrank_tests::skipped::skipped;
use serde_json::json;

use super::{prometheus, wire, workload};

/// The number behind a sample's name and labels, if it is there once.
pub fn sample(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
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

/// As it stands in a text.
fn number(n: u64) -> f64 {
    n.to_string().parse().unwrap()
}

/// Head and body of a scrape by the node's socket; `None` where nobody answers.
pub fn scrape(node: &Node) -> Option<(String, String)> {
    let stream = UnixStream::connect(node.run().join("metrics.sock")).ok()?;
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).ok()?;
    http(stream, "/metrics").ok()
}

#[test]
fn limits_are_those_that_the_watcher_put_in_force() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("limits in force", "not root");
    }
    apart("in-force", &[], || {
        let Some(mut node) = workload::busy("in-force") else {
            return;
        };
        wire::connect(&node, "c0ffee");
        // A pack that uses little of what it may does not keep that.
        node.policy(
            "[watch]\nlinger = 600\nadaptive.every = 1\nadaptive.down-after = 1\n\
             adaptive.floor = 25\n",
        );
        node.watch();
        // What the watcher has made of a limit, once the kernel has it too.
        let made = |key: &str| {
            let told = node.ask(&json!({ "verb": "status" }))?;
            let packs = told["packs"].as_array()?;
            let db = packs.iter().find(|pack| pack["id"] == "c0ffee")?;
            let value = &db["values"][key];
            let now = value["now"].as_u64()?;
            let well = value["written"] == true && now < value["planned"].as_u64()? / 3;
            well.then_some(now)
        };
        let limit = |name: &str, direction: &str| {
            let labels = ["pack=\"db\"", direction];
            sample(&scrape(&node)?.1, name, &labels)
        };
        // What the host's end is shaped to, which is what the pack receives.
        let shaped = || {
            let out = Command::new("tc")
                .args(["class", "show", "dev", wire::HERE])
                .output();
            String::from_utf8(out.unwrap().stdout).unwrap()
        };
        node.wait("a third of 10 Mbit/s is told, as it is in force", || {
            let bits = made("network.ingress").unwrap_or(0);
            let told = limit(
                "pack_network_limit_bytes_per_second",
                "direction=\"receive\"",
            );
            // The kernel counts frames: 14 bytes more for each 1500.
            let rate = format!(" rate {}Kbit ", bits * 1514 / 1500 / 1_000);
            bits > 0 && told == Some(number(bits / 8)) && shaped().contains(&rate)
        });
        if workload::disk(node.folder.path()).is_none() {
            return skipped("I/O limits in force", "the temporary folder is on no disk");
        }
        let mut bytes = 0;
        node.wait("a third of 50 MiB/s is told, as it is in force", || {
            bytes = made("io.read-bps").unwrap_or(0);
            let told = limit("pack_io_limit_bytes_per_second", "direction=\"read\"");
            bytes > 0 && told == Some(number(bytes))
        });
        let files = ["blkio.throttle.read_bps_device", "io.max"];
        let mut files = files.iter().filter_map(|file| node.cgroup("c0ffee", file));
        let kernel = files.next().unwrap();
        assert!(kernel.contains(&bytes.to_string()), "{kernel}");
        // A pack on the host's network is not shaped, whatever its plan says.
        let batch = ["pack=\"batch\""];
        let text = scrape(&node).unwrap().1;
        let shaped = sample(&text, "pack_network_limit_bytes_per_second", &batch);
        assert_eq!(shaped, None);
    });
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
    let get = || scrape(&node);
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
    if prometheus::installed("the figures through promtool") {
        prometheus::lint(&text);
        let (head, text) = http_of(TcpStream::connect(port).unwrap(), "/metrics", "*/*").unwrap();
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        prometheus::lint(&text);
    }
    // A pack that goes is gone from the next look.
    fs::remove_file(node.run().join("packs/5p1n.json")).unwrap();
    node.wait("the scavenger is gone", || {
        sample(&get().unwrap().1, "pack_memory_usage_bytes", &batch).is_none()
    });
    assert!(node.ask(&json!({ "verb": "status" })).is_some());
}

#[test]
fn a_terminal_is_shown_no_control_characters() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("control characters", "not root");
    }
    let mut node = match Node::new("control") {
        Ok(node) => node,
        Err(why) => return skipped("control characters", &why),
    };
    let names = json!({ "pod": "a\u{1b}[2Jb", "name": "\u{9b}2K" });
    node.pack("c0ffee", "normal", &["sleep", "60"], &names);
    let command = node.packrank(&["metrics"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    // Of util-linux: a terminal of its own.
    let mut script = Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]);
    let output = script.env("SHELL", "/bin/sh").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("pod=\"a\\u{1b}[2Jb\""), "{shown}");
    let kept = |c: char| c.is_control() && c != '\n' && c != '\r';
    assert!(!shown.contains(kept), "{shown:?}");
}
