//! `packrank`: what will be done to a container, by which policy, on which
//! host.
//!
//! In: a verb and its arguments. Out: the answer on stdout; what is wrong, one
//! sentence on stderr, with exit status 1 (2 for a command line that cannot be
//! read).
#![forbid(unsafe_code)]

mod doctor;
mod events;
mod explain;
mod gc;
mod generate;
mod install;
mod metrics;
mod pause;
mod policy;
mod program;
mod report;
mod set;
mod status;
mod terminal;
mod top;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Rank your containers: one annotation, and the kernel honours it.
#[derive(Parser)]
#[command(name = "packrank", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Explain(explain::Args),
    Policy(policy::Args),
    Doctor(doctor::Args),
    Install(install::Args),
    Uninstall(install::UninstallArgs),
    Status(status::Args),
    Set(set::Args),
    Gc(gc::Args),
    Generate(generate::Args),
    Metrics(metrics::Args),
    Watch(watch::Args),
    Events(events::Args),
    Pause(pause::Args),
    Resume(pause::Args),
    Top(top::Args),
    Report(report::Args),
}

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, for people
    Table,
    /// One object, for programs; values in base units
    Json,
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Explain(args) => explain::run(&args),
        Verb::Policy(args) => policy::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Install(args) => install::run(&args),
        Verb::Uninstall(args) => install::uninstall(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Set(args) => set::run(&args),
        Verb::Gc(args) => gc::run(&args),
        Verb::Generate(args) => generate::run(&args),
        Verb::Metrics(args) => metrics::run(&args),
        Verb::Watch(args) => watch::run(&args),
        Verb::Events(args) => events::run(&args),
        Verb::Pause(args) => pause::run(&args, true),
        Verb::Resume(args) => pause::run(&args, false),
        Verb::Top(args) => top::run(&args),
        Verb::Report(args) => report::run(&args),
    }
}
