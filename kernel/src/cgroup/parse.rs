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

/// Bytes of memory in all, and available, from `/proc/meminfo`.
#[must_use]
pub fn meminfo(text: &[u8]) -> Option<(u64, u64)> {
    let of = |key: &[u8]| {
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let kib = line.strip_prefix(key)?.trim_ascii().strip_suffix(b"kB")?;
            number(kib)?.checked_mul(1024)
        })
    };
    Some((of(b"MemTotal:")?, of(b"MemAvailable:")?))
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
