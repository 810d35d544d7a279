//! `packrank pause` and `packrank resume`: the watcher stops acting, or goes on.
//!
//! In: nothing. Out: the watcher's word that it does. It goes on looking, and
//! what it had taken stays taken until it acts again.

use std::path::PathBuf;
use std::process::ExitCode;

use packrank_shim::attach::RUN_FOLDER;
use packrank_watcher::client::ask;
use serde_json::json;

use crate::terminal;

/// Stop the watcher's acting, or let it go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args, on: bool) -> ExitCode {
    match ask(&socket(&args.run), &json!({ "verb": "pause", "on": on })) {
        Ok(_) if on => terminal::print(ExitCode::SUCCESS, |out| {
            writeln!(
                out,
                "the watcher is paused: it looks on and touches nothing"
            )
        }),
        Ok(_) => terminal::print(ExitCode::SUCCESS, |out| {
            writeln!(out, "the watcher acts again")
        }),
        Err(error) => terminal::fail(&error),
    }
}

/// The socket of the watcher of these records.
pub(crate) fn socket(run: &std::path::Path) -> PathBuf {
    let roots = packrank_watcher::Roots {
        run: run.to_owned(),
        ..Default::default()
    };
    roots.socket()
}
