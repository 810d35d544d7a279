//! The record of a container.
//!
//! In: its state, process and plan. Out: the file that the watcher obeys and
//! `packrank status` shows.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use packrank_core::annotation;
use packrank_core::key::Key;
use packrank_core::place::Role;
use packrank_core::plan::NETWORK_KEYS;
use packrank_core::policy::{self, Policy};
use packrank_core::record::{
    Figures, GuaranteeFile, Mode, Names, OnViolation, Options, Packs, Record, RecordError, VERSION,
};

use super::State;
use super::identity::Process;
use super::namespaces::{self, Owner};
use super::network::Shaped;
use crate::planning::Planned;

/// The member of a record's network that says: look again at start.
pub const PENDING: &str = "pending";

pub use packrank_kernel::net::{NAMESPACE, NET_ADMIN, NET_RAW, OWNER};

/// Builds the record. Names that are longer than Kubernetes allows are cut, so
/// that no annotation makes a record too large to be read.
pub fn record(
    key: &str,
    state: &State,
    process: &Process,
    planned: &Planned,
    policy: &Policy,
    network: serde_json::Map<String, serde_json::Value>,
) -> Record {
    let plan = &planned.plan;
    let class = plan.rank.priority;
    let mut settings = Figures::default();
    let mut origins = std::collections::BTreeMap::new();
    let sandbox = planned.place.role == Role::Sandbox;
    // A sandbox keeps its own resources; the network is its pod's.
    let in_force = |key: Key| !sandbox || NETWORK_KEYS.contains(&key);
    for setting in plan.settings.iter().filter(|s| in_force(s.key)) {
        if let Some(value) = &setting.value {
            settings.put(setting.key, value);
            let origin = setting.origin.name().to_owned();
            origins.insert(setting.key.name().to_owned(), origin);
        }
    }
    let bounds = |bound: &dyn Fn(Key) -> Option<policy::Ruled>| {
        let mut figures = Figures::default();
        for key in Key::all() {
            if let Some(ruled) = bound(key) {
                figures.put(key, &ruled.value);
            }
        }
        figures
    };
    Record {
        version: VERSION,
        id: key.to_owned(),
        priority: class,
        names: Names {
            pod: planned.place.pod.as_deref().map(short),
            namespace: planned.place.namespace.as_deref().map(short),
            name: planned.place.container.as_deref().map(short),
        },
        sandbox,
        pid: process.pid,
        started: process.started,
        cgroups: process.cgroups.clone(),
        bundle: state.bundle.clone(),
        engine: state.engine.clone().unwrap_or_else(engine),
        mode: match plan.rank.mode {
            policy::Mode::Enforce => Mode::Enforce,
            policy::Mode::Audit | policy::Mode::Off => Mode::Audit,
        },
        settings,
        origins,
        floor: bounds(&|key| policy.floor(class, key).cloned()),
        ceiling: bounds(&|key| policy.ceiling(class, key).cloned()),
        guarantee_file: match plan.guarantee_file {
            policy::GuaranteeFile::Min => GuaranteeFile::Min,
            policy::GuaranteeFile::Low => GuaranteeFile::Low,
        },
        devices: plan.disks.iter().map(|d| d.device.to_string()).collect(),
        options: options(planned),
        network,
        pinned: Figures::default(),
        unknown: serde_json::Map::new(),
    }
}

/// What the record says of the container's network: nothing of the host's own.
pub fn network(
    netns: Option<&File>,
    owner: &Owner,
    (net_admin, net_raw): (bool, bool),
) -> serde_json::Map<String, serde_json::Value> {
    let mut network = serde_json::Map::new();
    if let Some(name) = netns.and_then(|file| namespaces::name(file).ok()) {
        network.insert(NAMESPACE.to_owned(), name.into());
        network.insert(OWNER.to_owned(), owner.id.as_str().into());
        network.insert(NET_ADMIN.to_owned(), net_admin.into());
        network.insert(NET_RAW.to_owned(), net_raw.into());
    }
    network
}

/// The first 253 letters: no name in Kubernetes is longer.
fn short(name: &str) -> String {
    name.chars().take(253).collect()
}

fn options(planned: &Planned) -> Options {
    let request = &planned.request;
    Options {
        adaptive: request.adaptive.unwrap_or(true),
        on_violation: match request.on_violation {
            Some(annotation::OnViolation::Restart) => OnViolation::Restart,
            _ => OnViolation::Alert,
        },
        gc_signal: request.gc_signal.as_deref().and_then(signal),
    }
}

/// The number of a signal's name.
fn signal(name: &str) -> Option<u8> {
    let signal: nix::sys::signal::Signal = name.parse().ok()?;
    u8::try_from(signal as i32).ok()
}

/// The program that called us: an engine calls its hooks itself.
fn engine() -> std::path::PathBuf {
    let parent = nix::unistd::getppid();
    std::fs::read_link(format!("/proc/{parent}/exe")).unwrap_or_default()
}

/// Writes the record.
///
/// # Errors
/// When the system refuses.
pub fn write(run: &Path, record: &Record) -> Result<(), RecordError> {
    Packs::under(run).write(record)
}

/// Adds to the record what shaping found: that there was no interface yet, or
/// that the network is another's.
pub fn shaped(run: &Path, mut record: Record, shaped: &Shaped, notes: &mut Vec<String>) {
    if let Some(owner) = &shaped.shared {
        record
            .network
            .insert(OWNER.to_owned(), owner.as_str().into());
    }
    if shaped.pending {
        record.network.insert(PENDING.to_owned(), true.into());
    }
    if let Err(error) = write(run, &record) {
        notes.push(format!("the record lacks what was found: {error}"));
    }
}

/// Puts a file of mode 0600 in the place of another in a folder that is there,
/// whole or not at all.
///
/// # Errors
/// When the system refuses a step; the old file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
