//! packrank-engine: runc's command line on libcontainer. In: the command line of an OCI engine.
//! Out: the verb done, or one clear sentence and exit status 1.

mod argv;
mod begin;
mod cgroup;
mod cgroup_life;
mod cli;
mod console;
mod context;
mod destroy;
mod error;
mod foreground;
#[cfg(target_env = "musl")]
mod fortify;
mod hierarchy;
mod hooks;
mod join;
mod keyring;
mod launch;
mod oom;
mod payload;
mod record;
mod report;
mod resources;
mod seal;
mod signal;
mod spec;
mod stats;
mod stdio;
mod store;
mod systemd;
mod systemd_cpuset;
mod terminal;
mod trace;
mod verb;
mod version;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::Cli;
use context::Context;
use error::Error;
use report::Format;
use store::Store;

/// musl's allocator asks the kernel for every larger piece: 185 mmap calls per `run` instead of 29.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(argv::normalise(std::env::args_os())) {
        Ok(cli) => cli,
        Err(refused) => return usage(&refused),
    };
    if cli.version {
        version::print();
        return ExitCode::SUCCESS;
    }
    let log = cli.global.log.clone();
    let (format, outcome) = match format(cli.global.log_format.as_deref()) {
        Ok(format) => (format, perform(cli, format)),
        Err(error) => (Format::Text, Err(error)),
    };
    match outcome {
        // A status is 0 to 255; what a process can end with always fits.
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(error) => {
            report::failure(&error.to_string(), log.as_deref(), format);
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: Cli, format: Format) -> Result<i32, Error> {
    let verb = cli
        .verb
        .ok_or_else(|| Error::Usage("no command given; --help lists them".to_owned()))?;
    if verb::enters(&verb) {
        seal::ensure()?;
    }
    let log: Option<&Path> = cli.global.log.as_deref();
    let trail = trace::collect(cli.global.debug, log, format);
    let store = Store::at(cli.global.root)?;
    verb::perform(
        verb,
        &mut Context {
            store,
            systemd: cli.global.systemd_cgroup,
            trail,
        },
    )
}

fn format(name: Option<&str>) -> Result<Format, Error> {
    match name {
        None | Some("text" | "") => Ok(Format::Text),
        Some("json") => Ok(Format::Json),
        Some(other) => Err(Error::LogFormat(other.to_owned())),
    }
}

/// What clap says in paragraphs, in one line; help and the like as they are.
fn usage(refused: &clap::Error) -> ExitCode {
    if matches!(
        refused.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // Nobody is left to tell if stdout is gone.
        let _ = refused.print();
        return ExitCode::SUCCESS;
    }
    let text = refused.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .collect();
    let sentence = lines.join(" ");
    let (log, format) = log_options(std::env::args_os());
    report::failure(
        sentence.trim().trim_start_matches("error: "),
        log.as_deref(),
        format,
    );
    ExitCode::FAILURE
}

/// `--log` and `--log-format` of a command line that could not be parsed: its error must land in
/// the log all the same.
fn log_options(arguments: impl Iterator<Item = OsString>) -> (Option<PathBuf>, Format) {
    let (mut log, mut format) = (None, Format::Text);
    let mut arguments = arguments.filter_map(|argument| argument.into_string().ok());
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        match name.as_str() {
            "--log" => log = value.or_else(|| arguments.next()).map(PathBuf::from),
            "--log-format" if value.or_else(|| arguments.next()).as_deref() == Some("json") => {
                format = Format::Json
            }
            _ => {}
        }
    }
    (log, format)
}
