//! That a process is the container's.
//!
//! In: a state from stdin, which may name any process. Out: a [`Process`]
//! whose cgroup is the container's own, held against reuse of its number by
//! the time it started.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use packrank_core::record::Record;
use packrank_kernel::process::{self, Stat};
use packrank_kernel::procfs;

use super::{AttachError, State};

/// A container's first process.
#[derive(Debug)]
pub struct Process {
    id: String,
    /// Its number on the host.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Its cgroup by hierarchy: the controllers' names, or `unified`.
    pub cgroups: BTreeMap<String, PathBuf>,
}

impl Process {
    /// Looks at the process and refuses one that is not the container's.
    ///
    /// # Errors
    /// When there is no such process, or its cgroup is not the container's.
    pub fn verify(state: &State, cgroups_path: Option<&str>) -> Result<Process, AttachError> {
        let problem = |problem: String| AttachError::Process {
            id: state.id.clone(),
            pid: state.pid,
            problem,
        };
        let started = started(state.pid).ok_or_else(|| problem("does not exist".to_owned()))?;
        let text = table(state.pid).map_err(|e| problem(format!("has no readable cgroup: {e}")))?;
        let cgroups = parse(&text);
        if !cgroups
            .values()
            .any(|path| belongs(path, &state.id, cgroups_path))
        {
            let found = cgroups.values().next().map(|p| p.display().to_string());
            return Err(problem(format!(
                "is not this container's: its cgroup is {}",
                found.unwrap_or_default()
            )));
        }
        Ok(Process {
            id: state.id.clone(),
            pid: state.pid,
            started,
            cgroups,
        })
    }

    /// Its network namespace, opened while the process was certainly alive.
    ///
    /// # Errors
    /// When it is gone, or was replaced by another of the same number.
    pub fn network_namespace(&self) -> Result<File, AttachError> {
        let netns = process::network(self.pid, self.started);
        netns.ok_or_else(|| AttachError::Process {
            id: self.id.clone(),
            pid: self.pid,
            problem: "ended while it was looked at".to_owned(),
        })
    }
}

/// When the process, if a thread of it runs, started, in clock ticks since boot.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = Stat::of(pid).filter(|stat| stat.runs);
    stat.map(|stat| stat.started)
}

/// Whether the record's first process runs.
pub(super) fn runs(record: &Record) -> bool {
    started(record.pid) == Some(record.started)
}

/// The cgroup of a process in each hierarchy: the controller's name (or
/// `unified`), and the path from that hierarchy's root; none when it is gone.
#[must_use]
pub fn cgroups(pid: u32) -> BTreeMap<String, PathBuf> {
    parse(&table(pid).unwrap_or_default())
}

fn table(pid: u32) -> io::Result<String> {
    let folder = process::folder(Path::new("/proc"), pid).ok_or(io::ErrorKind::NotFound)?;
    File::open(folder.join("cgroup")).and_then(procfs::text)
}

fn parse(text: &str) -> BTreeMap<String, PathBuf> {
    let mut cgroups = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let names = if names.is_empty() { "unified" } else { names };
        for name in names.split(',') {
            cgroups.insert(name.to_owned(), own(PathBuf::from(path)));
        }
    }
    cgroups
}

/// The container's own cgroup, above the one that crun makes inside a scope for
/// the processes: limits count there.
fn own(cgroup: PathBuf) -> PathBuf {
    let scope = |path: &Path| path.extension().is_some_and(|e| e == "scope");
    match cgroup.parent() {
        Some(parent) if cgroup.ends_with("container") && scope(parent) => parent.to_owned(),
        _ => cgroup,
    }
}

/// Whether a cgroup is the container's: its path names the id, as every
/// engine's does by default, or is the one the spec asked for.
pub(super) fn belongs(cgroup: &Path, id: &str, asked: Option<&str>) -> bool {
    let own = cgroup
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let mut parts = cgroup.iter().filter_map(|part| part.to_str());
    if parts.any(|part| part == id) || own.strip_suffix(&format!("{id}.scope")).is_some() {
        return true;
    }
    match asked
        .map(|path| path.split(':').collect::<Vec<_>>())
        .as_deref()
    {
        // systemd's form: slice, prefix, name.
        Some([_, prefix, name]) if !name.is_empty() => {
            own == format!("{prefix}-{name}.scope") || own == *name
        }
        Some([path]) => {
            let path = path.trim_start_matches('/');
            !path.is_empty() && cgroup.ends_with(path)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_foreign_cgroups() {
        for (cgroup, id, asked, own) in [
            ("/abc", "abc", None, true),
            ("/system.slice/docker-abc.scope", "abc", None, true),
            (
                "/machine.slice/libpod-abc.scope/container",
                "abc",
                None,
                true,
            ),
            ("/machine.slice/libpod-abc.scope", "abc", None, true),
            ("/k8s.io/abc", "abc", Some("/k8s.io/abc"), true),
            ("/x/y", "abc", Some("/x/y"), true),
            ("/own/x/y", "abc", Some("/x/y"), true),
            ("/a.slice/run-n.scope", "abc", Some("a.slice:run:n"), true),
            ("/", "abc", Some("/"), false),
            ("/system.slice/ssh.service", "abc", None, false),
            ("/xabc", "abc", None, false),
        ] {
            let cgroup = super::own(cgroup.into());
            assert_eq!(belongs(&cgroup, id, asked), own, "{cgroup:?} {asked:?}");
        }
    }

    #[test]
    fn processes_that_are_not_the_containers_are_refused() {
        let verify = |pid| {
            let state = State {
                id: "packrank-no-such".to_owned(),
                pid,
                bundle: "/".into(),
                engine: None,
            };
            Process::verify(&state, None).unwrap_err().to_string()
        };
        assert!(verify(0).ends_with("process 0 does not exist"));
        assert!(verify(u32::MAX).contains("does not exist"));
        assert!(verify(std::process::id()).contains("is not this container's: its cgroup is /"));
    }
}
