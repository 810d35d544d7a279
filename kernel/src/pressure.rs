//! Pressure stall information (PSI).
//!
//! In: a pressure file, `/proc/pressure/*` or a cgroup's `*.pressure`. Out:
//! its [`Pressure`], and [`Trigger`]s that wake a poll when tasks stall.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::cgroup::number;

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stalls {
    /// The last ten seconds, in hundredths of a percent.
    pub avg10: u32,
    /// Microseconds in all.
    pub total: u64,
}

/// A pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Time in which some task waited.
    pub some: Option<Stalls>,
    /// Time in which every task waited.
    pub full: Option<Stalls>,
}

impl Pressure {
    /// Reads a file's text, whatever it is: a line that is not as the kernel
    /// writes it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Pressure {
        let line = |kind: &[u8]| {
            let lines = text.split(|byte| *byte == b'\n');
            lines.filter_map(|l| l.strip_prefix(kind)).find_map(stalls)
        };
        Pressure {
            some: line(b"some "),
            full: line(b"full "),
        }
    }
}

fn stalls(line: &[u8]) -> Option<Stalls> {
    let word = |key: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        words.find_map(|word| word.strip_prefix(key))
    };
    Some(Stalls {
        avg10: hundredths(word(b"avg10=")?)?,
        total: number(word(b"total=")?)?,
    })
}

/// `12.34` is 1234; the kernel prints two decimals.
fn hundredths(text: &[u8]) -> Option<u32> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let (whole, rest) = (number(&text[..point])?, &text[point + 1..]);
    let rest = (rest.len() == 2).then(|| number(rest))??;
    u32::try_from(whole.checked_mul(100)?.checked_add(rest)?).ok()
}

/// Whose stalls count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Some task's.
    Some,
    /// All tasks' at once.
    Full,
}

/// Wakes whoever polls its descriptor for `POLLPRI` when stalls in a window
/// reach a threshold, at most once a window. Closing it ends it.
#[derive(Debug)]
pub struct Trigger {
    file: File,
    window: Duration,
}

/// Windows to try, the quickest first: 500 ms takes CAP_SYS_RESOURCE, and
/// without it only multiples of two seconds are taken (kernel/sched/psi.c).
const WINDOWS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

impl Trigger {
    /// Arms one for `percent` of the shortest window the kernel allows.
    ///
    /// # Errors
    /// When there is no such file, or no window is allowed.
    pub fn arm(path: &Path, kind: Kind, percent: u32) -> io::Result<Trigger> {
        let word = match kind {
            Kind::Some => "some",
            Kind::Full => "full",
        };
        let mut last = io::Error::from(io::ErrorKind::Unsupported);
        for window in WINDOWS {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.custom_flags(OFlag::O_NONBLOCK.bits());
            let mut file = options.open(path)?;
            let stall = window * percent.clamp(1, 99) / 100;
            let text = format!("{word} {} {}\0", stall.as_micros(), window.as_micros());
            match file.write_all(text.as_bytes()) {
                Ok(()) => return Ok(Trigger { file, window }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The window the kernel took.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packrank_skipped::skipped;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"some avg10=1.25 avg60=4.04 avg300=4.51 total=77324758\n\
        full avg10=100.00 avg60=0.00 avg300=0.00 total=3\n";

    #[test]
    fn a_file_reads() {
        let pressure = Pressure::parse(TEXT);
        assert_eq!(
            pressure.some,
            Some(Stalls {
                avg10: 125,
                total: 77_324_758
            })
        );
        assert_eq!(
            pressure.full,
            Some(Stalls {
                avg10: 10_000,
                total: 3
            })
        );
    }

    #[test]
    fn what_is_not_there_or_damaged_is_none() {
        for text in [
            "",
            "some",
            "some avg10=1.2 total=3",
            "some avg10=x.00 total=3",
            "some avg10=1.00",
            "some avg10=99999999999.00 total=3",
            "some avg10=1.00 total=99999999999999999999999",
        ] {
            assert_eq!(
                Pressure::parse(text.as_bytes()),
                Pressure::default(),
                "{text}"
            );
        }
        let only_some = Pressure::parse(&TEXT[..54]);
        assert!(only_some.some.is_some() && only_some.full.is_none());
    }

    #[test]
    fn a_trigger_takes_the_window_this_kernel_allows() {
        let path = Path::new("/proc/pressure/memory");
        match Trigger::arm(path, Kind::Some, 10) {
            Ok(trigger) => assert!(WINDOWS.contains(&trigger.window())),
            Err(error) => skipped("a trigger", &format!("none on {}: {error}", path.display())),
        }
        assert!(Trigger::arm(Path::new("/nonexistent"), Kind::Full, 10).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pressure::parse(&bytes);
        }

        #[test]
        fn a_changed_byte_does_not_panic(at in 0usize..110, byte in any::<u8>()) {
            let mut bytes = TEXT.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Pressure::parse(&bytes);
        }
    }
}
