//! `packrank gc`: what killed hooks and engines left behind goes.
//!
//! In: the records, and what of ours the kernel holds. Out: one line for each
//! thing removed; exit status 1 when something could not be.

use std::path::PathBuf;
use std::process::ExitCode;

use packrank_shim::attach::{self, RUN_FOLDER};

/// Remove what containers that are gone left behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let swept = attach::sweep(&args.run);
    for line in &swept.removed {
        println!("removed {line}");
    }
    for line in &swept.failed {
        eprintln!("packrank: {line}");
    }
    match swept.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
