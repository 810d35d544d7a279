//! From a created container to a ranked one: everything that its spec cannot
//! carry, before its first instruction; and all of it undone after its last.
//!
//! In: the container's state, as an engine gives it to a hook, and the policy.
//! Out: network shaped and guarded, disk space limited, and a record of it. A container that is
//! not ranked is left alone.

mod cgroup;
mod detach;
mod effects;
mod identity;
mod life;
mod namespaces;
mod network;
mod register;
pub mod running;
pub mod watcher;

use std::io;
use std::path::{Path, PathBuf};

use packrank_core::host::Roots;
use packrank_core::key::Key;
use packrank_core::place::Cri;
use packrank_core::policy::{LoadError, Mode};
use packrank_core::record::{Packs, Record, RecordError};
use packrank_core::spec::{self, Network, ProcessPart, Spec, SpecError};
use packrank_core::value::{Security, Value};
use packrank_kernel::{disk, live, net};
use serde::Deserialize;

pub use detach::{Swept, detach, left, sweep};
pub use identity::cgroups;
pub(crate) use register::PENDING;

use crate::bundle::{Bundle, BundleError};
use crate::planning::{self, Refusal};
use identity::Process;

/// Where records and locks are.
pub const RUN_FOLDER: &str = "/run/packrank";

/// A container's state, as the OCI runtime spec has it.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// The engine's id.
    pub id: String,
    /// Its first process, as the host counts; absent or 0 when it is gone.
    #[serde(default)]
    pub pid: u32,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The engine's program, for the record; where it is not told, the one
    /// that runs us.
    #[serde(skip)]
    pub engine: Option<PathBuf>,
}

/// Why a container could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Its process is not what the state says.
    #[error("container {id:?}: process {pid} {problem}")]
    Process {
        /// The container.
        id: String,
        /// The process.
        pid: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// Its bundle cannot be used.
    #[error("bundle {0}")]
    Bundle(#[from] BundleError),
    /// Its spec cannot be read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its spec was read before anybody could restrict it.
    #[error(
        "container {id:?}: security=restricted has to be in its spec before the engine reads it; a \
         createRuntime hook comes too late (use packrank-runtime, or Podman's precreate hook)"
    )]
    TooLate {
        /// The container.
        id: String,
    },
    /// Its network cannot be shaped although the host has what it needs.
    #[error("container {id:?}: network: {}", chain(source))]
    Network {
        /// The container.
        id: String,
        /// The kernel's answer.
        source: net::Error,
    },
    /// Its disk space cannot be changed.
    #[error("container {id:?}: {}", chain(source))]
    Disk {
        /// The container.
        id: String,
        /// What is in the way.
        source: disk::Error,
    },
    /// Its running cgroup cannot be changed.
    #[error("container {id:?}: {}", chain(source))]
    Live {
        /// The container.
        id: String,
        /// The kernel's or systemd's answer.
        source: live::Error,
    },
    /// A file of ours cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// An error and its causes, in one sentence.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Attaches the container: what was left out, and why; `None` when it is not
/// ranked.
///
/// # Errors
/// When the container is refused, or what the host can do fails.
pub fn attach(
    state: &State,
    policy_file: Option<&Path>,
    run: &Path,
) -> Result<Option<Vec<String>>, AttachError> {
    let bundle = Bundle::open(&state.bundle, None)?;
    let document = bundle.read()?;
    let path = bundle.path();
    let spec = Spec::parse(&document)?.run_by(Cri::of_bundle(path));
    let policy = planning::policy(policy_file)?;
    let planned = planning::ranked(&spec, path, None, &policy, Roots::own(), None)?;
    let Some(planned) = planned else {
        return Ok(None);
    };
    if planned.host.cgroups.delegated {
        let note = "no root on this node: only what config.json carries is applied";
        return Ok(Some(vec![note.to_owned()]));
    }
    let process = Process::verify(state, spec.cgroups_path.as_deref())?;
    let mut notes = Vec::new();
    let enforce = planned.plan.rank.mode == Mode::Enforce;
    let preset = planned.plan.value(Key::Security);
    if enforce && preset == Some(&Value::Security(Security::Restricted)) {
        let restricted = spec::is_restricted(&spec).map_err(Refusal::from)?;
        if !restricted {
            let id = state.id.clone();
            return Err(AttachError::TooLate { id });
        }
    }
    let netns = match spec.network {
        Network::Own | Network::Joined(_) if enforce => Some(process.network_namespace()?),
        _ => None,
    };
    // The record comes before what it speaks of, so that whoever cleans up
    // never takes a half-made container's things for nobody's.
    let powers = (network::net_admin(&planned, &spec), spec.net_raw);
    let packs = Packs::under(run);
    let lock = packs.lock();
    // Whose cgroup is this container's own by now is gone.
    let lives = |other: &Record| other.cgroups != process.cgroups && running::alive(other);
    let key = packs.key(&state.id, &state.bundle, |other| {
        identity::runs(other) || lives(other)
    });
    let pack = namespaces::Owner::of(&key, &process, &planned, &spec.network);
    let members = register::network(netns.as_ref(), &pack, powers);
    let record = register::record(&key, state, &process, &planned, &policy, members);
    let written = lock.and_then(|_held| register::write(run, &record));
    match written {
        Err(error) => notes.push(format!("no record, so no watching: {error}")),
        Ok(()) => {
            if let Err(error) = watcher::ensure(run, policy_file) {
                notes.push(format!("nobody watches: {}", chain(&error)));
            }
        }
    }
    if let Some(netns) = &netns {
        let shaped = network::shape(run, state, &pack, &planned, &spec, netns)?;
        if shaped.pending || shaped.shared.is_some() {
            register::shaped(run, record.clone(), &shaped, &mut notes);
        }
        notes.extend(shaped.notes);
    }
    if enforce && planned.applies() {
        let plan = &planned.plan;
        notes.extend(effects::process(
            &planned.process,
            process.pid,
            Some(process.started),
        ));
        notes.extend(effects::disk_space(plan, &spec, &record, run));
        if planned.document.as_bytes() != document {
            // An engine with only our hook had read the spec before.
            notes.extend(cgroup::apply(&record, &planned)?);
        }
        notes.extend(cgroup::idle(&record, &planned));
        notes.extend(cgroup::io_class(&record, &planned, &spec));
    }
    Ok(Some(notes))
}

/// Gives a process the plan's part of one: what could not be given. What is
/// already so is not written.
#[must_use]
pub fn process(part: &ProcessPart, pid: u32) -> Vec<String> {
    effects::process(part, pid, None)
}

/// Shapes a network that did not exist yet when the container was attached.
/// A container without a record, or whose network is shaped, is left alone.
///
/// # Errors
/// When the network cannot be shaped although the host has what it needs.
pub fn pending(
    id: &str,
    bundle: &Path,
    policy: Option<&Path>,
    engine: Option<&Path>,
    run: &Path,
) -> Result<(), AttachError> {
    let record = match Packs::under(run).find(id, bundle) {
        Ok(record) => record,
        // No record, nothing that was put off; a damaged one must not stop
        // a container.
        Err(_) => return Ok(()),
    };
    if record.network.get(register::PENDING) != Some(&true.into()) {
        return Ok(());
    }
    let state = State {
        id: id.to_owned(),
        pid: record.pid,
        bundle: record.bundle,
        engine: engine.map(Path::to_owned),
    };
    attach(&state, policy, run)?;
    Ok(())
}
