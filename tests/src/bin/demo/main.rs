//! `make demo`: one container per class, read back from the kernel; then a
//! critical and a scavenger container on the same CPU.
//!
//! In: the folder that holds the binaries. Out: a table for each class of what
//! was asked, planned and found; an exit status of 1 when the kernel says
//! anything else than the plan. Nothing is left behind.

mod bundle;
mod container;
mod race;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use packrank_core::Priority;

use container::Programs;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let bin = std::env::args_os()
        .nth(1)
        .map_or("out/bin".into(), PathBuf::from);
    match demo(&bin) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("demo: the kernel differs from the plan in {wrong} place(s)");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(bin: &std::path::Path) -> Outcome<usize> {
    let folder = tempfile::Builder::new()
        .prefix("packrank-demo-")
        .tempdir_in("/var/tmp")?;
    let programs = Programs::find(bin, folder.path())?;
    println!(
        "One container per class on {}, each from one annotation.\n",
        programs.engine.display()
    );
    let mut wrong = 0;
    for class in Priority::ALL.into_iter().rev() {
        wrong += table::class(&programs, folder.path(), class)?;
    }
    wrong += usize::from(!race::run(&programs, folder.path())?);
    folder.close()?;
    Ok(wrong)
}
