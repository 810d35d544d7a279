//! A container that runs: what holds it, and how that is changed in place.
//!
//! In: its record. Out: the kernel's own word on its network and disk; or a
//! setting changed, within what its class may have, and pinned in the record.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use packrank_core::host::Host;
use packrank_core::key::Key;
use packrank_core::plan::NETWORK_KEYS;
use packrank_core::record::{Packs, Record};
use packrank_core::value::Value;
use packrank_kernel::disk::{self, Usage};
use packrank_kernel::net::{self, Status};
use packrank_kernel::process;

use super::effects::projects;
use super::namespaces::Namespaces;
use super::{AttachError, register};

pub use super::life::lives as alive;

/// Its network namespace, if it has one of its own.
fn namespace(record: &Record) -> Result<Option<File>, AttachError> {
    if !record.network.contains_key(register::NAMESPACE) {
        return Ok(None);
    }
    match process::network(record.pid, record.started) {
        Some(netns) => Ok(Some(netns)),
        None => Err(AttachError::Process {
            id: record.id.clone(),
            pid: record.pid,
            problem: "has ended".to_owned(),
        }),
    }
}

/// Whose name its network's objects carry: a pod's sandbox, else its own.
fn owner(record: &Record, netns: &File, run: &Path) -> Result<String, AttachError> {
    let entry = Namespaces::under(run).entry(netns)?.read();
    Ok(entry.map_or_else(|| record.id.clone(), |owner| owner.id))
}

/// The network as the kernel has it; `None` for the host's own.
///
/// # Errors
/// When the container is gone or the kernel cannot be asked.
pub fn network(record: &Record, run: &Path) -> Result<Option<Status>, AttachError> {
    let Some(netns) = namespace(record)? else {
        return Ok(None);
    };
    let id = owner(record, &netns, run)?;
    let status = net::read(&id, netns.as_fd()).map_err(|source| AttachError::Network {
        id: record.id.clone(),
        source,
    })?;
    Ok(Some(status))
}

/// What its own layer holds; `None` where no quota counts it.
#[must_use]
pub fn disk(record: &Record, run: &Path) -> Option<Usage> {
    disk::used(&record.id, &projects(run)).ok()
}

/// Changes a network setting in place.
fn change_network(
    record: &Record,
    key: Key,
    value: &Value,
    run: &Path,
) -> Result<Vec<String>, AttachError> {
    let gone = |problem: &str| AttachError::Process {
        id: record.id.clone(),
        pid: record.pid,
        problem: problem.to_owned(),
    };
    let netns = namespace(record)?
        .ok_or_else(|| gone("uses the host's network, which is never touched"))?;
    let id = owner(record, &netns, run)?;
    let deeds = Packs::under(run).deeds(record);
    let change = Some((key, value));
    let applied = net::apply_record(record, &deeds, &id, netns.as_fd(), change);
    let applied = applied.map_err(|source| AttachError::Network { id, source })?;
    Ok(applied.notes.iter().map(ToString::to_string).collect())
}

/// Changes a setting of the running container in place, wherever it lives.
/// What came with a note.
///
/// # Errors
/// When the setting cannot be changed while it runs, or the kernel refuses.
pub fn change(
    record: &Record,
    key: Key,
    value: &Value,
    host: &Host,
    run: &Path,
) -> Result<Vec<String>, AttachError> {
    match (key, value) {
        (key, value) if NETWORK_KEYS.contains(&key) => change_network(record, key, value, run),
        (Key::DiskSpace, Value::Number(bytes)) => {
            let changed = disk::change(&record.id, *bytes, &projects(run));
            changed
                .map(|_| Vec::new())
                .map_err(|source| AttachError::Disk {
                    id: record.id.clone(),
                    source,
                })
        }
        _ => super::cgroup::change(record, key, value, host),
    }
}
