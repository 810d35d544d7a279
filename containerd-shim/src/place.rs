//! The shim's own cgroup, which the options name.
//!
//! In: its path, and where the hierarchies are. Out: the shim is in it, in every
//! hierarchy that has it; as under the stock shim, nothing is made.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the hierarchies are: v2's, or one folder for each of v1's.
pub const TOP: &str = "/sys/fs/cgroup";

/// Puts a process there.
///
/// # Errors
/// When no hierarchy has it, or one that has it does not take the process.
pub fn place(top: &Path, cgroup: &str, pid: u32) -> io::Result<()> {
    let mut placed = false;
    for hierarchy in hierarchies(top)? {
        let folder = hierarchy.join(cgroup.trim_start_matches('/'));
        match File::options()
            .write(true)
            .open(folder.join("cgroup.procs"))
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            procs => procs?.write_all(pid.to_string().as_bytes())?,
        }
        placed = true;
    }
    match placed {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no cgroup {cgroup:?}"),
        )),
    }
}

fn hierarchies(top: &Path) -> io::Result<Vec<PathBuf>> {
    if top.join("cgroup.controllers").exists() {
        return Ok(vec![top.to_owned()]);
    }
    // Links are other names of controllers that share one.
    let entries = fs::read_dir(top)?.filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_in_each_hierarchy_that_has_it() {
        let top = tempfile::tempdir().unwrap();
        for folder in ["cpu,cpuacct/shims", "memory/shims", "pids"] {
            fs::create_dir_all(top.path().join(folder)).unwrap();
        }
        let procs = |at: &str| top.path().join(at).join("cgroup.procs");
        for at in ["cpu,cpuacct/shims", "memory/shims"] {
            fs::write(procs(at), "").unwrap();
        }
        place(top.path(), "/shims", 42).unwrap();
        for at in ["cpu,cpuacct/shims", "memory/shims"] {
            assert_eq!(fs::read_to_string(procs(at)).unwrap(), "42");
        }
        let error = place(top.path(), "/none", 42).unwrap_err().to_string();
        assert_eq!(error, "there is no cgroup \"/none\"");
        // v2 has one.
        fs::write(top.path().join("cgroup.controllers"), "").unwrap();
        assert!(place(top.path(), "/shims", 42).is_err());
        fs::create_dir(top.path().join("shims")).unwrap();
        fs::write(procs("shims"), "").unwrap();
        place(top.path(), "/shims", 42).unwrap();
        assert_eq!(fs::read_to_string(procs("shims")).unwrap(), "42");
    }
}
