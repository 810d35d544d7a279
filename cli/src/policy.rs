//! `packrank policy`: show the policy, and check a policy file.
//!
//! In: a policy file, or those of `/etc/packrank`. Out: the built-in policy's
//! text, the merged policy with the place where each value was written, or
//! what is wrong with a file.

mod check;
mod effective;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use packrank_core::policy::{BUILT_IN, LoadError, Policy};
use packrank_shim::planning;
use packrank_watcher::Config;

use crate::terminal;

/// Show the policy, or check a policy file
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the built-in policy: a policy file to copy from
    Show {
        /// Print the merged policy instead, and where each value comes from
        #[arg(long)]
        effective: bool,
        /// A policy file instead of those in /etc/packrank
        #[arg(long, value_name = "FILE", requires = "effective")]
        policy: Option<PathBuf>,
    },
    /// Say whether a policy file is right
    Check {
        /// The file, or - for stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Answers, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.verb {
        Verb::Show {
            effective: false, ..
        } => terminal::print(ExitCode::SUCCESS, |out| out.write_all(BUILT_IN.as_bytes())),
        Verb::Show { policy, .. } => answer(planning::policy(policy.as_deref()), effective::write),
        Verb::Check { file } => {
            let name = file.display().to_string();
            let policy = load(file);
            if let Ok(policy) = &policy
                && let Err(error) = Config::from_texts(policy.watch_texts())
            {
                return terminal::fail(&error);
            }
            answer(policy, |out, policy| check::write(out, &name, policy))
        }
    }
}

fn answer(
    policy: Result<Policy, LoadError>,
    write: impl FnOnce(&mut dyn std::io::Write, &Policy) -> std::io::Result<()>,
) -> ExitCode {
    match policy {
        Ok(policy) => terminal::print(ExitCode::SUCCESS, |out| write(out, &policy)),
        Err(error) => terminal::fail(&error),
    }
}

/// The file on top of the built-in policy, by the runtime's own rules.
fn load(file: &Path) -> Result<Policy, LoadError> {
    if file != Path::new("-") {
        return planning::policy(Some(file));
    }
    let text = std::io::read_to_string(std::io::stdin().lock());
    let text = text.map_err(|source| LoadError::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    let mut policy = Policy::built_in()?;
    policy.merge("-", &text)?;
    Ok(policy)
}
