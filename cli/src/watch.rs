//! `packrank watch`: the watcher in the foreground, its decisions printed.
//!
//! In: its folders. Out: this process becomes packrank-watcher.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use packrank_shim::attach::RUN_FOLDER;

use crate::terminal;

/// Run the watcher in the foreground and print its decisions.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A policy file, instead of those in /etc/packrank.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name("packrank-watcher");
    let program = match beside.is_file() {
        true => beside,
        false => PathBuf::from("packrank-watcher"),
    };
    let mut watcher = Command::new(&program);
    watcher.arg("--foreground").arg("--run").arg(&args.run);
    if let Some(policy) = &args.policy {
        watcher.arg("--policy").arg(policy);
    }
    let error = watcher.exec();
    terminal::fail(&format!("{}: {error}", program.display()))
}
