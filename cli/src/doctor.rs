//! `packrank doctor`: what this host offers, what it lacks, and what each lack
//! costs.
//!
//! In: `/proc`, `/sys`, the kernel's configuration, the engines in PATH, the
//! packs that run and their watcher. Out: one line each, grouped; exit status 1
//! only where no container could be created at all. Nothing is loaded, written
//! or changed to find out.

mod cgroups;
mod disk;
mod engines;
mod features;
mod managers;
mod network;
mod process;
mod programs;
mod report;
mod watcher;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use packrank_core::host::{Host, Roots};
use packrank_shim::planning;

use crate::{Format, terminal};
use features::Features;

/// Show what this host offers, what it lacks, and what each lack costs
///
/// Exit status 1 where no container could be created at all, else 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Another host: a folder that holds its proc and sys
    #[arg(long, value_name = "FOLDER")]
    host: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is there.
    Ok,
    /// It is there and different, or not needed here.
    Note,
    /// It is not there, and that costs something.
    Lack,
}

/// One line.
#[derive(Debug)]
struct Finding {
    mark: Mark,
    name: &'static str,
    /// What was found, or what its lack costs.
    says: String,
}

fn finding(mark: Mark, name: &'static str, says: impl Into<String>) -> Finding {
    let says = says.into();
    Finding { mark, name, says }
}

/// `there` where `is`, else what its lack costs.
fn or_lack(name: &'static str, is: bool, there: &str, cost: &str) -> Finding {
    match is {
        true => finding(Mark::Ok, name, there),
        false => finding(Mark::Lack, name, cost),
    }
}

/// What is looked at.
struct Patient {
    host: Host,
    roots: Roots,
    features: Features,
    /// Whether it is the host we run on.
    own: bool,
}

/// Lines of one kind.
struct Group {
    name: &'static str,
    findings: Vec<Finding>,
}

/// Answers, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    let root = args.host.as_deref().unwrap_or(Path::new("/"));
    let roots = match &args.host {
        Some(folder) => Roots::under(folder),
        None => Roots::own(),
    };
    let patient = Patient {
        host: Host::probe(roots.clone()),
        features: Features::read(root, &roots),
        roots,
        own: args.host.is_none(),
    };
    let (engines, runnable) = engines::findings(&patient, planning::policy(None));
    let groups = [
        Group {
            name: "host",
            findings: process::host(&patient),
        },
        Group {
            name: "packrank",
            findings: programs::findings(&patient),
        },
        Group {
            name: "packs",
            findings: watcher::findings(&patient),
        },
        Group {
            name: "managers",
            findings: managers::findings(&patient),
        },
        Group {
            name: "engines",
            findings: engines,
        },
        Group {
            name: "cgroups",
            findings: cgroups::findings(&patient),
        },
        Group {
            name: "process",
            findings: process::findings(&patient),
        },
        Group {
            name: "network",
            findings: network::findings(&patient),
        },
        Group {
            name: "disk",
            findings: disk::findings(&patient),
        },
    ];
    let ready = runnable && patient.host.cgroups.layout != packrank_core::host::Layout::None;
    let status = match ready {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    terminal::print(status, |out| match args.format {
        Format::Table => report::table(out, &groups, ready),
        Format::Json => report::json(out, &groups, ready),
    })
}
