//! `packrank gc`: what killed hooks and engines left behind goes.
//!
//! In: the records, and what of ours the kernel holds, protection of cgroups
//! above packs included, unless a watcher runs. Out: one line for each
//! thing removed; exit status 1 when something could not be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use packrank_shim::attach::{self, RUN_FOLDER};
use packrank_watcher::Roots;
use packrank_watcher::above::give_back_of_the_dead;

use crate::terminal::{fail, plain, tell};

/// Remove what containers that are gone left behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    // Where nothing was ranked since the boot, the usual folder is not there.
    if args.run != Path::new(RUN_FOLDER) && !args.run.is_dir() {
        return fail(&format!("--run {}: no such folder", args.run.display()));
    }
    let mut swept = attach::sweep(&args.run);
    let roots = Roots {
        run: args.run.clone(),
        ..Roots::default()
    };
    match give_back_of_the_dead(&roots) {
        Ok([removed, failed]) => {
            swept.removed.extend(removed);
            let left = failed.into_iter();
            swept
                .failed
                .extend(left.map(|what| format!("{what} is left")));
        }
        Err(error) => swept.failed.push(format!("protection: {error}")),
    }
    for line in &swept.removed {
        println!("removed {}", plain(line));
    }
    for line in &swept.failed {
        tell(line);
    }
    match swept.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
