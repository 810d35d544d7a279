//! In: an open file and the mount table. Out: the mount it lies on.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::procfs;

/// A line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    /// Major and minor number of the file system.
    pub(super) device: (u32, u32),
    /// Which directory of the file system is mounted.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    pub(super) kind: String,
    pub(super) source: String,
    options: String,
}

const TABLE: &str = "/proc/thread-self/mountinfo";

/// Every mount of the calling thread's mount namespace.
pub(super) fn table() -> Result<Vec<Mount>, Error> {
    let text = File::open(TABLE)
        .and_then(procfs::text)
        .map_err(|source| Error::Io {
            action: "read",
            path: TABLE.into(),
            source,
        })?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount the open file lies on. By the kernel's own number for it, which
/// no mount over it and no other name of it can change.
pub(super) fn of(file: BorrowedFd<'_>, table: &[Mount]) -> Result<Mount, Error> {
    let path = PathBuf::from(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    let failed = |source| Error::Io {
        action: "find the mount of",
        path: path.clone(),
        source,
    };
    let text = File::open(&path).and_then(procfs::text).map_err(failed)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let id: Option<u64> = id.and_then(|id| id.trim().parse().ok());
    let mount = table.iter().find(|mount| Some(mount.id) == id);
    // A mount of another mount namespace has no line here.
    mount
        .cloned()
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

impl Mount {
    /// A mount option's value, the last of its name.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        let options = self.options.split(',');
        let mut values = options.filter_map(|option| option.split_once('='));
        let last = values.rfind(|(n, _)| *n == name);
        last.map(|(_, value)| unescape(value))
    }

    /// Whether `path` is this mount's own top.
    pub(super) fn is_top(&self, path: &Path) -> bool {
        self.point == path
    }
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw,…`
fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let (major, minor) = left.nth(1)?.split_once(':')?;
    let root = left.next()?;
    let point = left.next()?;
    let mut right = right.splitn(3, ' ');
    Some(Mount {
        id,
        device: (major.parse().ok()?, minor.parse().ok()?),
        root: unescape(root).into(),
        point: unescape(point).into(),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
        // Unescaped option by option: a comma in a path is an escape too.
        options: right.next().unwrap_or_default().to_owned(),
    })
}

/// The kernel writes blanks, backslashes and, in options, commas as a
/// backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        let code = digits.and_then(|d| u8::from_str_radix(d, 8).ok());
        match code.filter(|_| byte == b'\\') {
            Some(code) => {
                plain.push(code);
                rest = &behind[3..];
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_escapes() {
        let line = r"25 24 0:32 / /run/a\040b rw,nosuid shared:3 - overlay overlay rw,lowerdir=/l:/m,upperdir=/up\054x\134,workdir=/w";
        let mount = parse(line).unwrap();
        assert_eq!((mount.id, mount.device), (25, (0, 32)));
        assert!(mount.is_top(Path::new("/run/a b")));
        assert_eq!(mount.option("upperdir").unwrap(), r"/up,x\");
        assert_eq!(mount.option("lowerdir").unwrap(), "/l:/m");
        assert_eq!(mount.option("redirect_dir"), None);
        assert_eq!(parse("25 24 0:32"), None);
    }

    #[test]
    fn an_open_file_knows_its_mount() {
        use std::os::fd::AsFd;
        let table = table().unwrap();
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(of(file.as_fd(), &table).unwrap().kind, "proc");
    }
}
