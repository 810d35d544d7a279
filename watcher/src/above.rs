//! The cgroups above packs: what protects them is worth nothing unless these
//! have as much (C7).
//!
//! In: a pack's path on version 2. Out: `memory.min` and `memory.low` of every
//! cgroup above it, through systemd where systemd owns it (a daemon-reload
//! would undo a raw write), and what was there before, kept over restarts and
//! given back when the watcher ends, by it or by whoever comes next.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use packrank_core::record::{AncestorDeed, Packs};
use packrank_kernel::cgroup::{CgroupError, Folder, Mounts, Version, number};

use crate::decide::{Above, Outcome, State};
use crate::{Roots, stand};

/// One that is known.
#[derive(Debug)]
struct Known {
    id: Above,
    path: Arc<Path>,
    deed: AncestorDeed,
    /// What systemd was last told: what it writes again when it is reloaded.
    told: Option<(u64, u64)>,
}

/// Those that are known.
#[derive(Debug, Default)]
pub struct Ancestors {
    known: Vec<Known>,
    /// What the kernel has and systemd was not told yet.
    untold: Vec<(Above, u64, u64)>,
    /// What is known is not what is written down.
    unsaved: bool,
}

impl Ancestors {
    /// With what an earlier watcher left: what it raised is given back, also
    /// where no pack is found again.
    #[must_use]
    pub fn load(packs: &Packs, mounts: &Mounts, state: &mut State) -> Ancestors {
        let mut ancestors = Ancestors::default();
        let found = packs.ancestors();
        for deed in &found {
            ancestors.learn(mounts, state, &deed.cgroup, &found);
        }
        ancestors
    }

    /// The nearest cgroup above `path`, all above it made known; `None` on
    /// version 1, which has no such protection, and directly under the root.
    pub fn of(&mut self, mounts: &Mounts, state: &mut State, path: &Path) -> Option<Above> {
        let folder = path.strip_prefix("/").unwrap_or(path).parent()?;
        self.learn(mounts, state, folder, &[])
    }

    /// Makes a cgroup and all above it known; `found`: what these had before.
    fn learn(
        &mut self,
        mounts: &Mounts,
        state: &mut State,
        folder: &Path,
        found: &[AncestorDeed],
    ) -> Option<Above> {
        if mounts.version() != Version::V2 {
            return None;
        }
        let root = mounts.root(packrank_core::record::UNIFIED)?;
        let mut above = None;
        let mut at = PathBuf::new();
        for component in folder.components() {
            at.push(component);
            let known = self.known.iter().find(|known| *known.path == *at);
            if let Some(known) = known {
                above = Some(known.id);
                continue;
            }
            let Ok(folder) = root.folder(&at) else { break };
            let Ok(((min, low), limit)) = protection(&folder) else {
                break;
            };
            let found = found.iter().find(|deed| deed.cgroup == at).cloned();
            // What is not the watcher's before this is somebody else's.
            let ours = |deed: &AncestorDeed| {
                let raised = deed
                    .raised
                    .is_none_or(|raised| rounded(raised) == (min, low));
                raised || (deed.min, deed.low) == (min, low)
            };
            // 0.1 did not write down what it raised: what is there now.
            let found = found.filter(ours).map(|deed| AncestorDeed {
                raised: deed.raised.or(Some((min, low))),
                ..deed
            });
            let deed = found.unwrap_or(AncestorDeed {
                cgroup: at.clone(),
                min,
                low,
                raised: None,
            });
            let id = state.add_above(above, (deed.min, deed.low), (min, low), limit);
            self.known.push(Known {
                id,
                path: Arc::from(at.as_path()),
                told: deed.raised,
                deed,
            });
            above = Some(id);
        }
        above
    }

    /// Keeps over a restart what they had before. What cannot be written is
    /// written by [`Ancestors::keep`].
    pub fn save(&mut self, packs: &Packs) {
        let raised = self
            .known
            .iter()
            .filter(|known| known.deed.raised.is_some());
        let deeds: Vec<AncestorDeed> = raised.map(|known| known.deed.clone()).collect();
        self.unsaved = packs.write_ancestors(&deeds).is_err();
    }

    /// Writes down what is not yet.
    pub fn keep(&mut self, packs: &Packs) {
        if self.unsaved {
            self.save(packs);
        }
    }

    /// Forgets those that have nothing under them and their own values back.
    pub fn forget(&mut self, state: &mut State) {
        state.forget_above(|id| {
            self.known.retain(|known| known.id != id);
            self.unsaved = true;
        });
    }

    /// What somebody else has written over the watcher's, and limits that
    /// changed; the paths of the former.
    pub fn compare(&mut self, mounts: &Mounts, state: &mut State) -> Vec<Arc<Path>> {
        let mut others = Vec::new();
        for known in &mut self.known {
            let Some((has, limit)) = folder(mounts, &known.path).and_then(|f| protection(&f).ok())
            else {
                continue;
            };
            let told = known.told.is_some_and(|told| rounded(told) == has);
            if state.found_above(known.id, has, told, limit) {
                (known.deed.min, known.deed.low) = has;
                self.unsaved = true;
                others.push(known.path.clone());
            }
        }
        others
    }

    /// Gives back what each had before.
    pub fn give_back(&mut self, mounts: &Mounts, packs: &Packs) {
        let deeds = self.known.drain(..).map(|known| known.deed);
        let deeds = deeds.filter(|deed| deed.raised.is_some());
        let left = restore(mounts, deeds.collect()).1;
        // Best effort: what cannot be written is known to the next watcher.
        let _ = packs.write_ancestors(&left);
    }

    /// Writes a protection, after it is written down. `pressed`: memory presses, so that systemd is told
    /// later, by [`Ancestors::tell`]: it may take seconds to answer, and those
    /// who are to give would keep what they have for as long.
    pub fn protect(
        &mut self,
        mounts: &Mounts,
        packs: &Packs,
        above: Above,
        (min, low): (u64, u64),
        pressed: bool,
    ) -> Outcome {
        let known = self.known.iter_mut().find(|known| known.id == above);
        let found = known.and_then(|known| Some((folder(mounts, &known.path)?, known)));
        let Some((folder, known)) = found else {
            return Outcome::Gone;
        };
        known.deed.raised = Some((min, low));
        if !pressed {
            known.told = Some((min, low));
        }
        self.save(packs);
        self.untold.retain(|(id, _, _)| *id != above);
        let done = match pressed {
            true => {
                self.untold.push((above, min, low));
                write(&folder, min, low)
            }
            false => write_told(&folder, min, low),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(error) if error.is_gone() => Outcome::Gone,
            Err(_) => Outcome::Refused,
        }
    }

    /// Tells systemd what it was not told while memory pressed.
    pub fn tell(&mut self, mounts: &Mounts) {
        for (above, min, low) in std::mem::take(&mut self.untold) {
            let known = self.known.iter_mut().find(|known| known.id == above);
            let found = known.and_then(|known| Some((folder(mounts, &known.path)?, known)));
            if let Some((folder, known)) = found {
                known.told = Some((min, low));
                // It has its value: until systemd knows, a reload takes it away.
                let _ = write_told(&folder, min, low);
            }
        }
    }

    /// The path of one, for people.
    #[must_use]
    pub fn path(&self, above: Above) -> Option<Arc<Path>> {
        let known = self.known.iter().find(|known| known.id == above)?;
        Some(known.path.clone())
    }
}

/// What a watcher that has ended left is given back, unless another runs: one
/// line for each cgroup, and for each that could not be written.
///
/// # Errors
/// When there are no cgroups.
pub fn give_back_of_the_dead(roots: &Roots) -> Result<[Vec<String>; 2], CgroupError> {
    let packs = Packs::under(&roots.run);
    let deeds = packs.ancestors();
    if deeds.is_empty() {
        return Ok([Vec::new(), Vec::new()]);
    }
    let Ok(_lock) = stand::try_lock(roots) else {
        return Ok([Vec::new(), Vec::new()]);
    };
    let (done, left) = restore(&Mounts::find(&roots.cgroup)?, deeds);
    let names = |deeds: &[AncestorDeed]| -> Vec<String> {
        let name = |deed: &AncestorDeed| format!("protection of /{}", deed.cgroup.display());
        deeds.iter().map(name).collect()
    };
    let told = [names(&done), names(&left)];
    // Best effort: the next one tries again.
    let _ = packs.write_ancestors(&left);
    Ok(told)
}

/// Gives back what has not been changed by somebody else since: which were, and
/// which could not be written.
fn restore(mounts: &Mounts, deeds: Vec<AncestorDeed>) -> (Vec<AncestorDeed>, Vec<AncestorDeed>) {
    let mut left = Vec::new();
    let mut done = Vec::new();
    for deed in deeds {
        let Some(folder) = folder(mounts, &deed.cgroup) else {
            continue;
        };
        let original = (deed.min, deed.low);
        match protection(&folder) {
            Ok((has, _)) if has == rounded(original) => {}
            Ok((has, _)) if deed.raised.is_some_and(|raised| rounded(raised) != has) => {}
            _ => match write_told(&folder, deed.min, deed.low) {
                Ok(()) => done.push(deed),
                Err(error) if error.is_gone() => {}
                Err(_) => left.push(deed),
            },
        }
    }
    (done, left)
}

fn folder(mounts: &Mounts, path: &Path) -> Option<Folder> {
    let root = mounts.root(packrank_core::record::UNIFIED)?;
    root.folder(path).ok()
}

/// `memory.min` and `memory.low`, and `memory.max`; `max` is all there is.
fn protection(folder: &Folder) -> Result<((u64, u64), u64), CgroupError> {
    let of = |name| {
        folder
            .read(name)
            .map(|text| number(&text).unwrap_or(u64::MAX))
    };
    let protection = (of("memory.min")?, of("memory.low")?);
    Ok((protection, of("memory.max")?))
}

/// Through systemd where it owns the cgroup.
fn write_told(folder: &Folder, min: u64, low: u64) -> Result<(), CgroupError> {
    let path = folder.path();
    if let Some(unit) = systemd_unit(&path) {
        let done = set_property(unit, min, low);
        if done && protection(folder)?.0 == rounded((min, low)) {
            return Ok(());
        }
    }
    write(folder, min, low)
}

fn write(folder: &Folder, min: u64, low: u64) -> Result<(), CgroupError> {
    folder.write("memory.min", &min.to_string())?;
    folder.write("memory.low", &low.to_string())
}

/// How long systemd may take: under pressure it may be as slow as all else.
const PATIENCE: Duration = Duration::from_secs(2);

fn set_property(unit: &str, min: u64, low: u64) -> bool {
    let child = Command::new("systemctl")
        .args(["set-property", "--runtime", unit])
        .arg(format!("MemoryMin={min}"))
        .arg(format!("MemoryLow={low}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return false,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// The kernel keeps whole pages of 4 KiB.
fn rounded((min, low): (u64, u64)) -> (u64, u64) {
    (min & !4095, low & !4095)
}

/// The unit whose cgroup this is, where systemd runs the node.
fn systemd_unit(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let unit = [".slice", ".scope", ".service"]
        .iter()
        .any(|end| name.ends_with(end));
    (unit && Path::new("/run/systemd/system").is_dir()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_watcher_raised_is_given_back_and_what_others_wrote_is_not() {
        let lab = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = lab.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("cg/cgroup.controllers", "memory");
        for (cgroup, low) in [("ours", 8192), ("others", 12288)] {
            put(&format!("cg/{cgroup}/memory.min"), "0");
            put(&format!("cg/{cgroup}/memory.low"), &low.to_string());
            put(&format!("cg/{cgroup}/memory.max"), "max");
        }
        let roots = Roots {
            run: lab.path().join("run"),
            cgroup: lab.path().join("cg"),
            ..Roots::default()
        };
        let packs = Packs::under(&roots.run);
        packs.make().unwrap();
        let deeds = ["ours", "others", "gone"].map(|cgroup| AncestorDeed {
            cgroup: cgroup.into(),
            min: 0,
            low: 4096,
            raised: Some((0, 8200)),
        });
        packs.write_ancestors(&deeds).unwrap();
        // While a watcher runs it is his to give back.
        let lock = stand::try_lock(&roots).unwrap();
        let [done, left] = give_back_of_the_dead(&roots).unwrap();
        assert_eq!((done.len(), left.len()), (0, 0));
        drop(lock);
        let [done, left] = give_back_of_the_dead(&roots).unwrap();
        assert_eq!(done, ["protection of /ours"]);
        assert!(left.is_empty() && packs.ancestors().is_empty());
        let low = |cgroup: &str| {
            std::fs::read_to_string(roots.cgroup.join(cgroup).join("memory.low")).unwrap()
        };
        assert_eq!(
            (low("ours"), low("others")),
            ("4096".into(), "12288".into())
        );
    }
}
