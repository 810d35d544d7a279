//! In: this process's `mountinfo` and `cgroup` files in `/proc/self`. Out: [`Hierarchy`]s, each
//! with where it is mounted, what it controls, and where in it this process sits.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub kind: Kind,
    pub mount: PathBuf,
    /// The path of this process's own cgroup inside the hierarchy, as seen through the mount.
    pub own: PathBuf,
}

/// What a hierarchy is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// v1, with its controllers as they are mounted together
    V1(Vec<String>),
    /// v1 without controllers, such as systemd's
    Named(String),
    /// v2, with controllers
    V2,
    /// v2 beside v1 controllers: membership and pressure only
    Hybrid,
}

impl Kind {
    pub fn controls(&self, controller: &str) -> bool {
        match self {
            Self::V1(controllers) => controllers.iter().any(|name| name == controller),
            Self::V2 => true,
            Self::Named(_) | Self::Hybrid => false,
        }
    }
}

/// Reads both files. The first mount of each hierarchy counts, as for runc.
pub fn discover() -> std::io::Result<Vec<Hierarchy>> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    Ok(parse(&mountinfo, &own))
}

fn parse(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Some((root, mount)) = mountinfo
            .lines()
            .find_map(|line| mount_of(line, controllers))
        else {
            continue;
        };
        let kind = match controllers.strip_prefix("name=") {
            Some(name) => Kind::Named(name.to_owned()),
            None if controllers.is_empty() => Kind::V2,
            None => Kind::V1(controllers.split(',').map(str::to_owned).collect()),
        };
        // Inside a container the mount may show only a part of the hierarchy.
        let path = Path::new(path);
        let own = path.strip_prefix(&root).unwrap_or(path);
        found.push(Hierarchy {
            kind,
            mount,
            own: Path::new("/").join(own),
        });
    }
    if found.iter().any(|one| matches!(one.kind, Kind::V1(_))) {
        for one in found.iter_mut().filter(|one| one.kind == Kind::V2) {
            one.kind = Kind::Hybrid;
        }
    }
    found
}

/// `(root, mount point)` if this mountinfo line mounts the hierarchy with these controllers.
fn mount_of(line: &str, controllers: &str) -> Option<(PathBuf, PathBuf)> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let (fstype, options) = (back.next()?, back.nth(1)?);
    let fits = if controllers.is_empty() {
        fstype == "cgroup2"
    } else {
        fstype == "cgroup"
            && controllers
                .split(',')
                .all(|name| options.split(',').any(|option| option == name))
    };
    let mut front = front.split(' ').skip(3);
    let (root, mount) = (front.next()?, front.next()?);
    fits.then(|| (unescape(root), unescape(mount)))
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> PathBuf {
    PathBuf::from(
        text.replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\134", "\\"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_with_a_partial_mount() {
        let own = "5:memory:/docker/x/y\n4:cpu,cpuacct:/a\n1:name=systemd:/\n0::/b\n";
        let found = parse(HYBRID, own);
        let kinds: Vec<_> = found.iter().map(|one| one.kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                Kind::V1(vec!["memory".into()]),
                Kind::V1(vec!["cpu".into(), "cpuacct".into()]),
                Kind::Named("systemd".into()),
                Kind::Hybrid
            ]
        );
        assert_eq!(found[0].own, Path::new("/y"));
        assert_eq!(found[1].mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    }

    #[test]
    fn v2_alone() {
        let found = parse(
            "34 30 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "0::/user.slice/x\n",
        );
        assert_eq!(found[0].kind, Kind::V2);
        assert_eq!(found[0].own, Path::new("/user.slice/x"));
    }
}
