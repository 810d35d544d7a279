//! A container, started through packrank-runtime and gone when dropped.
//!
//! In: the binaries and a bundle. Out: its first process.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Outcome;

/// The binaries, and where the engine keeps its state.
#[derive(Debug)]
pub struct Programs {
    runtime: PathBuf,
    /// The engine under the runtime.
    pub engine: PathBuf,
    root: PathBuf,
}

impl Programs {
    /// Copies of those of `make build`, in the demo's own folder: no watcher
    /// beside them, so none is started that would outlive the demo.
    pub fn find(bin: &Path, folder: &Path) -> Outcome<Programs> {
        let copy = |name| {
            let (from, to) = (bin.join(name), folder.join(name));
            match fs::copy(&from, &to) {
                Ok(_) => Ok(to),
                Err(e) => Err(format!("{}: {e}: run make build", from.display())),
            }
        };
        copy("packrank-hook")?;
        Ok(Programs {
            runtime: copy("packrank-runtime")?,
            engine: copy("packrank-engine")?,
            root: folder.join("state"),
        })
    }

    fn call<S: AsRef<OsStr>>(&self, words: &[S]) -> std::io::Result<Output> {
        // Output goes to files, not pipes: a container inherits them, and a
        // pipe would be waited for until the container ends.
        let errors = self.root.with_extension("errors");
        let file = fs::File::create(&errors)?;
        let status = Command::new(&self.runtime)
            .arg("--engine")
            .arg(&self.engine)
            .arg("--root")
            .arg(&self.root)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .status()?;
        let stderr = fs::read(&errors)?;
        Ok(Output {
            status,
            stdout: Vec::new(),
            stderr,
        })
    }
}

/// A running container.
#[derive(Debug)]
pub struct Container<'p> {
    programs: &'p Programs,
    id: String,
    /// Its first process, as the host counts.
    pub pid: u32,
}

impl<'p> Container<'p> {
    /// Creates and starts it.
    pub fn run(programs: &'p Programs, bundle: &Path) -> Outcome<Container<'p>> {
        let name = bundle.file_name().unwrap_or_default().to_string_lossy();
        let id = format!("packrank-demo-{}-{name}", std::process::id());
        let pid_file = bundle.join("pid");
        let words: [&OsStr; 6] = [
            "create".as_ref(),
            "--bundle".as_ref(),
            bundle.as_ref(),
            "--pid-file".as_ref(),
            pid_file.as_ref(),
            id.as_ref(),
        ];
        check(&programs.call(&words)?)?;
        let pid = fs::read_to_string(pid_file)?.trim().parse()?;
        let container = Container { programs, id, pid };
        check(&programs.call(&["start", &container.id])?)?;
        Ok(container)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let gone = self.programs.call(&["delete", "--force", &self.id]);
        if let Ok(output) = gone
            && !output.status.success()
        {
            eprint!("demo: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn check(output: &Output) -> Outcome<()> {
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
    }
}
