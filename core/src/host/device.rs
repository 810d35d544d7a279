//! The disks behind paths, so that block I/O limits need no device number
//! from anybody.
//!
//! In: `/proc/self/mountinfo`, `/sys/dev/block`, and paths. Out: whole disks.
//! A partition becomes its disk; an overlay the file system of its upper
//! directory; device mapper, md and loop devices are disks of their own to
//! the I/O controllers; btrfs is found by the device it was mounted from.

use std::cell::OnceCell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Roots, read};
use crate::spec::Device;

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disk {
    /// Its number.
    pub device: Device,
    /// Its name, such as `sda`.
    pub name: String,
}

/// The disks found, and which paths have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    /// Each disk once.
    pub disks: Vec<Disk>,
    /// Paths on no disk, the first on each file system, with its type.
    pub without: Vec<(PathBuf, String)>,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type, such as `ext4`.
    pub kind: String,
    /// Its own options, such as `prjquota`.
    pub options: Vec<String>,
}

/// The file system that holds `path`; an overlay counts as itself.
pub(super) fn file_system(roots: &Roots, path: &Path) -> Option<FileSystem> {
    let mounts = table(roots);
    let mount = in_sight(&mounts, path)?;
    Some(FileSystem {
        point: mount.point.clone(),
        kind: mount.kind.clone(),
        options: mount.options.split(',').map(str::to_owned).collect(),
    })
}

/// A line of mountinfo, as far as it is needed.
#[derive(Debug)]
struct Mount {
    device: Device,
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

pub(super) fn find(roots: &Roots, paths: &[PathBuf]) -> Devices {
    let mounts: OnceCell<Vec<Mount>> = OnceCell::new();
    let mut seen = Vec::new();
    let mut found = Devices::default();
    for path in paths {
        // One look at each file system; and most have a disk's own number, so
        // no need for the mount table, which costs more than all else.
        let number = Some(path).filter(|_| roots.own);
        let number = number.and_then(|path| std::fs::metadata(path).ok());
        let number = number.map(|meta| meta.dev());
        if number.is_some_and(|number| seen.contains(&number)) {
            continue;
        }
        seen.extend(number);
        let number = number.and_then(device);
        let by_number = number.and_then(|number| whole(roots, number));
        let disk = by_number.map_or_else(
            || {
                let real = std::fs::canonicalize(path);
                let path = real.as_deref().unwrap_or(path);
                disk_of(roots, mounts.get_or_init(|| table(roots)), path, 0)
            },
            Ok,
        );
        match disk {
            Ok(disk) if found.disks.contains(&disk) => {}
            Ok(disk) => found.disks.push(disk),
            Err(kind) => found.without.push((path.clone(), kind)),
        }
    }
    found.disks.sort();
    found
}

fn table(roots: &Roots) -> Vec<Mount> {
    let text = read(&roots.proc.join("self/mountinfo")).unwrap_or_default();
    text.lines().filter_map(mount).collect()
}

/// A device number as stat has it; none for a file system without a device.
fn device(number: u64) -> Option<Device> {
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    let device = Device {
        major: u32::try_from(major).ok()?,
        minor: u32::try_from(minor).ok()?,
    };
    Some(device).filter(|device| device.major != 0)
}

/// Overlays upon overlays end somewhere; the kernel allows two levels.
const DEEPEST: usize = 4;

/// The last mount on the longest prefix is the one in sight.
fn in_sight<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    mounts
        .iter()
        .filter(|m| path.starts_with(&m.point))
        .max_by_key(|m| m.point.components().count())
}

/// The disk under the path, or the type of the file system that has none.
fn disk_of(roots: &Roots, mounts: &[Mount], path: &Path, depth: usize) -> Result<Disk, String> {
    let mount = in_sight(mounts, path).ok_or("no mount")?;
    if mount.kind == "overlay" && depth < DEEPEST {
        let options = mount.options.split(',');
        let upper = options
            .filter_map(|o| o.strip_prefix("upperdir="))
            .next_back();
        let upper = PathBuf::from(upper.ok_or("overlay (read-only)")?);
        return disk_of(roots, mounts, &upper, depth + 1);
    }
    whole(roots, mount.device)
        .or_else(|| source_device(roots, mount).and_then(|device| whole(roots, device)))
        .ok_or_else(|| mount.kind.clone())
}

/// btrfs and others with anonymous device numbers name the device they came
/// from; `/sys/class/block/NAME/dev` has its number.
fn source_device(roots: &Roots, mount: &Mount) -> Option<Device> {
    let name = Path::new(mount.source.strip_prefix("/dev/")?);
    if let Some(device) = read(
        &roots
            .sys
            .join("class/block")
            .join(name.file_name()?)
            .join("dev"),
    ) {
        return number(device.trim());
    }
    // /dev/mapper/NAME is a link or a node of its own.
    device(std::fs::metadata(&mount.source).ok()?.rdev())
}

/// The whole disk of a block device; `None` for what is no block device.
fn whole(roots: &Roots, device: Device) -> Option<Disk> {
    let links = roots.sys.join("dev/block");
    let link = std::fs::read_link(links.join(device.to_string())).ok()?;
    let folder = links.join(&link);
    let (folder, device) = if folder.join("partition").exists() {
        let disk = folder.parent()?;
        (disk, number(read(&disk.join("dev"))?.trim())?)
    } else {
        (folder.as_path(), device)
    };
    Some(Disk {
        device,
        name: folder.file_name()?.to_str()?.to_owned(),
    })
}

fn number(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some(Device {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw,…`
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.splitn(3, ' ');
    Some(Mount {
        device: number(left.get(2)?)?,
        point: PathBuf::from(unescape(left.get(4)?)),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
        options: unescape(right.next().unwrap_or_default()),
    })
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// sda with one partition, dm-0 on it, and a mount table over them.
    fn host() -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
        };
        write("sys/devices/pci/block/sda/dev", "8:0\n");
        write("sys/devices/pci/block/sda/sda1/dev", "8:1\n");
        write("sys/devices/pci/block/sda/sda1/partition", "1\n");
        write("sys/devices/virtual/block/dm-0/dev", "253:0\n");
        fs::create_dir_all(at("sys/dev/block")).unwrap();
        fs::create_dir_all(at("sys/class/block")).unwrap();
        symlink("../../devices/pci/block/sda", at("sys/dev/block/8:0")).unwrap();
        symlink("../../devices/pci/block/sda/sda1", at("sys/dev/block/8:1")).unwrap();
        symlink(
            "../../devices/virtual/block/dm-0",
            at("sys/dev/block/253:0"),
        )
        .unwrap();
        symlink(
            "../../devices/pci/block/sda/sda1",
            at("sys/class/block/sda1"),
        )
        .unwrap();
        write(
            "proc/self/mountinfo",
            "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             22 21 253:0 / /data rw - xfs /dev/mapper/vg-data rw\n\
             23 21 0:30 /vol /pool rw - btrfs /dev/sda1 rw\n\
             24 21 0:31 / /run rw - tmpfs tmpfs rw\n\
             25 24 0:32 / /run/a\\040b rw - overlay overlay rw,lowerdir=/l,upperdir=/data/up,workdir=/data/w\n\
             26 24 0:33 / /run/ro rw - overlay overlay ro,lowerdir=/l:/m\n",
        );
        let roots = Roots::under(folder.path());
        (folder, roots)
    }

    #[test]
    fn each_path_finds_its_whole_disk() {
        let (_folder, roots) = host();
        let disk = |path: &str| {
            let found = find(&roots, &[PathBuf::from(path)]);
            let name = found.disks.first().map(|d| d.name.clone());
            name.unwrap_or_else(|| format!("none: {}", found.without[0].1))
        };
        assert_eq!(disk("/var/lib/x"), "sda");
        assert_eq!(disk("/data/vol"), "dm-0");
        assert_eq!(disk("/database"), "sda");
        assert_eq!(disk("/pool/vol"), "sda");
        assert_eq!(disk("/run/a b/rootfs"), "dm-0");
        assert_eq!(disk("/run/x"), "none: tmpfs");
        assert_eq!(disk("/run/ro"), "none: overlay (read-only)");
    }

    #[test]
    fn a_disk_stands_once() {
        let (_folder, roots) = host();
        let paths = ["/a", "/b", "/pool", "/data"].map(PathBuf::from);
        let found = find(&roots, &paths);
        let disks: Vec<String> = found
            .disks
            .iter()
            .map(|d| format!("{} {}", d.device, d.name))
            .collect();
        assert_eq!(disks, ["8:0 sda", "253:0 dm-0"]);
    }
}
