//! The cgroups above packs: what protects them is worth nothing unless these
//! have as much (C7).
//!
//! In: a pack's path on version 2. Out: `memory.min` and `memory.low` of every
//! cgroup above it, through systemd where systemd owns it (a daemon-reload
//! would undo a raw write), and what was there before, kept over restarts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packrank_core::record::{AncestorDeed, Packs};
use packrank_kernel::cgroup::{CgroupError, Folder, Mounts, Version, number};

use crate::decide::{Above, Outcome, State};

/// Those that are known.
#[derive(Debug, Default)]
pub struct Ancestors {
    known: Vec<(Above, AncestorDeed)>,
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
            let known = self.known.iter().find(|(_, deed)| deed.cgroup == at);
            if let Some((id, _)) = known {
                above = Some(*id);
                continue;
            }
            let Ok(folder) = root.folder(&at) else { break };
            let Ok((min, low)) = protection(&folder) else {
                break;
            };
            let found = found.iter().find(|deed| deed.cgroup == at).cloned();
            let deed = found.unwrap_or(AncestorDeed {
                cgroup: at.clone(),
                min,
                low,
            });
            let id = state.add_above(above, (deed.min, deed.low), (min, low));
            self.known.push((id, deed));
            above = Some(id);
        }
        above
    }

    /// Keeps over a restart what they had before. What cannot be written is
    /// written by [`Ancestors::keep`].
    pub fn save(&mut self, packs: &Packs) {
        let deeds: Vec<AncestorDeed> = self.known.iter().map(|(_, deed)| deed.clone()).collect();
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
            self.known.retain(|(known, _)| *known != id);
            self.unsaved = true;
        });
    }

    /// Writes a protection. `pressed`: memory presses, so that systemd is told
    /// later, by [`Ancestors::tell`]: it may take seconds to answer, and those
    /// who are to give would keep what they have for as long.
    pub fn protect(
        &mut self,
        mounts: &Mounts,
        above: Above,
        (min, low): (u64, u64),
        pressed: bool,
    ) -> Outcome {
        let Some(folder) = self.folder(mounts, above) else {
            return Outcome::Gone;
        };
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
            if let Some(folder) = self.folder(mounts, above) {
                // It has its value: until systemd knows, a reload takes it away.
                let _ = write_told(&folder, min, low);
            }
        }
    }

    fn folder(&self, mounts: &Mounts, above: Above) -> Option<Folder> {
        let (_, deed) = self.known.iter().find(|(id, _)| *id == above)?;
        let root = mounts.root(packrank_core::record::UNIFIED)?;
        root.folder(&deed.cgroup).ok()
    }

    /// The path of one, for people.
    #[must_use]
    pub fn path(&self, above: Above) -> Option<&Path> {
        let (_, deed) = self.known.iter().find(|(id, _)| *id == above)?;
        Some(&deed.cgroup)
    }
}

/// `memory.min` and `memory.low`; `max` is all there is.
fn protection(folder: &Folder) -> Result<(u64, u64), CgroupError> {
    let of = |name| {
        folder
            .read(name)
            .map(|text| number(&text).unwrap_or(u64::MAX))
    };
    Ok((of("memory.min")?, of("memory.low")?))
}

/// Through systemd where it owns the cgroup.
fn write_told(folder: &Folder, min: u64, low: u64) -> Result<(), CgroupError> {
    let path = folder.path();
    if let Some(unit) = systemd_unit(&path) {
        let done = set_property(unit, min, low);
        if done && protection(folder)? == rounded(min, low) {
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
fn rounded(min: u64, low: u64) -> (u64, u64) {
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
