//! What `/proc` tells of a pack's processes.
//!
//! In: a process id, and the folder that is `/proc`. Out: its open files, and
//! the traffic and sockets of its network namespace; `None` when it is gone or
//! the kernel does not tell.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::number;

/// Processes of one pack whose open files are counted, the first ones: a
/// scavenger's limit is 128, and each costs about 3 µs.
pub const MOST_PROCESSES: usize = 64;

/// Open files of a process. Since Linux 6.2 the folder's size says how many;
/// before it is 0, and the entries are counted.
#[must_use]
pub fn open_files(proc: &Path, pid: u32) -> Option<u64> {
    let count = |folder: PathBuf| {
        let folder = folder.join("fd");
        match fs::metadata(&folder).ok()?.len() {
            0 => Some(fs::read_dir(&folder).ok()?.count() as u64),
            files => Some(files),
        }
    };
    match count(first(proc, pid)) {
        // The first thread has none once it has exited.
        None | Some(0) => count(super::folder(proc, pid)?),
        files => files,
    }
}

/// The soft limit of open files; `None` also where there is none.
#[must_use]
pub fn open_files_limit(proc: &Path, pid: u32) -> Option<u64> {
    soft_limit(&read(proc, pid, "limits")?)
}

/// `Max open files  1024  4096  files`.
fn soft_limit(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(b"Max open files"))?;
    number(rest.trim_ascii().split(|byte| *byte == b' ').next()?)
}

/// Bytes sent and received by the namespace's interfaces, loopback left out.
#[must_use]
pub fn traffic(proc: &Path, pid: u32) -> Option<[u64; 2]> {
    Some(interfaces(&read(proc, pid, "net/dev")?))
}

/// Bytes sent and received, from `/proc/<pid>/net/dev`: behind a name and a
/// colon come eight figures of what was received and eight of what was sent,
/// bytes first. The two lines of heading have no colon. Names are the
/// container's to choose.
#[must_use]
pub fn interfaces(text: &[u8]) -> [u64; 2] {
    let mut sums = [0u64; 2];
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().rposition(|byte| *byte == b':') else {
            continue;
        };
        if line[..colon].trim_ascii() == b"lo" {
            continue;
        }
        let words = line[colon + 1..].split(|byte| *byte == b' ');
        let mut words = words.filter(|word| !word.is_empty());
        let (received, sent) = (words.next(), words.nth(7));
        for (sum, word) in sums.iter_mut().zip([sent, received]) {
            *sum = sum.saturating_add(word.and_then(number).unwrap_or(0));
        }
    }
    sums
}

/// TCP sockets in use in the namespace, listening ones included.
#[must_use]
pub fn tcp_sockets(proc: &Path, pid: u32) -> Option<u64> {
    let four = in_use(&read(proc, pid, "net/sockstat")?, b"TCP: inuse ")?;
    let six = read(proc, pid, "net/sockstat6").and_then(|text| in_use(&text, b"TCP6: inuse "));
    Some(four.saturating_add(six.unwrap_or(0)))
}

/// `TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 1`.
fn in_use(text: &[u8], begin: &[u8]) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(begin))?;
    number(rest.split(|byte| *byte == b' ').next()?)
}

/// A file of the process: of its first thread, else of one that runs.
fn read(proc: &Path, pid: u32, name: &str) -> Option<Vec<u8>> {
    let found = fs::read(first(proc, pid).join(name));
    found
        .or_else(|error| super::folder(proc, pid).map_or(Err(error), |f| fs::read(f.join(name))))
        .ok()
}

fn first(proc: &Path, pid: u32) -> PathBuf {
    proc.join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn own_files_and_limit_are_found() {
        let (proc, own) = (Path::new("/proc"), std::process::id());
        let before = open_files(proc, own).unwrap();
        let held: Vec<_> = (0..40).map(|_| fs::File::open("/dev/null")).collect();
        assert!(open_files(proc, own).unwrap() >= before + 35);
        drop(held);
        assert!(open_files_limit(proc, own).unwrap() > 0);
        assert_eq!(open_files(proc, u32::MAX), None);
        assert_eq!(open_files_limit(proc, u32::MAX), None);
        assert!(traffic(proc, own).is_some());
    }

    #[test]
    fn limits_as_the_kernel_prints_them() {
        let text = b"Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(1_024));
        assert_eq!(
            soft_limit(b"Max open files unlimited unlimited files"),
            None
        );
    }

    #[test]
    fn loopback_is_left_out_and_names_may_be_anything() {
        let text = b"Inter-|   Receive                |  Transmit\n face |bytes\n    lo:  9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 100 2 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n a:b: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\njunk\n";
        assert_eq!(interfaces(text), [42, 101]);
    }

    #[test]
    fn the_kernels_own_lines_read() {
        let dev = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    5000      10    0    0    0     0          0         0     5000      10    0    0    0     0       0          0
  eth0: 1234567     999    0    0    0     0          0         0    89012     500    0    0    0     0       0          0
  eth1:1          1    0    0    0     0          0         0    2     1    0    0    0     0       0          0
";
        assert_eq!(interfaces(dev), [89_014, 1_234_568]);
    }

    #[test]
    fn sockets_in_use_are_counted() {
        let text = b"sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 8 mem 1\nUDP: inuse 2\n";
        assert_eq!(in_use(text, b"TCP: inuse "), Some(5));
        assert_eq!(in_use(text, b"TCP6: inuse "), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = (interfaces(&bytes), soft_limit(&bytes), in_use(&bytes, b"TCP: inuse "));
        }

        #[test]
        fn numbers_of_any_size_are_no_reason_to_fall(words in prop::collection::vec("[0-9]{1,30}|[a-z:=.-]{1,6}|\n", 0..80)) {
            let text = format!("Max open files {0}\neth0: {0}", words.join(" "));
            let _ = (interfaces(text.as_bytes()), soft_limit(text.as_bytes()));
        }
    }
}
