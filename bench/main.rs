//! What packrank adds to a container's start, and what it takes while idle.
//!
//! In: the folder with packrank's programs, the one with what they are measured
//! against (`bench/run` builds it), and the number of rounds. Out: a
//! table of medians with their spread, beside the goals. Contestants take
//! turns within a round, and differences are taken within a round, so that a
//! machine's mood touches all of them alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss
)]

mod container;
mod create;
mod engines;
mod hooks;
mod host;
mod idle;
mod linear;
mod parallel;
mod place;
mod race;
mod resident;
mod shim;
mod table;
mod throughput;
mod watchers;

use std::path::PathBuf;

use place::Place;

fn main() {
    let mut args = std::env::args().skip(1);
    let bin = args.next().map(PathBuf::from);
    let peers = args.next().map(PathBuf::from);
    let rounds = args
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(500)
        .max(10);
    let (Some(bin), Some(peers)) = (bin, peers) else {
        eprintln!("usage: bench FOLDER-OF-PROGRAMS FOLDER-OF-PEERS [ROUNDS [SECTION…]]");
        std::process::exit(2);
    };
    let place = Place::new(&bin, &peers);
    table::head(rounds);
    let wanted: Vec<String> = args.collect();
    let sections: [(&str, &dyn Fn()); 10] = [
        ("create", &|| create::in_front_of_nothing(&place, rounds)),
        ("linear", &|| linear::from_3_kb_to_3_mb(&place, rounds / 5)),
        ("engines", &|| engines::added_to_create(&place, rounds / 5)),
        ("run", &|| engines::run_of_true(&place, rounds / 10)),
        ("hooks", &|| hooks::of_a_container(&place, rounds / 5)),
        ("parallel", &|| parallel::starts(&place)),
        ("throughput", &|| throughput::below_the_limit(&place)),
        ("resident", &|| resident::while_a_container_runs(&place)),
        ("shim", &|| shim::under_containerd((rounds / 10).max(3))),
        ("watchers", &|| watchers::idle(&place)),
    ];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            section();
        }
    }
}
