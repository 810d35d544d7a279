//! What packrank adds to a container's start, and what it takes while idle.
//!
//! In: the folder with packrank's programs, the one with what they are measured
//! against (`bench/run` builds it), and the number of rounds. Out: a
//! table of medians with their spread, beside the goals, and each result as
//! JSON ([`table`]); 1 where a section could not be measured to its end. Contestants take
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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use place::Place;

fn main() -> ExitCode {
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
        return ExitCode::from(2);
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
    // One that cannot be measured is reported in its place, and the rest goes on.
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let said = said.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.payload().downcast_ref::<&str>().copied());
        let at = panic.location().map(ToString::to_string);
        table::not_measured(&format!(
            "{} ({})",
            said.unwrap_or("it panicked").trim_end(),
            at.unwrap_or_default()
        ));
    }));
    let mut lost = Vec::new();
    for (name, section) in sections {
        let wanted = wanted.is_empty() || wanted.iter().any(|word| word == name);
        if wanted && catch_unwind(AssertUnwindSafe(section)).is_err() {
            lost.push(name);
        }
    }
    if lost.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "\nnot measured to the end, for the reason given there: {}",
        lost.join(", ")
    );
    ExitCode::FAILURE
}
