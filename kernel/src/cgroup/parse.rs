//! The kernel's cgroup files as bytes.
//!
//! In: what a file holds, whatever it holds. Out: numbers; `None` for what is
//! not there or not a number. Nothing here allocates or panics.

/// A whole number, with white space around it; `max` is none.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number behind `key` in a file of `key number` lines.
#[must_use]
pub fn flat(text: &[u8], key: &[u8]) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let rest = line.strip_prefix(key)?.strip_prefix(b" ")?;
        number(rest)
    })
}

/// The sum over devices of `io.stat`'s bytes read and written, reads and
/// writes: lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
#[must_use]
pub fn io_totals(text: &[u8]) -> [u64; 4] {
    const KEYS: [&[u8]; 4] = [b"rbytes=", b"wbytes=", b"rios=", b"wios="];
    let mut totals = [0u64; 4];
    for word in text.split(|byte| byte.is_ascii_whitespace()) {
        for (total, key) in totals.iter_mut().zip(KEYS) {
            if let Some(value) = word.strip_prefix(key).and_then(number) {
                *total = total.saturating_add(value);
            }
        }
    }
    totals
}

/// The sum over devices of a version 1 file's reads and writes: lines of
/// `8:0 Read 1`, `8:0 Write 2`, and a `Total 3` that is left out.
#[must_use]
pub fn v1_totals(text: &[u8]) -> [u64; 2] {
    let mut totals = [0u64; 2];
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(_), Some(what), Some(value)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let total = match what {
            b"Read" => &mut totals[0],
            b"Write" => &mut totals[1],
            _ => continue,
        };
        *total = total.saturating_add(number(value).unwrap_or(0));
    }
    totals
}

/// The node's memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meminfo {
    /// All of it.
    pub total: u64,
    /// What can be allocated without swapping.
    pub available: u64,
    /// What is reserved for huge pages, used or not. No allocation but that of
    /// a huge page can have it, and `available` leaves it out.
    pub huge: u64,
    /// Free swap space.
    pub swap_free: u64,
}

/// Reads `/proc/meminfo`; `None` without `MemTotal` or `MemAvailable`.
#[must_use]
pub fn meminfo(text: &[u8]) -> Option<Meminfo> {
    let word = |key: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.find_map(|line| Some(line.strip_prefix(key)?.trim_ascii()))
    };
    let of = |key: &[u8]| number(word(key)?.strip_suffix(b"kB")?)?.checked_mul(1024);
    // Linux before 4.20 counts only the pages of the default size.
    let pages = || of(b"Hugepagesize:")?.checked_mul(number(word(b"HugePages_Total:")?)?);
    Some(Meminfo {
        total: of(b"MemTotal:")?,
        available: of(b"MemAvailable:")?,
        huge: of(b"Hugetlb:").or_else(pages).unwrap_or(0),
        swap_free: of(b"SwapFree:").unwrap_or(0),
    })
}

/// Pages that the node has scanned to free memory. Reclaim at a cgroup's own
/// limit is not counted here (`shrink_inactive_list` in mm/vmscan.c).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaim {
    /// By kswapd, in the background.
    pub background: u64,
    /// By tasks that had to wait for it.
    pub direct: u64,
}

/// Reads `/proc/vmstat`; `None` where the kernel counts no events.
#[must_use]
pub fn reclaim(text: &[u8]) -> Option<Reclaim> {
    // allocstall_normal, allocstall_movable …: how often a task reclaimed for the node itself, also where
    // there was nothing to scan. Newer kernels count in pgscan_direct what cgroups reclaim at their limits.
    let stalls = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let zone = line.strip_prefix(b"allocstall")?;
        number(&zone[zone.iter().position(|byte| *byte == b' ')?..])
    });
    let stalls = stalls.fold(None, |sum: Option<u64>, n| {
        Some(sum.unwrap_or(0).saturating_add(n))
    });
    Some(Reclaim {
        background: flat(text, b"pgscan_kswapd")?,
        direct: stalls.or_else(|| flat(text, b"pgscan_direct"))?,
    })
}

/// Bytes that ZFS gives back under pressure: its cache above the least it
/// keeps, from `/proc/spl/kstat/zfs/arcstats`, lines of `name type number`.
#[must_use]
pub fn arc(text: &[u8]) -> Option<u64> {
    let of = |key: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.find_map(|line| {
            let mut words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            (words.next()? == key).then(|| words.nth(1).and_then(number))?
        })
    };
    Some(of(b"size")?.saturating_sub(of(b"c_min")?))
}

/// Both numbers of `cpu.max`: quota in microseconds (`None`: unlimited) and
/// period.
pub(super) fn cpu_max(text: &[u8]) -> Option<(Option<u64>, u64)> {
    let mut words = text.trim_ascii().split(|byte| *byte == b' ');
    let quota = words.next()?;
    let period = number(words.next()?)?;
    match quota {
        b"max" => Some((None, period)),
        quota => Some((Some(number(quota)?), period)),
    }
}

/// The least `rbps` and `wbps` of `io.max`: lines of `8:0 rbps=1 wbps=max …`.
pub(super) fn io_max(text: &[u8]) -> [Option<u64>; 2] {
    const KEYS: [&[u8]; 2] = [b"rbps=", b"wbps="];
    let words = || text.split(|byte| byte.is_ascii_whitespace());
    KEYS.map(|key| {
        words()
            .filter_map(|word| number(word.strip_prefix(key)?))
            .min()
    })
}

/// The least of a version 1 file of limits: lines of `8:0 1`.
pub(super) fn v1_least(text: &[u8]) -> Option<u64> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b' ')?;
            number(&line[at..])
        })
        .min()
}
