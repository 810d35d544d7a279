//! Quantities as people write them.
//!
//! In: text such as `768Mi`, `20Mbit`, `150%`, `10k`. Out: whole base units
//! (bytes, bits per second, thousandths of a percent, counts). `Ki`, `Mi`,
//! `Gi`, `Ti` are powers of 1024; `k`, `M`, `G`, `T` powers of 1000.

use std::fmt;

use crate::key::Unit;

/// Why a text is no quantity. The message completes "… is not accepted: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number followed by a known suffix.
    #[error("expected {expected}")]
    Form {
        /// What would have been read.
        expected: &'static str,
    },
    /// The number does not fit 63 bits, which is all the kernel's files take.
    #[error("too large: at most {} is representable", i64::MAX)]
    TooLarge,
    /// The number has more decimals than the unit can carry.
    #[error("not a whole number of {unit}")]
    Fraction {
        /// The base unit's name.
        unit: &'static str,
    },
}

/// A suffix and what it multiplies by.
type Suffix = (&'static str, u64);

const KIB: u64 = 1024;

const BYTES: &[Suffix] = &[
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("kB", 1_000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("Ki", KIB),
    ("KiB", KIB),
    ("Mi", KIB * KIB),
    ("MiB", KIB * KIB),
    ("Gi", KIB * KIB * KIB),
    ("GiB", KIB * KIB * KIB),
    ("Ti", KIB * KIB * KIB * KIB),
    ("TiB", KIB * KIB * KIB * KIB),
];

const BITS: &[Suffix] = &[
    ("", 1),
    ("bit", 1),
    ("kbit", 1_000),
    ("Mbit", 1_000_000),
    ("Gbit", 1_000_000_000),
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
];

const COUNT: &[Suffix] = &[
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
];

/// Thousandths of a percent, so that a spec's odd quota keeps its value.
const PERCENT: &[Suffix] = &[("%", 1_000)];

/// Bytes, from `768Mi`, `768MB` or `805306368`.
///
/// # Errors
/// When the text is no such quantity, or does not fit.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    parse(
        text,
        BYTES,
        "bytes",
        "bytes such as 768Mi, 768MB or 805306368",
    )
}

/// Bits, or bits per second, from `20Mbit` or `20000000`.
///
/// # Errors
/// When the text is no such quantity, or does not fit.
pub fn bits(text: &str) -> Result<u64, QuantityError> {
    parse(
        text,
        BITS,
        "bits",
        "bits such as 20Mbit, 500kbit or 20000000",
    )
}

/// A count, or operations per second, from `5000` or `5k`.
///
/// # Errors
/// When the text is no such quantity, or does not fit.
pub fn count(text: &str) -> Result<u64, QuantityError> {
    const EXPECTED: &str = "a whole number such as 5000 or 5k";
    parse(text, COUNT, "", EXPECTED).map_err(|error| match error {
        QuantityError::Fraction { .. } => QuantityError::Form { expected: EXPECTED },
        other => other,
    })
}

/// Thousandths of a percent, from `150%` or `12.5%`.
///
/// # Errors
/// When the text is no such quantity, or does not fit.
pub fn percent(text: &str) -> Result<u64, QuantityError> {
    parse(
        text,
        PERCENT,
        "thousandths of a percent",
        "a percentage such as 150%",
    )
}

fn parse(
    text: &str,
    suffixes: &[Suffix],
    unit: &'static str,
    expected: &'static str,
) -> Result<u64, QuantityError> {
    let form = QuantityError::Form { expected };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let wrong_dots = fraction.contains('.') || number.ends_with('.');
    if whole.is_empty() || wrong_dots {
        return Err(form);
    }
    let &(_, factor) = suffixes.iter().find(|(s, _)| *s == suffix).ok_or(form)?;
    scale(whole, fraction, factor, unit)
}

/// `whole.fraction × factor`, exactly.
fn scale(
    whole: &str,
    fraction: &str,
    factor: u64,
    unit: &'static str,
) -> Result<u64, QuantityError> {
    let fraction = fraction.trim_end_matches('0');
    let digits: u128 = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| QuantityError::TooLarge)?;
    let divisor = u32::try_from(fraction.len())
        .ok()
        .and_then(|n| 10u128.checked_pow(n))
        .ok_or(QuantityError::Fraction { unit })?;
    let product = digits
        .checked_mul(u128::from(factor))
        .ok_or(QuantityError::TooLarge)?;
    if product % divisor != 0 {
        return Err(QuantityError::Fraction { unit });
    }
    u64::try_from(product / divisor)
        .ok()
        .filter(|n| i64::try_from(*n).is_ok())
        .ok_or(QuantityError::TooLarge)
}

/// Bytes as people read them: the largest power of 1024 that divides them,
/// or one decimal where none does.
#[derive(Debug, Clone, Copy)]
pub struct ShowBytes(pub u64);

impl fmt::Display for ShowBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, &["B", "KiB", "MiB", "GiB", "TiB"], KIB, f)
    }
}

/// Bits as people read them, in powers of 1000.
#[derive(Debug, Clone, Copy)]
pub struct ShowBits(pub u64);

impl fmt::Display for ShowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, &["bit", "kbit", "Mbit", "Gbit", "Tbit"], 1000, f)
    }
}

/// The quantity in the shortest form that says it exactly, without a space,
/// as it is written in annotations and policy files.
pub(crate) fn written(value: u64, unit: Unit) -> String {
    let suffixes: &[Suffix] = match unit {
        Unit::Bits | Unit::BitsPerSecond => &[
            ("Gbit", 1_000_000_000),
            ("Mbit", 1_000_000),
            ("kbit", 1_000),
        ],
        Unit::PercentOfCpu => {
            let share = format!("{}.{:03}", value / 1_000, value % 1_000);
            return format!("{}%", share.trim_end_matches('0').trim_end_matches('.'));
        }
        _ => &[
            ("Ti", KIB * KIB * KIB * KIB),
            ("Gi", KIB * KIB * KIB),
            ("Mi", KIB * KIB),
            ("Ki", KIB),
        ],
    };
    let whole = |(_, factor): &&Suffix| value > 0 && value.is_multiple_of(*factor);
    match suffixes.iter().find(whole) {
        Some((suffix, factor)) => format!("{}{suffix}", value / factor),
        None => value.to_string(),
    }
}

fn show(value: u64, units: &[&str], base: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut divisor = 1u64;
    let mut unit = 0;
    while unit + 1 < units.len() && value / divisor >= base {
        divisor *= base;
        unit += 1;
    }
    let tenths = (u128::from(value) * 10 + u128::from(divisor) / 2) / u128::from(divisor);
    let text = match tenths % 10 {
        0 => format!("{} {}", tenths / 10, units[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, units[unit]),
    };
    f.pad(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_that_people_write() {
        for (text, want) in [
            ("0", 0),
            ("805306368", 805_306_368),
            ("768Mi", 805_306_368),
            ("768MB", 768_000_000),
            ("1.5Gi", 1_610_612_736),
            ("4GiB", 4_294_967_296),
            ("64k", 64_000),
        ] {
            assert_eq!(bytes(text), Ok(want), "{text}");
        }
        assert_eq!(bits("20Mbit"), Ok(20_000_000));
        assert_eq!(bits("20Mbit/s"), Ok(20_000_000));
        assert_eq!(percent("150%"), Ok(150_000));
        assert_eq!(percent("12.345%"), Ok(12_345));
        assert_eq!(count("5k"), Ok(5_000));
    }

    #[test]
    fn forms_that_are_refused() {
        for text in [
            "", "-1", "768Mb", "768 Mi", "Mi", ".5Gi", "5.", "1.2.3", "+1", "1e9", "٣", "0x10",
        ] {
            assert!(
                matches!(bytes(text), Err(QuantityError::Form { .. })),
                "{text}"
            );
        }
        assert_eq!(bytes("9223372036854775808"), Err(QuantityError::TooLarge));
        assert_eq!(
            bytes("99999999999999999999Ti"),
            Err(QuantityError::TooLarge)
        );
        assert!(matches!(bytes("0.5"), Err(QuantityError::Fraction { .. })));
        assert!(matches!(percent("150"), Err(QuantityError::Form { .. })));
    }

    #[test]
    fn people_read_them_back() {
        assert_eq!(ShowBytes(805_306_368).to_string(), "768 MiB");
        assert_eq!(ShowBytes(483_183_820).to_string(), "460.8 MiB");
        assert_eq!(ShowBits(20_000_000).to_string(), "20 Mbit");
        assert_eq!(ShowBytes(0).to_string(), "0 B");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (bytes(&text), bits(&text), percent(&text), count(&text));
        }

        #[test]
        fn a_plain_number_is_itself(n in 0..=i64::MAX as u64) {
            prop_assert_eq!(bytes(&n.to_string()), Ok(n));
        }
    }
}
