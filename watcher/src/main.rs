//! `packrank-watcher`: one per node.
//!
//! In: `--foreground` to print decisions, `--run`, `--proc`, `--cgroup` and
//! `--policy` for other folders, `--guest` to take nothing for itself and
//! tell the system's journal nothing, `--give-back` to undo what an ended one
//! left on cgroups above packs, and no more. Out: 0
//! after the last pack, 0 when another one runs, 1 with one sentence when it
//! cannot watch.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use packrank_watcher::above::give_back_of_the_dead;
use packrank_watcher::stand::LockError;
use packrank_watcher::watch::{Manner, WatchError, run};
use packrank_watcher::{Config, Roots};

const USAGE: &str = "usage: packrank-watcher [--foreground] [--guest] [--give-back] [--run FOLDER] \
                     [--proc FOLDER] [--cgroup FOLDER] [--policy FOLDER]";

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("packrank-watcher: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let mut roots = Roots::default();
    let mut manner = Manner::default();
    let mut give_back = false;
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        let place = match word.to_str() {
            Some("--foreground") => {
                manner.print = true;
                continue;
            }
            Some("--guest") => {
                manner.guest = true;
                roots.journald = None;
                continue;
            }
            Some("--give-back") => {
                give_back = true;
                continue;
            }
            Some("--help") => {
                println!("{USAGE}");
                return Ok(());
            }
            Some("--run") => &mut roots.run,
            Some("--proc") => &mut roots.proc,
            Some("--cgroup") => &mut roots.cgroup,
            Some("--policy") => &mut roots.policy,
            _ => return Err(format!("{}: no such option; {USAGE}", word.display()).into()),
        };
        *place = PathBuf::from(words.next().ok_or(USAGE)?);
    }
    if give_back {
        let [_, left] = give_back_of_the_dead(&roots)?;
        return match left.is_empty() {
            true => Ok(()),
            false => Err(format!("cannot be given back: {}", left.join(", ")).into()),
        };
    }
    let config = Config::load(&roots.policy)?;
    match run(roots, config, manner) {
        // Two that were started at once: one of them is enough.
        Err(WatchError::Lock(LockError::Taken)) if !manner.print => Ok(()),
        other => Ok(other?),
    }
}
