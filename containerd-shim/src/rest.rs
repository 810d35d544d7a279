//! A shim at rest.
//!
//! In: calls, as they end. Out: once none has ended for a while, the pages of
//! our own code are the kernel's to take. A Create touches most of the program
//! and waiting for its end little; what is needed again comes back from the
//! page cache, 64 KB with every fault.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::mm::{Advice, madvise};

/// How long a pause must be.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts calls.
#[derive(Debug, Default)]
pub struct Rest(AtomicU64);

impl Rest {
    /// A call has ended.
    pub fn after_call(self: &Arc<Self>) {
        let mine = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            if this.0.load(Ordering::Relaxed) == mine {
                release();
            }
        });
    }
}

/// Lets go of our code's pages. That it fails costs memory and nothing else.
fn release() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, length) in code(&maps) {
        // SAFETY: these are a file's pages, mapped to be read and executed:
        // nobody can have written to them, so that what the file gives back at
        // the next touch is what was there.
        let released = unsafe { madvise(start as *mut c_void, length, Advice::LinuxDontNeed) };
        if let Err(errno) = released {
            log::debug!("our code's pages stay: {errno}");
        }
    }
}

/// Start and length of what is mapped from a file to be executed.
fn code(maps: &str) -> impl Iterator<Item = (usize, usize)> {
    maps.lines().filter_map(|line| {
        // start-end permissions offset device inode path
        let mut words = line.split_ascii_whitespace();
        let (range, permissions) = (words.next()?, words.next()?);
        let inode = words.nth(2)?;
        if permissions != "r-xp" || inode == "0" {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        Some((start, end.checked_sub(start)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_files_code_is_let_go() {
        let maps = "\
00400000-00401000 r--p 00000000 fe:00 12 /bin/shim
00401000-007ca000 r-xp 00001000 fe:00 12 /bin/shim
00887000-0088a000 rw-p 00486000 fe:00 12 /bin/shim
7f950b9e6000-7f950b9e8000 r-xp 00000000 00:00 0 [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
";
        let found: Vec<_> = code(maps).collect();
        assert_eq!(found, [(0x40_1000, 0x3c_9000)]);
    }

    #[test]
    fn whoever_rests_goes_on() {
        for _ in 0..100 {
            release();
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(code(&maps).count() > 0);
    }
}
