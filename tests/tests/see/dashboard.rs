//! The dashboard against a real Prometheus that scrapes a real watcher.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::prometheus::{Prometheus, examples, free_port, installed};
use crate::workload;

/// Levels that any node reaches: the watcher acts at once, down to killing the
/// scavenger.
const PRESSING: &str = "linger = 600\nmemory.used = [0, 0, 0, 101]\ncpu.some = [0, 0, 101, 101]\n\
    squeeze.down-every = 1\nladder.reclaim-time = 1\n";

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

#[test]
fn every_query_of_the_dashboard_returns_data() {
    if !installed("the dashboard") {
        return;
    }
    let Some(mut node) = workload::busy("dashboard") else {
        return;
    };
    let port = free_port();
    node.policy(&format!("[watch]\nmetrics = \"{port}\"\n{PRESSING}"));
    node.watch();
    let prometheus = Prometheus::scraping(port);
    let text = fs::read_to_string(examples().join("dashboard.json")).unwrap();
    let dashboard: Json = serde_json::from_str(&text).unwrap();
    let mut left = queries(&dashboard);
    assert!(left.len() > 25, "{} queries", left.len());
    let until = Instant::now() + Duration::from_secs(60);
    while !left.is_empty() {
        left.retain(|query| prometheus.query(query).is_empty());
        let silent = left.join("\n");
        assert!(
            Instant::now() < until,
            "no data:\n{silent}\n{}",
            prometheus.said()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    // The rules load and are evaluated without an error.
    let rules = prometheus.data("/api/v1/rules").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 10);
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let killed = prometheus.query("pack_actions_total{action=\"kill\", result=\"done\"}");
    assert_eq!(killed[0]["metric"]["pack"], "batch", "{killed:?}");
}
