//! The dashboard against a real Prometheus that scrapes a real watcher.

use std::fs;
use std::time::{Duration, Instant};

use packrank_tests::apart::apart;
use packrank_tests::node::Node;
use packrank_tests::skipped::skipped;
use serde_json::{Value as Json, json};

use super::prometheus::{Prometheus, examples, free_port, installed};
use super::{wire, workload};

/// Levels that any node reaches: the watcher acts at once.
const PRESSING: &str = "linger = 600\nmemory.used = [0, 0, 0, 101]\ncpu.some = [0, 0, 101, 101]\n\
    squeeze.down-every = 1\nladder.reclaim-time = 1\nviolation.restart-after = 1\nviolation.memory = 85\n";

/// Every query of panels, variables and annotations.
fn queries(dashboard: &Json) -> Vec<String> {
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> = list(&dashboard["panels"])
        .iter()
        .flat_map(|panel| list(&panel["targets"]))
        .filter_map(|target| text(&target["expr"]))
        .collect();
    let notes = list(&dashboard["annotations"]["list"]);
    all.extend(notes.iter().filter_map(|note| text(&note["expr"])));
    let variables = list(&dashboard["templating"]["list"]);
    let defined = variables.iter().filter_map(|v| text(&v["definition"]));
    // label_values(metric, label): the metric has to have the label.
    all.extend(defined.filter_map(|query| {
        let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (metric, label) = inside.split_once(", ")?;
        Some(format!("{metric}{{{label}!=\"\"}}"))
    }));
    let given = |query: &String| {
        query
            .replace("$__rate_interval", "30s")
            .replace("$instance", ".*")
            .replace("$namespace", ".*")
            .replace("$class", ".*")
    };
    all.iter().map(given).collect()
}

/// The numbers of a query's series.
fn numbers(series: &[Json]) -> Vec<f64> {
    let number = |one: &Json| one["value"][1].as_str()?.parse().ok();
    series.iter().filter_map(number).collect()
}

#[test]
fn every_query_of_the_dashboard_returns_data() {
    if !installed("the dashboard") {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skipped("the dashboard", "not root");
    }
    apart("dashboard", &[], || {
        wire::loopback();
        if let Some(node) = workload::busy("dashboard") {
            beside(node);
        }
    });
}

/// The queries against a Prometheus that scrapes this node.
fn beside(mut node: Node) {
    // Another of a name that is there, elsewhere.
    node.pack(
        "a92",
        "normal",
        &["sleep", "600"],
        &json!({ "name": "api", "pod": "other-1", "namespace": "ops", "settings": {} }),
    );
    // It holds nine tenths of its limit, and asks to be ended there: a kill on a node that is not short.
    node.pack(
        "1eac",
        "normal",
        &["sh", "-c", "cat /dev/zero | tail -c 59M"],
        &json!({ "name": "leak", "options": { "on-violation": "restart" },
            "settings": { "cpu.quota": 50, "memory.limit": 64 << 20 } }),
    );
    wire::connect(&node, "c0ffee");
    let port = free_port();
    node.policy(&format!("[watch]\nmetrics = \"{port}\"\n{PRESSING}"));
    node.watch();
    let prometheus = Prometheus::scraping(port);
    let text = fs::read_to_string(examples().join("dashboard.json")).unwrap();
    let dashboard: Json = serde_json::from_str(&text).unwrap();
    let mut left = queries(&dashboard);
    assert!(left.len() > 25, "{} queries", left.len());
    if workload::disk(node.folder.path()).is_none() {
        skipped("the dashboard's disks", "the temporary folder is on none");
        left.retain(|query| !query.contains("pack_io_"));
    }
    let all = left.clone();
    let until = Instant::now() + Duration::from_secs(90);
    while !left.is_empty() {
        // Nothing is at rest here: a number that stays 0 is one that is not read.
        left.retain(|query| {
            let numbers = numbers(&prometheus.query(query));
            numbers
                .iter()
                .all(|number| *number == 0.0 || number.is_nan())
        });
        let silent = left.join("\n");
        assert!(
            Instant::now() < until,
            "no data, or only zeros:\n{silent}\n{}",
            prometheus.said()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    for (query, least) in [
        // What is sent, both ways, and at least the two connections that are open.
        (
            "rate(pack_network_bytes_total{pack=\"db\", direction=\"transmit\"}[30s])",
            1_000.0,
        ),
        (
            "rate(pack_network_bytes_total{pack=\"db\", direction=\"receive\"}[30s])",
            1_000.0,
        ),
        ("pack_connections{pack=\"db\"}", 2.0),
    ] {
        let numbers = numbers(&prometheus.query(query));
        assert!(
            numbers.len() == 1 && numbers[0] >= least,
            "{query}: {numbers:?}"
        );
    }
    // Packs of one name are two, wherever a query adds up by pack.
    let by_pack = all.iter().filter(|query| query.contains("pod, pack"));
    let of_cpu = "pack_cpu_usage_percent";
    let mut asked = 0;
    for query in
        by_pack.filter(|query| query.contains("pack_open_files_limit{") || query.contains(of_cpu))
    {
        let series = prometheus.query(query);
        let mut places: Vec<&str> = series
            .iter()
            .filter(|one| one["metric"]["pack"] == "api")
            .filter_map(|one| one["metric"]["namespace"].as_str())
            .collect();
        places.sort_unstable();
        assert_eq!(places, ["ops", "shop"], "{query}");
        asked += 1;
    }
    assert_eq!(asked, 2, "the matrix and the health panel");
    // The rules load and are evaluated without an error.
    let rules = prometheus.data("/api/v1/rules").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 10);
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let killed = prometheus.query("pack_actions_total{action=\"kill\", result=\"done\"}");
    assert_eq!(killed[0]["metric"]["pack"], "leak", "{killed:?}");
}

#[test]
fn no_panel_adds_up_packs_of_one_name() {
    let text = fs::read_to_string(examples().join("dashboard.json")).unwrap();
    let dashboard: Json = serde_json::from_str(&text).unwrap();
    let all = queries(&dashboard);
    let mut by_pack = 0;
    for query in &all {
        for by in query.split("by (").skip(1) {
            let labels: Vec<&str> = by.split(')').next().unwrap().split(", ").collect();
            if labels.contains(&"pack") {
                by_pack += 1;
                for label in ["instance", "namespace", "pod"] {
                    assert!(labels.contains(&label), "{query}");
                }
            }
        }
    }
    assert!(by_pack >= 10, "{by_pack}");
}
