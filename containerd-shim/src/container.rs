//! One container: its engine, its processes, its cgroup.
//!
//! In: calls. Out: what the engine and the kernel made of them. What is told
//! to containerd, and when, is `shim`'s.

mod exec;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use packrank_shim::bundle::Bundle;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::engine::{Ends, Engine, arguments};
use crate::error::Error;
use crate::exits::Exits;
use crate::io::Whose;
use crate::life::{Call, Phase};
use crate::oom::Oom;
use crate::process::Process;
use crate::rank::Ranked;
use crate::stats::Cgroup;

/// A container.
#[derive(Debug)]
pub struct Container {
    /// Its id, the engine's too.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its first process.
    pub init: Arc<Process>,
    /// How its engine is called.
    pub engine: Engine,
    /// Its rank, if it has one.
    pub ranked: Option<Ranked>,
    /// Owner and group of its pipes.
    pub owner: (u32, u32),
    /// The namespace it is in, as containerd counts.
    pub namespace: String,
    /// Whether others' processes are seen in it: then its own are not killed
    /// by the kernel when its first one ends.
    pub shares_pids: bool,
    /// Its cgroup.
    pub cgroup: Arc<Cgroup>,
    /// Its kills for want of memory.
    pub oom: Arc<Oom>,
    /// What watches them.
    oom_watch: Mutex<Option<AbortHandle>>,
    /// Held by every call that has the engine change the container.
    pub gate: tokio::sync::Mutex<()>,
    ending: AtomicBool,
    execs: Mutex<BTreeMap<String, Arc<Process>>>,
}

/// What a container is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its id.
    pub id: String,
    /// Its first process.
    pub init: Process,
    /// How its engine is called.
    pub engine: Engine,
    /// Its rank.
    pub ranked: Option<Ranked>,
    /// Owner and group of its pipes.
    pub owner: (u32, u32),
    /// Its namespace.
    pub namespace: String,
    /// Whether it shares others' processes.
    pub shares_pids: bool,
}

impl Container {
    /// A container that its engine has made.
    #[must_use]
    pub fn new(parts: Parts) -> Container {
        let cgroups = packrank_shim::attach::cgroups(parts.init.now().pid);
        let cgroup = Arc::new(Cgroup::open(&cgroups));
        Container {
            id: parts.id,
            bundle: parts.engine.bundle.clone(),
            init: Arc::new(parts.init),
            engine: parts.engine,
            ranked: parts.ranked,
            owner: parts.owner,
            namespace: parts.namespace,
            shares_pids: parts.shares_pids,
            oom: Arc::new(Oom::new(cgroup.clone())),
            cgroup,
            oom_watch: Mutex::new(None),
            gate: tokio::sync::Mutex::new(()),
            ending: AtomicBool::new(false),
            execs: Mutex::new(BTreeMap::new()),
        }
    }

    fn execs(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Process>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What watches its kills, to be ended when it is deleted.
    pub fn keep(&self, watch: AbortHandle) {
        *self.watch() = Some(watch);
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.oom_watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A process by its id; the first one's is empty.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&self, exec_id: &str) -> Result<Arc<Process>, Error> {
        if exec_id.is_empty() {
            return Ok(self.init.clone());
        }
        let process = self.execs().get(exec_id).cloned();
        process.ok_or_else(|| Error::Absent {
            what: "process",
            id: exec_id.to_owned(),
        })
    }

    /// Those that Exec added.
    #[must_use]
    pub fn added(&self) -> Vec<Arc<Process>> {
        self.execs().values().cloned().collect()
    }

    /// Its first process is gone: nothing more is started.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When it is past that, its network cannot be shaped, or the engine says
    /// no.
    pub async fn start(&self, exits: &Arc<Exits>) -> Result<u32, Error> {
        let now = self.init.check(Call::Start)?;
        if let Some(ranked) = &self.ranked {
            ranked.before_start(&self.id, &self.bundle).await?;
        }
        let arguments = arguments([&self.id]);
        self.engine
            .run(exits, "start", arguments, Ends::default())
            .await?;
        self.init.started(now.pid, None);
        Ok(now.pid)
    }

    /// Whose streams its processes' are.
    #[must_use]
    pub fn whose(&self) -> Whose<'_> {
        Whose {
            container: &self.id,
            namespace: &self.namespace,
            owner: self.owner,
        }
    }

    /// Sends a signal. A process of ours that has ended is ours to reap: its
    /// number is nobody else's until then. The engine is asked only for what
    /// one signal cannot do: to reach all, or one that is frozen.
    ///
    /// # Errors
    /// When it has ended, or cannot be signalled.
    pub async fn kill(
        &self,
        process: &Process,
        signal: u32,
        all: bool,
        exits: &Arc<Exits>,
    ) -> Result<(), Error> {
        let now = process.check(Call::Kill)?;
        let number = i32::try_from(signal)
            .ok()
            .filter(|number| (1..=64).contains(number));
        let number = number.ok_or_else(|| Error::Request {
            member: "signal",
            value: signal.to_string(),
            problem: "there is no such signal".to_owned(),
        })?;
        let first = process.exec_id.is_empty();
        let plain = Signal::from_named_raw(number).filter(|_| !all && now.phase != Phase::Paused);
        match (plain, i32::try_from(now.pid).ok().and_then(Pid::from_raw)) {
            (Some(signal), Some(pid)) => match kill_process(pid, signal) {
                Err(Errno::SRCH) => Err(Error::Finished),
                other => other.map_err(Error::io("send the signal")),
            },
            _ if first => {
                let words = all.then(|| "--all".into()).into_iter();
                let words = words.chain(arguments([&self.id, &signal.to_string()]));
                self.engine.run(exits, "kill", words, Ends::default()).await
            }
            _ => Err(Error::Unimplemented(
                "a real-time signal to a process that exec added",
            )),
        }
    }

    /// Kills what is left in it.
    pub async fn kill_all(&self, exits: &Arc<Exits>) {
        let words = arguments([&"--all", &self.id, &"KILL"]);
        let killed = self.engine.run(exits, "kill", words, Ends::default()).await;
        if let Err(error) = killed {
            log::warn!(
                "container {:?}: what its first process left: {error}",
                self.id
            );
        }
    }

    /// Freezes or thaws it.
    ///
    /// # Errors
    /// When it is past that or the engine says no.
    pub async fn turn(&self, call: Call, exits: &Arc<Exits>) -> Result<(), Error> {
        self.init.check(call)?;
        let (verb, phase) = match call {
            Call::Pause => ("pause", Phase::Paused),
            _ => ("resume", Phase::Running),
        };
        let words = arguments([&self.id]);
        self.engine.run(exits, verb, words, Ends::default()).await?;
        self.init.turn(phase);
        Ok(())
    }

    /// Changes its limits, within its plan.
    ///
    /// # Errors
    /// When the plan or the engine refuses.
    pub async fn update(&self, resources: &[u8], exits: &Arc<Exits>) -> Result<(), Error> {
        /// The engine reads it from here; nobody else does.
        const FILE: &str = ".packrank-update.now.json";
        self.init.check(Call::Update)?;
        let asked: Value = serde_json::from_slice(resources).map_err(|e| Error::Request {
            member: "resources",
            value: String::from_utf8_lossy(resources)
                .chars()
                .take(80)
                .collect(),
            problem: e.to_string(),
        })?;
        let merged = match &self.ranked {
            Some(ranked) => ranked.update(&self.bundle, asked).await?,
            None => None,
        };
        let text = merged
            .as_ref()
            .map_or(resources, |merged| merged.text.as_bytes());
        let bundle = Bundle::open(&self.bundle, None)?;
        bundle.write_beside(FILE, text)?;
        let words = arguments([&"--resources", &self.bundle.join(FILE), &self.id]);
        let updated = self
            .engine
            .run(exits, "update", words, Ends::default())
            .await;
        bundle.remove_beside(FILE)?;
        updated?;
        if let Some(merged) = merged {
            merged.keep(&bundle)?;
        }
        Ok(())
    }

    /// Has the engine remove it, and everything of ours with it.
    ///
    /// # Errors
    /// When it still runs, the engine says no, or its root stays mounted.
    pub async fn delete(&self, exits: &Arc<Exits>) -> Result<(), Error> {
        self.init.check(Call::Delete)?;
        let words = arguments([&self.id]);
        let deleted = self
            .engine
            .run(exits, "delete", words, Ends::default())
            .await;
        // Somebody else may have removed it.
        if self.engine.knows(&self.id) {
            deleted?;
        }
        if let Some(watch) = self.watch().take() {
            watch.abort();
        }
        if let Some(ranked) = &self.ranked {
            ranked.detach(&self.id, &self.bundle).await;
        }
        self.init.streams().close().await;
        crate::rootfs::unmount_all(&self.bundle.join("rootfs"))
    }
}

/// The number in a pid file.
///
/// # Errors
/// When it holds none.
pub fn read_pid(path: &Path) -> Result<u32, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::path("read", path))?;
    let wrong = |_| Error::path("read", path)(std::io::Error::other("no process number in it"));
    text.trim().parse().map_err(wrong)
}
