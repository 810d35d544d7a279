//! `packrank generate FOLDER`: man pages and shell completions, from the very
//! definitions that read the command line.
//!
//! In: a folder. Out: `man/*.1`, and `completions/` for bash, zsh and fish.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, terminal};

/// Write man pages and shell completions
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// Where to
    folder: PathBuf,
}

/// Writes them, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    match write(&args.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::fail(&format!("{}: {error}", args.folder.display())),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let mut command: Command = Cli::command();
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(command.clone(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "packrank", &completions)?;
    }
    Ok(())
}
