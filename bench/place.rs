//! Where the measurements are made: a folder with programs and bundles.
//!
//! In: packrank's programs, and the folder with the no-op engine and the Go
//! wrapper. Out: paths.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use packrank_tests::bundle::Bundle;
use packrank_tests::program;
use packrank_tests::spec::{Size, docker};
use serde_json::{Value, json};

/// A temporary folder on a disk, and one in memory.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    /// Bundles of containerd, Docker and CRI-O lie on a tmpfs.
    run: tempfile::TempDir,
    /// packrank-runtime without its companions.
    pub runtime: PathBuf,
    /// packrank-hook.
    pub hook: PathBuf,
    /// packrank-engine, if it was built.
    pub engine: PathBuf,
    /// The engine that does nothing.
    pub noop: PathBuf,
    /// `bench/wrapper`, if there is a Go to build it.
    pub go: Option<PathBuf>,
}

impl Place {
    pub fn new(bin: &Path, peers: &Path) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let go = peers.join("wrapper");
        Place {
            runtime: program::alone(&bin.join("packrank-runtime"), folder.path()),
            hook: bin.join("packrank-hook"),
            engine: bin.join("packrank-engine"),
            noop: program::alone(&peers.join("noop"), folder.path()),
            go: go.exists().then(|| program::alone(&go, folder.path())),
            folder,
            run: tempfile::tempdir_in("/dev/shm").unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A docker-like bundle of that size, of class low or of none.
    pub fn docker(&self, name: &str, size: Size, class: Option<&str>) -> Bundle {
        let annotations = match class {
            Some(class) => json!({ "packrank.io/priority": class }),
            None => json!({}),
        };
        let disk = self.path("docker");
        let text = docker(size, annotations).to_string();
        let text = text.replace("/var/lib/docker", disk.to_str().unwrap());
        // What it is made of exists, as it does when an engine's caller is done.
        let spec: Value = serde_json::from_str(&text).unwrap();
        let mounts = spec["mounts"].as_array().unwrap().iter();
        let binds = mounts.filter(|m| m["type"] == "bind").map(|m| &m["source"]);
        for path in binds.chain([&spec["root"]["path"]]) {
            fs::create_dir_all(path.as_str().unwrap()).unwrap();
        }
        Bundle::of(&self.run.path().join(name), text.as_bytes())
    }

    /// packrank-runtime, and the Go wrapper where there is one.
    pub fn wrappers(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.runtime), self.go.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    /// A program found in PATH.
    pub fn installed(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| fs::metadata(path).is_ok_and(|m| m.is_file()))
    }
}

/// A command that says nothing.
pub fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
