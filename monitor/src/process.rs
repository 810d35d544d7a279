//! What `/proc` tells of a pack's processes.
//!
//! In: a process id. Out: its open files and the traffic of its network
//! namespace; `None` when it is gone or the kernel does not tell.

use std::fs;
use std::path::{Path, PathBuf};

use packrank_kernel::cgroup::number;

/// Processes of one pack whose open files are counted, the first ones: a
/// scavenger's limit is 128, and each costs about 3 µs.
pub const MOST_PROCESSES: usize = 64;

/// Open files of a process. Since Linux 6.2 the folder's size says how many;
/// before it is 0, and the entries are counted.
#[must_use]
pub fn open_files(proc: &Path, pid: u32) -> Option<u64> {
    let folder = folder(proc, pid).join("fd");
    match fs::metadata(&folder).ok()?.len() {
        0 => Some(fs::read_dir(&folder).ok()?.count() as u64),
        files => Some(files),
    }
}

/// The soft limit of open files: `Max open files  1024  4096  files`.
#[must_use]
pub fn open_files_limit(proc: &Path, pid: u32) -> Option<u64> {
    let text = fs::read(folder(proc, pid).join("limits")).ok()?;
    let line = text
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"Max open files"))?;
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    number(words.next()?)
}

/// Bytes sent and received by the namespace's interfaces, loopback left out.
#[must_use]
pub fn traffic(proc: &Path, pid: u32) -> Option<[u64; 2]> {
    let text = fs::read(folder(proc, pid).join("net/dev")).ok()?;
    Some(interfaces(&text))
}

/// Two lines of heading; then a name, a colon, eight figures of what was
/// received and eight of what was sent. Names are the container's to choose.
fn interfaces(text: &[u8]) -> [u64; 2] {
    let mut total = [0u64; 2];
    for line in text.split(|b| *b == b'\n').skip(2) {
        let Some(colon) = line.iter().rposition(|b| *b == b':') else {
            continue;
        };
        if line[..colon].trim_ascii() == b"lo" {
            continue;
        }
        let rest = line[colon + 1..].split(|b| *b == b' ');
        let mut words = rest.filter(|word| !word.is_empty());
        let received = words.next().and_then(number).unwrap_or(0);
        let sent = words.nth(7).and_then(number).unwrap_or(0);
        total = [
            total[0].saturating_add(sent),
            total[1].saturating_add(received),
        ];
    }
    total
}

/// TCP sockets in use in the namespace, listening ones included.
#[must_use]
pub fn tcp_sockets(proc: &Path, pid: u32) -> Option<u64> {
    let read = |name: &str| fs::read(folder(proc, pid).join("net").join(name)).ok();
    let four = in_use(&read("sockstat")?, b"TCP: inuse ")?;
    let six = read("sockstat6").and_then(|text| in_use(&text, b"TCP6: inuse "));
    Some(four.saturating_add(six.unwrap_or(0)))
}

/// `TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 1`.
fn in_use(text: &[u8], begin: &[u8]) -> Option<u64> {
    let mut lines = text.split(|b| *b == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(begin))?;
    number(rest.split(|b| *b == b' ').next()?)
}

fn folder(proc: &Path, pid: u32) -> PathBuf {
    proc.join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_and_limit_are_found() {
        let own = std::process::id();
        let proc = Path::new("/proc");
        let before = open_files(proc, own).unwrap();
        let held: Vec<_> = (0..40).map(|_| fs::File::open("/dev/null")).collect();
        assert!(open_files(proc, own).unwrap() >= before + 35);
        drop(held);
        assert!(open_files_limit(proc, own).unwrap() > 0);
        assert_eq!(open_files(proc, u32::MAX), None);
        assert!(traffic(proc, own).is_some());
    }

    #[test]
    fn loopback_is_left_out_and_names_may_be_anything() {
        let text = b"Inter-|   Receive                |  Transmit\n face |bytes\n    lo:  9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 100 2 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n a:b: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\njunk\n";
        assert_eq!(interfaces(text), [42, 101]);
    }

    #[test]
    fn sockets_in_use_are_counted() {
        let text = b"sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 8 mem 1\nUDP: inuse 2\n";
        assert_eq!(in_use(text, b"TCP: inuse "), Some(5));
        assert_eq!(in_use(text, b"TCP6: inuse "), None);
    }
}
