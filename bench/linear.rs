//! How the cost grows with the spec's size.

use std::fs;

use packrank_tests::spec::Size;

use crate::place::{Place, quiet};
use crate::race::{Contestant, net, run, spread};
use crate::table;

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
    contestants.extend(bundles.iter().map(|(bundle, bytes)| {
        let mut command = quiet(&place.runtime);
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
    let times = run(&mut contestants, rounds);
    let mut last = None;
    for ((_, bytes), times_of) in bundles.iter().zip(&times[1..]) {
        let kb = bytes.len() as f64 / 1e3;
        let net = net(times_of, &times[0]);
        table::row(&format!("{kb:.1} KB"), &net, None);
        let (wall, ..) = spread(&net.wall);
        if let Some((smaller, less)) = last {
            table::note(&format!(
                "  each further KB: {:.2} µs",
                (wall - less) / (kb - smaller) * 1e3
            ));
        }
        last = Some((kb, wall));
    }
}
