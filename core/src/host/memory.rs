//! How much memory the place we run in has.
//!
//! In: the host's roots and the text of `/proc/self/cgroup`. Out: bytes, and
//! which source said so: version 2's files, version 1's, the environment's
//! `MEMORY_LIMIT_BYTES`, then the machine.

use std::path::Path;

use super::{Roots, read};

pub(super) fn limit(roots: &Roots, own: &str) -> Option<(u64, &'static str)> {
    let machine = machine(roots);
    let root = roots.cgroup();
    let v2 = path_of(own, "0::").and_then(|path| lowest(&root, &path, "memory.max"));
    let v1 = || {
        let line = own.lines().find(|line| {
            let mut fields = line.split(':').skip(1);
            fields
                .next()
                .is_some_and(|c| c.split(',').any(|c| c == "memory"))
        });
        let path = line?.splitn(3, ':').nth(2)?;
        lowest(&root.join("memory"), path, "memory.limit_in_bytes")
    };
    let environment = || roots.memory_limit.as_deref()?.trim().parse().ok();
    let found = v2
        .map(|bytes| (bytes, "memory.max"))
        .or_else(|| v1().map(|bytes| (bytes, "memory.limit_in_bytes")))
        .or_else(|| environment().map(|bytes| (bytes, "MEMORY_LIMIT_BYTES")));
    // v1's "unlimited" is a number larger than any machine.
    found
        .filter(|(bytes, _)| machine.is_none_or(|all| *bytes < all))
        .or(machine.map(|bytes| (bytes, "MemTotal")))
}

fn path_of(own: &str, prefix: &str) -> Option<String> {
    own.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .map(str::to_owned)
}

/// The lowest number in `file` from the cgroup up to the root.
fn lowest(root: &Path, path: &str, file: &str) -> Option<u64> {
    let relative = Path::new(path.trim_start_matches('/'));
    let outside = relative.components().any(|c| c.as_os_str() == "..");
    relative
        .ancestors()
        .filter(|_| !outside)
        .filter_map(|cgroup| read(&root.join(cgroup).join(file))?.trim().parse().ok())
        .min()
}

fn machine(roots: &Roots) -> Option<u64> {
    let text = read(&roots.proc.join("meminfo"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_narrowest_place_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:       8388608 kB\n");
        let mut roots = Roots::under(folder.path());
        assert_eq!(limit(&roots, "0::/a/b\n"), Some((8 << 30, "MemTotal")));
        roots.memory_limit = Some("1073741824".to_owned());
        assert_eq!(limit(&roots, ""), Some((1 << 30, "MEMORY_LIMIT_BYTES")));
        write("sys/fs/cgroup/a/memory.max", "2147483648\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(limit(&roots, "0::/a/b\n"), Some((2 << 30, "memory.max")));
        write(
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        write(
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes",
            "536870912\n",
        );
        let v1 = "3:memory:/x\n1:name=systemd:/\n";
        assert_eq!(
            limit(&roots, v1),
            Some((512 << 20, "memory.limit_in_bytes"))
        );
        assert_eq!(
            limit(&roots, "0::/../a\n"),
            Some((1 << 30, "MEMORY_LIMIT_BYTES"))
        );
    }
}
