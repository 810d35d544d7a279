//! Numbers as the kernel's cgroup v2 files read them.
//!
//! In: a text of the spec's `unified`. Out: the number that the kernel makes of
//! it, `None` for `max`. A text that the kernel refuses, or that wraps around
//! its 64 bits there, is an error: it must not be taken for no limit.

use super::resources::MOST_SIGNED;

/// A text that is no number of its file; what the file takes.
pub(super) type NoNumber = &'static str;

/// The number in a file that holds one.
pub(super) fn of_file(file: &str, text: &str) -> Result<Option<u64>, NoNumber> {
    let text = text.trim();
    match file.split('.').next() {
        _ if text == "max" => Ok(None),
        Some("pids" | "cpu") => integer(text).map(Some),
        _ => bytes(text).map(Some),
    }
}

/// A word of `cpu.max` or `io.max` (sscanf's `%llu`): decimal digits, and what
/// follows them is passed over. Neither file takes 0.
pub(super) fn scanned(word: &str) -> Result<Option<u64>, NoNumber> {
    const EXPECTED: NoNumber = "max or digits above 0";
    /// The kernel cuts the word there.
    const LONGEST: usize = 20;
    if word == "max" {
        return Ok(None);
    }
    let end = word.bytes().position(|b| !b.is_ascii_digit());
    let number = word[..end.unwrap_or(word.len())].parse().ok();
    let number = number.filter(|n| *n > 0 && word.len() <= LONGEST);
    number
        .map(|n: u64| Some(n.min(MOST_SIGNED)))
        .ok_or(EXPECTED)
}

/// kstrtoull with base 0: a plus, `0x` or octal, and nothing behind it.
fn integer(text: &str) -> Result<u64, NoNumber> {
    let (number, rest) = digits(text.strip_prefix('+').unwrap_or(text))
        .ok_or("max or a whole number, decimal, 0x or octal")?;
    match rest {
        "" => Ok(number.min(MOST_SIGNED)),
        _ => Err("max or a whole number, decimal, 0x or octal"),
    }
}

/// memparse: decimal, `0x` or octal, then nothing or one of K, M, G, T, P and
/// E for a power of 1024.
fn bytes(text: &str) -> Result<u64, NoNumber> {
    const EXPECTED: NoNumber =
        "max or bytes, decimal, 0x or octal, with one of K, M, G, T, P, E or none";
    let (number, rest) = digits(text).ok_or(EXPECTED)?;
    let power = match rest.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return Err(EXPECTED),
    };
    let bytes = number.checked_mul(1 << (10 * power)).ok_or(EXPECTED)?;
    Ok(bytes.min(MOST_SIGNED))
}

/// The number at the start, by C's prefixes, and what follows it.
fn digits(text: &str) -> Option<(u64, &str)> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let hex = hex.filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (body, radix) = match hex {
        Some(body) => (body, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let end = body.find(|c: char| !c.is_digit(radix));
    let (number, rest) = body.split_at(end.unwrap_or(body.len()));
    Some((u64::from_str_radix(number, radix).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_memparse_reads_them() {
        for (text, want) in [
            ("4096\n", Some(4096)),
            ("512M", Some(512 << 20)),
            ("1g", Some(1 << 30)),
            ("0x10", Some(16)),
            ("0X4000000", Some(64 << 20)),
            ("0x40M", Some(64 << 20)),
            // E is a digit there.
            ("0x1E", Some(30)),
            ("010", Some(8)),
            ("010k", Some(8 << 10)),
            ("0", Some(0)),
            ("7E", Some(7 << 60)),
            ("9E", Some(MOST_SIGNED)),
            ("max", None),
        ] {
            assert_eq!(of_file("memory.max", text), Ok(want), "{text:?}");
        }
        for text in [
            "",
            " ",
            "K",
            "-1",
            "+16",
            "08",
            "0x",
            "20000x",
            "5MB",
            "1 K",
            "m\u{e4}x",
            "9E9",
            "99999999999E",
            "18446744073709551617",
            "unlimited",
        ] {
            assert!(of_file("memory.high", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn counts_as_kstrtoull_reads_them() {
        for (text, want) in [
            ("+16", 16),
            ("0X10", 16),
            ("017", 15),
            ("0", 0),
            ("32\n", 32),
        ] {
            assert_eq!(of_file("pids.max", text), Ok(Some(want)), "{text:?}");
        }
        for text in [
            "",
            "+",
            "-1",
            "1K",
            "20000x",
            "++1",
            "0x",
            "18446744073709551616",
        ] {
            assert!(of_file("pids.max", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_as_sscanf_reads_them() {
        for (word, want) in [("20000x", 20_000), ("20000", 20_000), ("08", 8), ("5MB", 5)] {
            assert_eq!(scanned(word), Ok(Some(want)), "{word:?}");
        }
        assert_eq!(scanned("max"), Ok(None));
        for word in ["", "0", "0x10", "+5", "-1", "maxx", "000000000000000000005"] {
            assert!(scanned(word).is_err(), "{word:?}");
        }
    }
}
