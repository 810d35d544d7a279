use std::time::{Duration, Instant, SystemTime};

use packrank_core::record::{Amount, Record};
use packrank_kernel::pressure::{Pressure, Stalls};
use packrank_watcher::decide::{Node, Sample};
use serde_json::json;

use super::*;
use crate::ask::Told;
use crate::latency::{Histogram, Source};
use crate::snapshot::{Pack, Rates, Use};

fn pack(number: u32, name: &str) -> Pack {
    let record: Record = serde_json::from_value(json!({
        "version": 1, "id": format!("id{number}"), "priority": "low", "pid": 1, "started": 1,
        "cgroups": {}, "bundle": "/", "engine": "/", "name": name, "pod": "p", "namespace": "n",
        "settings": { "memory.limit": 1 << 30, "cpu.quota": 50, "memory.guarantee": 0,
            "network.egress": 8_000_000, "network.ingress": 8_000_000,
            "io.read-bps": 1 << 20, "io.write-bps": 1 << 20 },
    }))
    .unwrap();
    let mut latency = Histogram::default();
    latency.observe(0.003, 4);
    let some = Some(Stalls {
        avg10: 100,
        total: 1_500_000,
    });
    Pack {
        record: Arc::new(record),
        deeds: Arc::default(),
        sample: Sample {
            populated: true,
            memory: Some(700 << 20),
            cache: Some(188 << 20),
            at_limit: Some(3),
            cpu_used: Some(12_500_000),
            cpu_throttled: Some(2_000_000),
            io: Some([1, 2, 3, 4]),
            ..Sample::default()
        },
        rates: Some(Rates {
            cpu: 40.0,
            ..Rates::default()
        }),
        cpu_limit: Some(Amount::At(50_000)),
        memory_limit: Some(Amount::At(1 << 30)),
        io_limit: [Some(1 << 20); 2],
        network_limit: [Some(8_000_000); 2],
        frozen: false,
        pressure: [Some(Pressure { some, full: some }); 3],
        network: Some([10, 20]),
        files: Some(Use {
            used: 9,
            limit: Some(1024),
        }),
        connections: Some(Use {
            used: 1,
            limit: Some(500),
        }),
        processes: Some(Use {
            used: 2,
            limit: None,
        }),
        latency,
    }
}

fn snapshot(packs: Vec<Pack>) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        node: Node {
            memory_total: Some(16 << 30),
            memory_available: Some(8 << 30),
            cpu_capacity: Some(200_000),
            ..Node::default()
        },
        pressure: [None; 3],
        packs,
        latency: Source::Requests,
        watcher: Some(Told::default()),
        took: 0.001,
    })
}

#[test]
fn samples_have_their_labels_units_and_numbers() {
    let snapshot = snapshot(vec![pack(1, "a \"quoted\"\\name\n")]);
    let text = encode(&snapshot, &Tally::default()).unwrap();
    let who = r#"pack="a \"quoted\"\\name\n",pod="p",namespace="n",class="low""#;
    for line in [
        format!("pack_cpu_usage_percent{{{who}}} 80.0"),
        format!("pack_memory_usage_percent{{{who}}} 50.0"),
        format!("pack_throttled_seconds_total{{{who}}} 2.0"),
        format!("pack_network_bytes_total{{{who},direction=\"receive\"}} 20.0"),
        format!("pack_network_limit_bytes_per_second{{{who},direction=\"transmit\"}} 1000000.0"),
        format!("pack_pressure_seconds_total{{{who},resource=\"io\",kind=\"full\"}} 1.5"),
        format!("pack_io_latency_seconds_bucket{{le=\"0.005\",{who}}} 4"),
        format!("pack_io_latency_seconds_count{{{who}}} 4"),
        "# UNIT pack_memory_usage_bytes bytes".to_owned(),
        "# TYPE pack_throttled_seconds counter".to_owned(),
        "packrank_packs{class=\"low\"} 1.0".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    // What has no limit has no limit's sample.
    assert!(!text.contains("pack_processes_limit{"));
}

#[test]
fn every_family_is_there_once_has_help_and_is_documented() {
    let text = encode(&snapshot(vec![pack(1, "a")]), &Tally::default()).unwrap();
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE "))
        .filter_map(|l| l.split(' ').next())
        .collect();
    let before = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), before, "a family is there twice");
    let page = include_str!("../../../docs/metrics.md");
    for name in names {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let row = page.lines().find_map(|line| {
            let rest = line.strip_prefix(&format!("| `{name}` | "))?;
            let mut cells = rest.split(" | ");
            Some((cells.next()?, cells.next()?))
        });
        let (kind, unit) = row.unwrap_or_else(|| panic!("docs/metrics.md lacks {name}"));
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        let start = format!("# UNIT {name} ");
        let own = text.lines().find_map(|line| line.strip_prefix(&start));
        match own {
            Some(own) => assert_eq!(unit, format!("`{own}`"), "{name}"),
            None => assert!(!unit.is_empty() && !unit.contains('`'), "{name}: {unit}"),
        }
    }
    // Nor is a family on the page that there is no more.
    let rows = page.lines().filter(|line| line.starts_with("| `pack"));
    assert_eq!(rows.count(), before);
}

#[test]
fn where_latencies_come_from_is_in_their_help() {
    let mut snapshot = snapshot(Vec::new());
    let help = |snapshot: &Arc<Snapshot>| {
        let text = encode(snapshot, &Tally::default()).unwrap();
        let mut lines = text.lines().map(str::to_owned);
        lines.find(|l| l.starts_with("# HELP pack_io_latency_seconds "))
    };
    assert!(help(&snapshot).unwrap().contains("BPF"));
    Arc::make_mut(&mut snapshot).latency = Source::Means("not\nallowed".to_owned());
    assert!(help(&snapshot).unwrap().ends_with(": not allowed."));
}

#[test]
fn two_packs_of_one_name_are_told_apart() {
    let snapshot = snapshot(vec![pack(1, "web"), pack(2, "web"), pack(3, "db")]);
    let names: Vec<String> = names(&snapshot).into_iter().map(|who| who.pack).collect();
    assert_eq!(names, ["id1", "id2", "db"]);
}

#[test]
fn a_thousand_packs_have_a_bounded_text() {
    let packs = (0..1_000).map(|n| pack(n, &format!("pack-{n}"))).collect();
    let snapshot = snapshot(packs);
    let begin = Instant::now();
    let text = encode(&snapshot, &Tally::default()).unwrap();
    // For people; scripts and machines differ.
    println!("{:?} for {} bytes", begin.elapsed(), text.len());
    let samples = text.lines().filter(|l| !l.starts_with('#')).count();
    assert!(samples < 1_000 * 60, "{samples} samples");
}
