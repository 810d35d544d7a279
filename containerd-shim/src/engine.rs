//! The engine, called as every manager calls it: runc's command line.
//!
//! In: a verb and its arguments. Out: that it was done, or the engine's last
//! word on why not, which it leaves in its log.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use packrank_core::spec::Spec;
use packrank_shim::engine;
use serde::{Deserialize, Serialize};

use crate::death;
use crate::error::Error;
use crate::exits::{Exit, Exits};
use crate::options::Options;

/// Where the stock shim has its engine's state, by namespace; tools look there.
const ROOT: &str = "/run/containerd/runc";

/// The engine's log in the bundle, under the stock shim's name.
const LOG: &str = "log.json";

/// How the engine is called for one container. It is kept beside config.json
/// for `delete`, which may come when this process is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its program.
    pub program: PathBuf,
    /// Its `--root`.
    pub root: PathBuf,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// Where its log is.
    pub bundle: PathBuf,
}

/// The descriptors that the engine, and through it the container, gets.
#[derive(Debug, Default)]
pub struct Ends {
    /// Standard input, output and error; `/dev/null` where `None`.
    pub stdio: [Option<Stdio>; 3],
}

impl Engine {
    /// The engine that the options and the policy name. The systemd driver is
    /// used where the options ask for it, and where the spec's cgroup can be
    /// nothing else: Docker and the CRI plugin tell only runc's own shim.
    ///
    /// # Errors
    /// When there is no such engine.
    pub fn find(
        options: &Options,
        policy: Option<&Path>,
        namespace: &str,
        bundle: &Path,
        spec: Option<&Spec<'_>>,
    ) -> Result<Engine, Error> {
        let root = options.root.as_deref().unwrap_or(Path::new(ROOT));
        Ok(Engine {
            program: engine::find(options.binary_name.as_deref(), policy)?,
            root: root.join(namespace),
            systemd_cgroup: options.systemd_cgroup || spec.is_some_and(Spec::systemd_cgroup),
            bundle: bundle.to_owned(),
        })
    }

    /// The engine with its global options.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        command.arg("--log").arg(self.bundle.join(LOG));
        command.args(["--log-format", "json"]);
        if self.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).current_dir(&self.bundle);
        // containerd's own, from systemd: with it runc would wait for the container to say that
        // it is ready.
        command.env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a verb to its end.
    ///
    /// # Errors
    /// The engine's own, or that it could not be started.
    pub async fn run(
        &self,
        exits: &Arc<Exits>,
        verb: &'static str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        ends: Ends,
    ) -> Result<(), Error> {
        let mut command = self.command();
        command.arg(verb).args(arguments);
        let [stdin, stdout, stderr] = ends.stdio;
        stdin.map(|end| command.stdin(end));
        stdout.map(|end| command.stdout(end));
        stderr.map(|end| command.stderr(end));
        let before = self.log_length();
        let started = exits.spawn(death::with_parent(&mut command));
        // What is left of our copies of the container's ends goes here, so
        // that the other side sees when the container closes them.
        drop(command);
        let (_, ended) = started.map_err(Error::path("start", &self.program))?;
        let exit = ended.await.unwrap_or(Exit::now(255));
        self.judge(verb, exit, before)
    }

    /// Whether it has a container of that id: a folder in its root.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.root.join(id).exists()
    }

    /// Has it remove a container that cannot be used as it is. That it fails is
    /// told and no more: what led here is the error to answer.
    pub async fn discard(&self, exits: &Arc<Exits>, id: &str) {
        let words = arguments([&"--force", &id]);
        if let Err(error) = self.run(exits, "delete", words, Ends::default()).await {
            log::warn!("container {id:?}: {error}");
        }
    }

    /// Runs a verb where no other child is ours: in `delete`.
    ///
    /// # Errors
    /// The engine's own, or that it could not be started.
    pub fn run_alone(&self, verb: &'static str, arguments: &[&OsStr]) -> Result<(), Error> {
        let before = self.log_length();
        let status = self.command().arg(verb).args(arguments).status();
        let status = status.map_err(Error::path("start", &self.program))?;
        let code = status.code().and_then(|code| u32::try_from(code).ok());
        self.judge(verb, Exit::now(code.unwrap_or(255)), before)
    }

    fn judge(&self, verb: &str, exit: Exit, log: u64) -> Result<(), Error> {
        if exit.status == 0 {
            return Ok(());
        }
        let told = self.last_error(log);
        Err(Error::Engine {
            verb: verb.to_owned(),
            message: told.unwrap_or_else(|| {
                let name = self.program.file_name().unwrap_or_default();
                format!("{} ended with status {}", name.display(), exit.status)
            }),
        })
    }

    fn log_length(&self) -> u64 {
        std::fs::metadata(self.bundle.join(LOG)).map_or(0, |meta| meta.len())
    }

    /// The last error in the log behind `from`.
    fn last_error(&self, from: u64) -> Option<String> {
        /// An engine's answer to one call is a few lines.
        const MOST: u64 = 1 << 20;
        let mut file = File::open(self.bundle.join(LOG)).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).ok()?;
        last_error(&String::from_utf8_lossy(&text))
    }
}

/// The last error of a log in JSON lines.
fn last_error(log: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let lines = log.lines().rev();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let line = lines.find(|line| matches!(&*line.level, "error" | "fatal"))?;
    Some(line.msg.trim().to_owned())
}

/// Arguments of unlike kinds in one list.
#[must_use]
pub fn arguments<const N: usize>(parts: [&dyn AsRef<OsStr>; N]) -> Vec<OsString> {
    parts.iter().map(|part| part.as_ref().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_is_told() {
        let log = "{\"level\":\"error\",\"msg\":\"first\"}\nno json\n{\"level\":\"error\",\"msg\":\"second \"}\n{\"level\":\"info\",\"msg\":\"x\"}\n";
        assert_eq!(last_error(log).as_deref(), Some("second"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn the_systemd_driver_follows_the_spec() {
        let bundle = Path::new("/");
        let options = Options {
            binary_name: Some("/bin/sh".into()),
            ..Options::default()
        };
        for (path, systemd) in [
            ("system.slice:docker:abc", true),
            ("/k8s.io/a:b:c", false),
            ("/x", false),
        ] {
            let text = format!(r#"{{"linux": {{"cgroupsPath": "{path}"}}}}"#);
            let spec = Spec::parse(text.as_bytes()).unwrap();
            let engine = Engine::find(&options, None, "ns", bundle, Some(&spec)).unwrap();
            assert_eq!(engine.systemd_cgroup, systemd, "{path}");
            assert_eq!(engine.root, Path::new("/run/containerd/runc/ns"));
        }
    }
}
