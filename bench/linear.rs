//! How the cost grows with the spec's size.

use std::fs;

use packrank_tests::spec::Size;
use serde_json::json;

use crate::place::{Place, quiet};
use crate::race::{Contestant, Times, net, run, spread};
use crate::table::{self, Row};

/// Environment variables that make the size: each takes about 42 bytes.
const SIZES: [usize; 4] = [0, 600, 7_000, 71_000];

pub fn from_3_kb_to_3_mb(place: &Place, rounds: usize) {
    table::section("Create of a ranked container by the size of its config.json, net");
    let bundles = SIZES.map(|variables| {
        let size = Size {
            variables,
            mounts: 0,
            seccomp: false,
        };
        let bundle = place.docker(&format!("size-{variables}"), size, Some("low"));
        let bytes = bundle.bytes();
        (bundle, bytes)
    });
    let mut contestants = vec![Contestant::new("bare", quiet(&place.noop))];
    for wrapper in place.wrappers() {
        contestants.extend(bundles.iter().map(|(bundle, bytes)| {
            let mut command = quiet(wrapper);
            command
                .arg("--engine")
                .arg(&place.noop)
                .args(["create", "--bundle"])
                .arg(&bundle.path)
                .arg("id");
            let mut contestant = Contestant::new("create", command);
            contestant.before = Box::new(move || fs::write(bundle.config(), bytes).unwrap());
            contestant
        }));
    }
    let times = run(&mut contestants, rounds);
    let nets: Vec<Times> = times[1..].iter().map(|t| net(t, &times[0])).collect();
    let mut last = None;
    for (index, (_, bytes)) in bundles.iter().enumerate() {
        let kb = bytes.len() as f64 / 1e3;
        let (ours, go) = (&nets[index], nets.get(index + SIZES.len()));
        let row = Row::of(&format!("{kb:.1} KB"), ours);
        row.beside("Go's", go).print();
        if let Some(go) = go {
            Row::of("  the same by a Go wrapper", go).print();
        }
        let (cpu, ..) = spread(&ours.cpu);
        if let Some((smaller, less)) = last {
            let micros = (cpu - less) / (kb - smaller) * 1e3;
            table::result(
                &format!("  each further KB: {micros:.2} µs of CPU time"),
                json!({ "name": "each further KB", "up-to-kb": kb, "cpu-us": micros }),
            );
        }
        last = Some((kb, cpu));
    }
}
