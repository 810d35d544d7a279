//! packrank-runtime in front of an engine that only writes down how it was
//! called.
//!
//! In: a config.json and runc's command line. Out: what the caller saw, what
//! the engine saw, what became of the bundle.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use packrank_shim::started::Started;
use serde::Deserialize;
use serde_json::json;

use crate::bundle::Bundle;
use crate::program;

/// One call of the engine, every byte of every text as one character.
#[derive(Debug, Clone, Deserialize)]
pub struct Call {
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Its open files: number and target.
    pub fds: Vec<String>,
    /// Where it was started.
    pub folder: PathBuf,
    /// What `--resources` held.
    pub resources: Option<String>,
}

/// A bundle, the runtime and the fake engine in a folder of their own.
#[derive(Debug)]
pub struct Scene {
    folder: tempfile::TempDir,
    /// packrank-runtime, with nothing beside it.
    pub runtime: PathBuf,
    /// The fake engine.
    pub engine: PathBuf,
    /// The bundle.
    pub bundle: Bundle,
    id: String,
}

/// How the runtime ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: Option<i32>,
    /// What it said to stderr.
    pub stderr: String,
}

/// What tells whether a file was touched.
#[derive(Debug, PartialEq, Eq)]
pub struct Untouched {
    bytes: Vec<u8>,
    inode: u64,
    changed: (i64, i64),
    mode: u32,
}

impl Untouched {
    /// The file as it stands, the link itself where it is one.
    pub fn of(path: &Path) -> Untouched {
        let meta = fs::symlink_metadata(path).unwrap();
        Untouched {
            bytes: fs::read(path).unwrap_or_default(),
            inode: meta.ino(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            mode: meta.mode(),
        }
    }
}

impl Scene {
    /// A scene with this config.json. `engine` is the fake engine's program.
    pub fn new(engine: &str, config: impl AsRef<[u8]>) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let engine = program::alone(Path::new(engine), folder.path());
        let runtime = program::alone(program::runtime(), folder.path());
        let bundle = Bundle::of(&folder.path().join("bundle"), config.as_ref());
        Scene {
            folder,
            runtime,
            engine,
            bundle,
            id: id(),
        }
    }

    /// The container's id, which no other scene has: this machine's
    /// `/run/packrank` knows which engine it was started with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A path in the scene's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the scene's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The runtime, to be called: with the fake engine first in an otherwise
    /// empty PATH under the name runc.
    pub fn command(&self, runtime: &Path) -> Command {
        let bin = self.path("bin");
        if fs::create_dir(&bin).is_ok() {
            fs::hard_link(&self.engine, bin.join("runc")).unwrap();
        }
        let state = json!({ "ociVersion": "1.0.2", "id": self.id, "status": "running", "bundle": self.bundle.path });
        let mut command = Command::new(runtime);
        command
            .env_clear()
            .env("PATH", bin)
            .env("FAKE_ENGINE_RECORD", self.path("record"))
            .env("FAKE_ENGINE_STATE", state.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    /// Calls the runtime.
    pub fn call<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::of(self.command(&self.runtime).args(args))
    }

    /// `create` of the bundle, with these options before the verb.
    pub fn create(&self, options: &[&str]) -> Outcome {
        let bundle = self.bundle.path.to_str().unwrap();
        let create = ["create", "--bundle", bundle, self.id()];
        self.call(options.iter().copied().chain(create))
    }

    /// Every call of the engine so far.
    pub fn calls(&self) -> Vec<Call> {
        let record = fs::read_to_string(self.path("record")).unwrap_or_default();
        let lines = record.lines();
        lines.map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

fn id() -> String {
    static SCENES: AtomicU32 = AtomicU32::new(0);
    let number = SCENES.fetch_add(1, Ordering::Relaxed);
    format!("packrank-scene-{}-{number}", std::process::id())
}

impl Drop for Scene {
    fn drop(&mut self) {
        let run = Path::new(packrank_shim::attach::RUN_FOLDER);
        Started::of(run, "".as_ref(), self.id.as_ref()).forget();
    }
}

impl Outcome {
    /// Runs the command to its end.
    pub fn of(command: &mut Command) -> Outcome {
        let output = command.output().unwrap();
        Outcome {
            status: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
