//! A container's end: what was made for it goes.
//!
//! In: its id and bundle; or nothing, to look for what the dead left behind. Out: what
//! was removed, and what could not be. Every step is tried, whatever became of
//! the one before, and any of hook, watcher and `packrank gc` may come first.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use packrank_core::record::{Packs, Record};
use packrank_kernel::net::{Guard, Means, Ours, Shape, Target};
use packrank_kernel::{disk, net};

use super::effects::projects;
use super::namespaces::{Entry, Namespaces, Owner};
use super::{cgroup, chain, life, register};

/// What was found and removed, and what was not.
#[derive(Debug, Default)]
pub struct Swept {
    /// One line each.
    pub removed: Vec<String>,
    /// One sentence each.
    pub failed: Vec<String>,
}

impl Swept {
    fn note(&mut self, what: String, result: Result<bool, String>) {
        match result {
            Ok(true) => self.removed.push(what),
            Ok(false) => {}
            Err(error) => self.failed.push(format!("{what}: {error}")),
        }
    }
}

/// Removes everything of the container's. A network that others still use is
/// handed on to one of them. What belongs to another container of the same id
/// that lives stays.
#[must_use]
pub fn detach(id: &str, bundle: &Path, run: &Path) -> Swept {
    let packs = Packs::under(run);
    let record = packs.find(id, bundle).or_else(|absent| match absent {
        absent if absent.is_absent() => packs.read(id),
        damaged => Err(damaged),
    });
    let others = match &record {
        Ok(record) => record.bundle != bundle && life::lives(record),
        Err(error) => !error.is_absent() && life::is_named(id),
    };
    match record {
        _ if others => Swept::default(),
        Ok(record) => forget(&record.id.clone(), Some(record), run),
        Err(_) => forget(id, None, run),
    }
}

/// Removes everything under the key of a container that is gone.
fn forget(id: &str, record: Option<Record>, run: &Path) -> Swept {
    let mut swept = Swept::default();
    let packs = Packs::under(run);
    record.iter().for_each(cgroup::idle_no_more);
    let namespaces = Namespaces::under(run);
    let entry = match &record {
        Some(record) => namespace(record).map(|name| namespaces.named(&name)),
        None => namespaces.all().find(|entry| {
            let owner = entry.read();
            owner.is_some_and(|owner| owner.id == id)
        }),
    };
    let removed = packs.remove(id).map_err(|e| e.to_string());
    swept.note(format!("record of {id}"), removed);
    let owner = entry.as_ref().and_then(Entry::read);
    let own = owner.as_ref().is_some_and(|owner| owner.id == id);
    if let Some((entry, owner)) = entry.zip(owner)
        && (own || !entry.alive())
    {
        release(run, &entry, &owner, &mut swept);
    }
    // A namespace's number is given again at once: its entry may be another's by now, who may even
    // have lived and died since.
    if !own {
        network(id, &mut swept);
    }
    let quota = disk::remove(id, &projects(run)).map_err(|e| chain(&e));
    swept.note(format!("disk quota of {id}"), quota);
    swept
}

/// Lets go of a namespace whose owner is gone, unless another container lives
/// in it.
fn release(run: &Path, entry: &Entry, owner: &Owner, swept: &mut Swept) {
    let shares = |record: &Record| {
        let shared = record.network.get(register::OWNER);
        shared.and_then(|o| o.as_str()) == Some(&*owner.id)
            && namespace(record).as_deref() == entry.name()
    };
    let packs = Packs::under(run);
    let heirs = records(&packs).filter(|record| shares(record));
    let mut heirs = heirs.flat_map(|record| life::processes(&record));
    let heir = heirs.find(|(pid, started)| entry.used_by(*pid, *started));
    let heir = heir.map(|(pid, started)| Owner {
        pid,
        started,
        ..owner.clone()
    });
    if heir.is_none()
        && let Some(netns) = entry.kept(owner)
    {
        give_back(run, entry, owner, &netns, swept);
    }
    let taken = Namespaces::under(run).take(entry, owner, heir.as_ref());
    let taken = taken.map_err(|e| e.to_string());
    // Not taken, but another's by now, whose number the kernel gave away at once: the old owner's
    // objects still are nobody's.
    let kept = taken == Ok(false) && entry.read().is_some_and(|now| now.id == owner.id);
    let ended = heir.is_none() && !kept;
    let taken = taken.map(|taken| taken && heir.is_none());
    swept.note(format!("network entry of {}", owner.id), taken);
    if ended {
        network(&owner.id, swept);
    }
}

/// Takes what was made for a container from a namespace that outlives it.
fn give_back(run: &Path, entry: &Entry, owner: &Owner, netns: &File, swept: &mut Swept) {
    let target = Target {
        id: &owner.id,
        netns: netns.as_fd(),
        net_admin: false,
        net_raw: false,
    };
    let free = net::apply(
        &target,
        &Shape::default(),
        &Guard::default(),
        &Means::default(),
    );
    let freed = free.map(|free| free.changed).map_err(|e| chain(&e));
    swept.note(format!("network limits of {}", owner.id), freed);
    // Who came in meanwhile has been robbed of its own.
    let now = entry.read().filter(|now| now != owner);
    let packs = Packs::under(run);
    let record = now.and_then(|now| packs.read(&now.id).ok());
    if let Some(record) = record {
        let deeds = packs.deeds(&record);
        let again = net::apply_record(&record, &deeds, &record.id, netns.as_fd(), None);
        let again = again.map(|_| false).map_err(|e| chain(&e));
        swept.note(format!("network of {}", record.id), again);
    }
}

/// Quotas of containers without a record, and those a lost registry forgot.
fn quotas(run: &Path, packs: &Packs, swept: &mut Swept) {
    let registry = projects(run);
    let entries = disk::list(&registry).unwrap_or_else(|error| {
        swept.failed.push(format!("disk quotas: {}", chain(&error)));
        Vec::new()
    });
    for entry in entries.iter().filter(|entry| forgotten(packs, &entry.id)) {
        let removed = disk::remove(&entry.id, &registry).map_err(|e| chain(&e));
        swept.note(format!("disk quota of {}", entry.id), removed);
    }
    match disk::sweep(&registry) {
        Ok(projects) => swept.removed.extend(
            projects
                .iter()
                .map(|p| format!("disk quota of project {p}")),
        ),
        Err(error) => swept.failed.push(format!("disk quotas: {}", chain(&error))),
    }
}

/// The name of the namespace that the record's container has.
fn namespace(record: &Record) -> Option<String> {
    let name = record.network.get(register::NAMESPACE)?;
    name.as_str().map(str::to_owned)
}

fn records(packs: &Packs) -> impl Iterator<Item = Record> + use<> {
    let all = packs.all().unwrap_or_default();
    all.into_iter().filter_map(|(_, record)| record.ok())
}

/// Keys of containers that are gone, each with its record, if that can be read.
fn ended(packs: &Packs) -> impl Iterator<Item = (String, Option<Record>)> + use<> {
    let unreadable = packs.unreadable().unwrap_or_default().into_iter();
    let unreadable = unreadable.filter(|(id, _)| !life::is_named(id));
    let ended = records(packs).filter(|record| !life::lives(record));
    let ended = ended.map(|record| (record.id.clone(), Some(record)));
    ended.chain(unreadable.map(|(id, _)| (id, None)))
}

/// Whether there is no record of this key, be it one that cannot be read.
fn forgotten(packs: &Packs, id: &str) -> bool {
    packs.read(id).is_err_and(|error| error.is_absent())
}

/// Whether an object of ours belongs to none of those that live: neither by our
/// own files, nor by an interface that still is there.
fn is_nobodys(ours: &Ours, living: &[String]) -> bool {
    if ours.used {
        return false;
    }
    match &ours.owner {
        Some(id) => !living.contains(id),
        None => !living.iter().any(|id| ours.object.is_named_for(id)),
    }
}

fn network(id: &str, swept: &mut Swept) {
    match net::remove(id) {
        Ok(objects) => swept
            .removed
            .extend(objects.iter().map(|o| format!("{o:?} of {id}"))),
        Err(error) => swept
            .failed
            .push(format!("network of {id}: {}", chain(&error))),
    }
}

/// Removes what belongs to containers that are gone: records of dead
/// processes, and network objects without a living owner.
#[must_use]
pub fn sweep(run: &Path) -> Swept {
    let mut swept = Swept::default();
    let packs = Packs::under(run);
    packs.sweep_temporaries();
    for (id, record) in ended(&packs) {
        let one = forget(&id, record, run);
        swept.removed.extend(one.removed);
        swept.failed.extend(one.failed);
    }
    // Before its owner's entry no object comes into being: what is listed
    // here, and has no living entry after, is nobody's.
    let ours = net::list_ours().unwrap_or_else(|error| {
        swept.failed.push(format!("network: {}", chain(&error)));
        Vec::new()
    });
    let mut owners = Vec::new();
    for entry in Namespaces::under(run).all() {
        match entry.read() {
            Some(owner) if entry.alive() => owners.push(owner.id),
            Some(owner) => release(run, &entry, &owner, &mut swept),
            None => {
                let removed = entry.remove().map(|()| true).map_err(|e| e.to_string());
                swept.note("unreadable network entry".to_owned(), removed);
            }
        }
    }
    for Ours { object, owner, .. } in ours.into_iter().filter(|one| is_nobodys(one, &owners)) {
        match owner {
            Some(id) => network(&id, &mut swept),
            None => {
                let removed = net::remove_nameless(&object).map_err(|e| chain(&e));
                swept.note(format!("{object:?} without an owner"), removed);
            }
        }
    }
    quotas(run, &packs, &mut swept);
    swept
}

/// What containers that are gone left behind, one line each: what [`sweep`]
/// would begin with. Nothing is touched.
#[must_use]
pub fn left(run: &Path) -> Vec<String> {
    let packs = Packs::under(run);
    let mut left: Vec<String> = ended(&packs)
        .map(|(id, _)| format!("record of {id}"))
        .collect();
    let mut owners = Vec::new();
    for entry in Namespaces::under(run).all() {
        match entry.read() {
            Some(owner) if entry.alive() => owners.push(owner.id),
            Some(owner) => left.push(format!("network entry of {}", owner.id)),
            None => left.push("unreadable network entry".to_owned()),
        }
    }
    let ours = net::list_ours().unwrap_or_default();
    for Ours { object, owner, .. } in ours.iter().filter(|one| is_nobodys(one, &owners)) {
        left.push(match owner {
            Some(id) => format!("{object:?} of {id}"),
            None => format!("{object:?} without an owner"),
        });
    }
    let quotas = disk::list(&projects(run)).unwrap_or_default();
    let quotas = quotas.into_iter().filter(|q| forgotten(&packs, &q.id));
    left.extend(quotas.map(|quota| format!("disk quota of {}", quota.id)));
    left
}
