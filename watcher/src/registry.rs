//! Which packs there are.
//!
//! In: the folder of records. Out: each live container's record, open cgroup
//! and slot. A pod's sandbox is none. A record that is damaged, foreign, or of a process that is gone
//! or another, is set aside with a warning, once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use packrank_core::Priority;
use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile, Packs, Record, RecordError, UNIFIED};
use packrank_kernel::cgroup::{Cgroup, Mounts, start_time};
use packrank_kernel::net;

use crate::above::Ancestors;
use crate::decide::{Knob, Millis, Pack, Sample, Slot, State, Why};
use crate::deeds::{Beside, Reason, Scribe};
use crate::observe::{PackReader, Wanted};

/// One pack's files.
#[derive(Debug)]
pub struct Kept {
    /// Its id.
    pub id: Arc<str>,
    /// Its class.
    pub class: Priority,
    /// Its first process, and when that started.
    pub pid: u32,
    /// In clock ticks since boot.
    pub started: u64,
    /// The devices its I/O limits name.
    pub devices: Vec<String>,
    /// The file its guarantee is in.
    pub guarantee_file: GuaranteeFile,
    /// Its guarantee, in bytes.
    pub guarantee: u64,
    /// Its open cgroup.
    pub cgroup: Cgroup,
    /// Its open figures.
    pub reader: PackReader,
    /// What its deeds say beside what the state holds.
    pub beside: Beside,
    /// Connections it may have, where its network is its own.
    pub connections: Option<u64>,
    /// Its CPU time when its open files were last counted.
    pub counted: Option<u64>,
    /// The name of its record's file, and of its deeds'.
    pub file: Arc<Path>,
    /// Its deeds could not be written down.
    unwritten: bool,
}

/// Between two tries to write down what could not be, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// A file as it was when it was read.
type Stamp = (u64, u64, i64, i64);

/// All packs.
#[derive(Debug)]
pub struct Registry {
    /// Where records are.
    pub packs: Packs,
    /// By slot.
    pub kept: Vec<Option<Kept>>,
    /// By slot.
    pub samples: Vec<Option<Sample>>,
    /// By file name.
    files: BTreeMap<Arc<Path>, (Stamp, Option<Slot>)>,
    scribe: Scribe,
    /// When what could not be written down is tried again.
    retry: Option<Millis>,
    /// That it cannot be was told.
    failing: bool,
    new: Vec<Slot>,
}

/// A warning about a file.
pub type Warning = String;

impl Registry {
    /// Nothing read yet.
    ///
    /// # Errors
    /// When there is no folder for deeds.
    pub fn new(packs: Packs) -> Result<Registry, RecordError> {
        Ok(Registry {
            scribe: Scribe::open(packs.deeds_folder())?,
            packs,
            kept: Vec::new(),
            samples: Vec::new(),
            files: BTreeMap::new(),
            retry: None,
            failing: false,
            new: Vec::new(),
        })
    }

    /// The cgroups of packs that came since this was last asked.
    pub fn newcomers(&mut self) -> impl Iterator<Item = &Cgroup> {
        let kept = &self.kept;
        let new = self.new.drain(..);
        new.filter_map(move |slot| Some(&kept.get(slot.0 as usize)?.as_ref()?.cgroup))
    }

    /// Writes down what is about to be done to the packs whose deeds changed.
    /// A failure is told, the first of its kind, and does not stop the deed: a
    /// full disk is no reason to let a node die. It is tried again each second.
    pub fn save(&mut self, state: &mut State, now: Millis, mut failed: impl FnMut(RecordError)) {
        let (kept, scribe) = (&mut self.kept, &mut self.scribe);
        let mut error = None;
        let mut write = |kept: &mut Kept, pack: &Pack| match scribe.write(kept, pack) {
            Ok(()) => kept.unwritten = false,
            Err(why) => {
                kept.unwritten = true;
                error = Some(why);
            }
        };
        state.unsaved(|slot, pack| {
            if let Some(Some(kept)) = kept.get_mut(slot.0 as usize) {
                write(kept, pack);
            }
        });
        if self.retry.is_some_and(|at| now >= at) {
            self.retry = None;
            for (slot, kept) in (0..).map(Slot).zip(kept) {
                if let Some(kept) = kept.as_mut().filter(|kept| kept.unwritten)
                    && let Some(pack) = state.pack(slot)
                {
                    write(kept, pack);
                }
            }
        }
        match error {
            Some(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    failed(error);
                }
                self.retry.get_or_insert(now.plus(RETRY_MS));
            }
            None if self.retry.is_none() => self.failing = false,
            None => {}
        }
    }

    /// Writes down why a pack is about to be killed. That it cannot be written
    /// does not save the pack.
    pub fn save_kill(&mut self, state: &State, slot: Slot, why: Why) {
        let kept = self.kept.get_mut(slot.0 as usize).and_then(Option::as_mut);
        if let (Some(kept), Some(pack)) = (kept, state.pack(slot)) {
            kept.beside.killed = Some(Reason::Now(why));
            if self.scribe.write(kept, pack).is_err() {
                kept.unwritten = true;
                self.retry.get_or_insert_default();
            }
        }
    }

    /// How many packs live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.iter().flatten().count()
    }

    /// The slot of a container.
    #[must_use]
    pub fn slot(&self, id: &str) -> Option<Slot> {
        let at = self
            .kept
            .iter()
            .position(|k| k.as_ref().is_some_and(|k| &*k.id == id))?;
        u32::try_from(at).ok().map(Slot)
    }

    /// The pack in a slot.
    #[must_use]
    pub fn pack(&self, slot: Slot) -> Option<&Kept> {
        self.kept.get(slot.0 as usize)?.as_ref()
    }

    /// Looks at the folder again: files that did not change are not read.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn scan(
        &mut self,
        state: &mut State,
        mounts: &Mounts,
        ancestors: &mut Ancestors,
        now: Millis,
    ) -> Result<Vec<Warning>, RecordError> {
        let mut warnings = Vec::new();
        let mut seen = BTreeMap::new();
        for path in self.packs.files()? {
            let (Some(stamp), Some(name)) = (stamp(&path), path.file_name()) else {
                continue;
            };
            let (name, old) = match self.files.remove_entry(Path::new(name)) {
                Some((name, (before, slot))) if before == stamp => {
                    seen.insert(name, (before, slot));
                    continue;
                }
                Some((name, (_, slot))) => (name, slot),
                None => (Path::new(name).into(), None),
            };
            let slot = match self.admit(&name, old, state, mounts, ancestors, now) {
                Ok(slot) => slot,
                Err(warning) => {
                    warnings.push(warning);
                    if let Some(slot) = old {
                        self.drop_pack(state, slot);
                    }
                    None
                }
            };
            seen.insert(name, (stamp, slot));
        }
        let gone = std::mem::replace(&mut self.files, seen);
        for (_, slot) in gone.into_values() {
            if let Some(slot) = slot {
                self.drop_pack(state, slot);
            }
        }
        Ok(warnings)
    }

    fn admit(
        &mut self,
        name: &Arc<Path>,
        old: Option<Slot>,
        state: &mut State,
        mounts: &Mounts,
        ancestors: &mut Ancestors,
        now: Millis,
    ) -> Result<Option<Slot>, Warning> {
        let path = self.packs.folder().join(name);
        let aside = |why: String| format!("{}: set aside: {why}", path.display());
        let mut record = Packs::read_file(&path).map_err(|e| format!("set aside: {e}"))?;
        if record.sandbox {
            return Ok(None);
        }
        if start_time(record.pid) != Some(record.started) {
            return Err(aside(format!("process {} is gone, or another", record.pid)));
        }
        if !runs_in(&record) {
            return Err(aside(format!(
                "process {} is in another cgroup",
                record.pid
            )));
        }
        let cgroup = Cgroup::open(mounts, &record.cgroups).map_err(|e| aside(e.to_string()))?;
        leave_out(&mut record, &cgroup);
        let own = net::owner(&record) == Some(&*record.id);
        let connections = record.amount(Key::NetworkConnections).filter(|_| own);
        let above = record.cgroups.get(UNIFIED).cloned();
        let above = above.and_then(|path| ancestors.of(mounts, state, &path));
        let same = old.filter(|slot| {
            let before = self.pack(*slot).map(|k| (k.pid, k.started));
            before == Some((record.pid, record.started))
        });
        let deeds = self.packs.deeds(&record);
        let slot = match same {
            Some(slot) => {
                state.rejoin(slot, &record, above, now);
                slot
            }
            None => {
                if let Some(slot) = old {
                    self.drop_pack(state, slot);
                }
                let age = age(record.started);
                state.join(&record, &deeds, above, age, now)
            }
        };
        let guarantee = record.amount(Key::MemoryGuarantee);
        let guarantee = guarantee.and_then(Amount::number).unwrap_or(0);
        let at = slot.0 as usize;
        if self.kept.len() <= at {
            self.kept.resize_with(at + 1, || None);
            self.samples.resize(at + 1, None);
        }
        self.samples[at] = None;
        self.new.push(slot);
        self.kept[at] = Some(Kept {
            reader: PackReader::open(&cgroup, Wanted::of(&record)),
            cgroup,
            beside: Beside::of(deeds),
            connections: connections.and_then(Amount::number),
            id: Arc::from(record.id),
            class: record.priority,
            pid: record.pid,
            started: record.started,
            devices: record.devices,
            guarantee_file: record.guarantee_file,
            guarantee,
            counted: None,
            file: name.clone(),
            unwritten: false,
        });
        Ok(Some(slot))
    }

    fn drop_pack(&mut self, state: &mut State, slot: Slot) {
        state.leave(slot);
        let at = slot.0 as usize;
        if let Some(place) = self.kept.get_mut(at) {
            *place = None;
            self.samples[at] = None;
        }
    }

    /// Lets go of packs that have no process left; their files are their
    /// hooks' to remove.
    pub fn bury(&mut self, state: &mut State) -> Vec<Arc<str>> {
        let mut ids = Vec::new();
        for at in 0..self.kept.len() {
            let dead = self.samples[at].is_some_and(|sample| !sample.populated);
            let Some(kept) = self.kept[at].as_ref().filter(|_| dead) else {
                continue;
            };
            ids.push(kept.id.clone());
            if let Some(entry) = self.files.get_mut(&kept.file) {
                entry.1 = None;
            }
            if let Ok(at) = u32::try_from(at) {
                self.drop_pack(state, Slot(at));
            }
        }
        ids
    }
}

/// Whether the record's process is in the record's cgroup, or below it (crun
/// puts it one level below the one with the limits).
fn runs_in(record: &Record) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{}/cgroup", record.pid)) else {
        return false;
    };
    let place = |controller: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            let unified = names.is_empty() && controller == UNIFIED;
            let named = names.split(',').any(|name| name == controller);
            (unified || named).then(|| Path::new(path))
        })
    };
    record
        .cgroups
        .iter()
        .all(|(controller, path)| place(controller).is_none_or(|actual| actual.starts_with(path)))
}

/// Milliseconds since a process started, from its clock ticks since boot: a
/// tick is 10 ms (USER_HZ is 100 for every user program).
fn age(started: u64) -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    // Seconds and hundredths, which is ticks but for the point.
    let ticks = text.split(' ').next().unwrap_or_default().replace('.', "");
    let ticks: u64 = ticks.parse().unwrap_or(0);
    ticks.saturating_sub(started).saturating_mul(10)
}

/// Takes out of the record what this kernel cannot change while the pack runs,
/// so that nothing is decided that cannot be done.
fn leave_out(record: &mut Record, cgroup: &Cgroup) {
    for knob in Knob::ALL {
        let key = knob.key();
        let possible = match key {
            Key::CpuQuota | Key::MemoryHigh | Key::MemoryLimit => {
                cgroup.value(key).is_ok_and(|value| value.is_some())
            }
            Key::MemoryGuarantee => cgroup.unified().is_some_and(|f| f.has("memory.low")),
            Key::IoReadBps | Key::IoWriteBps | Key::IoReadIops | Key::IoWriteIops => {
                !record.devices.is_empty()
            }
            // The rates of a network that others share are its owner's.
            Key::NetworkEgress | Key::NetworkIngress => net::owner(record) == Some(&*record.id),
            _ => false,
        };
        // Its guarantee is still what reclaim stops at.
        if !possible && key != Key::MemoryGuarantee {
            record.settings.remove(key);
            record.pinned.remove(key);
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}
