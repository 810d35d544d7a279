//! The values of settings.
//!
//! In: the text of an annotation or a value of a policy file, and its key.
//! Out: a [`Value`] in base units, that knows which of two asks for more.

use std::fmt;

use serde_json::json;

use crate::cpus::{Affinity, CpuSet};
use crate::key::{Key, Rule, Unit};
use crate::quantity::{self, QuantityError, ShowBits, ShowBytes};

/// A setting's value. Which unit a number has, its key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No limit of its own.
    Unlimited,
    /// In base units; percentages in thousandths.
    Number(u64),
    /// A share of the memory limit, in thousandths of a percent.
    Share(u64),
    /// oom_score_adj.
    Score(i16),
    /// true or false.
    Switch(bool),
    /// Open files.
    Files {
        /// What a process gets.
        soft: u64,
        /// What it may raise that to.
        hard: u64,
    },
    /// CPUs, before the host is known.
    Affinity(Affinity),
    /// CPUs, on this host.
    Cpus(CpuSet),
    /// A DSCP code point.
    Dscp(Dscp),
    /// The I/O scheduler's class and level.
    IoPriority(IoPriority),
    /// A security preset.
    Security(Security),
}

/// What a container's process may do, beside its limits. The later one allows
/// less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// What the spec says.
    None,
    /// No new privileges, no capability but NET_BIND_SERVICE, not the host's
    /// root, and a seccomp profile where the spec has none.
    Restricted,
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Security::None => "none",
            Security::Restricted => "restricted",
        })
    }
}

/// Why a text is no value of its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a quantity.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Not one of the accepted forms.
    #[error("expected {0}")]
    Form(&'static str),
    /// A number outside the key's range.
    #[error("expected {}", range(least, most.as_deref()))]
    Range {
        /// The smallest accepted, with its unit.
        least: String,
        /// The largest accepted, with its unit; `None` where any larger one is.
        most: Option<String>,
    },
}

fn range(least: &str, most: Option<&str>) -> String {
    match most {
        Some(most) => format!("{least} to {most}"),
        None => format!("at least {least}"),
    }
}

/// A differentiated services code point, 0 to 63 (RFC 2474, RFC 8622).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp(pub u8);

/// The code points that have names.
const DSCP_NAMES: [(&str, u8); 22] = [
    ("default", 0),
    ("LE", 1),
    ("CS1", 8),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("CS2", 16),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("CS3", 24),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("CS4", 32),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("CS5", 40),
    ("EF", 46),
    ("CS6", 48),
    ("CS7", 56),
];

impl Dscp {
    /// Lower effort and CS1 (bulk) rank below best effort, whatever their number.
    fn rank(self) -> i16 {
        match self.0 {
            1 => -2,
            8 => -1,
            n => i16::from(n),
        }
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DSCP_NAMES.iter().find(|(_, n)| *n == self.0) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// ioprio_set(2)'s class and level; the greater is served later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IoPriority {
    /// Before everybody else; level 0 (first) to 7.
    Realtime(u8),
    /// The usual; level 0 (first) to 7.
    BestEffort(u8),
    /// Only when the disk is otherwise idle.
    Idle,
}

impl IoPriority {
    /// Lower is served first.
    fn rank(self) -> u8 {
        match self {
            IoPriority::Realtime(level) => level,
            IoPriority::BestEffort(level) => 8 + level,
            IoPriority::Idle => 16,
        }
    }

    /// The OCI spec's class name and level.
    #[must_use]
    pub fn oci(self) -> (&'static str, u8) {
        match self {
            IoPriority::Realtime(level) => ("IOPRIO_CLASS_RT", level),
            IoPriority::BestEffort(level) => ("IOPRIO_CLASS_BE", level),
            IoPriority::Idle => ("IOPRIO_CLASS_IDLE", 0),
        }
    }
}

impl fmt::Display for IoPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoPriority::Realtime(level) => write!(f, "realtime {level}"),
            IoPriority::BestEffort(level) => write!(f, "best-effort {level}"),
            IoPriority::Idle => f.write_str("idle"),
        }
    }
}

impl Value {
    /// Reads `text` as a value of `key`.
    ///
    /// # Errors
    /// When it is not of the key's form, or out of its range.
    pub fn parse(key: Key, text: &str) -> Result<Value, ValueError> {
        let unit = key.unit();
        let capped = key.rule() == Rule::Limit
            && !matches!(unit, Unit::Switch | Unit::Cpus | Unit::Security);
        let value = match unit {
            _ if capped && text == "unlimited" => return Ok(Value::Unlimited),
            Unit::BytesOrShare if text.ends_with('%') => share(text)?,
            Unit::Bytes | Unit::BytesOrShare | Unit::BytesPerSecond => {
                Value::Number(quantity::bytes(text)?)
            }
            Unit::Bits | Unit::BitsPerSecond => Value::Number(quantity::bits(text)?),
            Unit::PercentOfCpu => Value::Number(quantity::percent(text)?),
            Unit::Count | Unit::PerSecond | Unit::Weight => Value::Number(quantity::count(text)?),
            Unit::Score => Value::Score(score(text)?),
            Unit::Switch => Value::Switch(switch(text)?),
            Unit::Files => files(text)?,
            Unit::Cpus => Value::Affinity(text.parse().map_err(|_| CPUS)?),
            Unit::Dscp => Value::Dscp(dscp(text)?),
            Unit::IoPriority => Value::IoPriority(io_priority(text)?),
            Unit::Security => Value::Security(security(text)?),
        };
        value.in_range(key)
    }

    /// Reads a whole number (as policy files may have it) as a value of `key`.
    ///
    /// # Errors
    /// When the key takes no such number.
    pub fn from_integer(key: Key, number: i64) -> Result<Value, ValueError> {
        let value = match (key.unit(), u64::try_from(number)) {
            (Unit::Score, _) => return Value::parse(key, &number.to_string()),
            (Unit::PercentOfCpu, Ok(n)) => Value::Number(n.saturating_mul(1_000)),
            (Unit::Files | Unit::Switch | Unit::Cpus | Unit::IoPriority | Unit::Security, _)
            | (_, Err(_)) => {
                return Value::parse(key, &number.to_string());
            }
            (Unit::Dscp, Ok(n)) => return Value::parse(key, &n.to_string()),
            (_, Ok(n)) => Value::Number(n),
        };
        value.in_range(key)
    }

    /// Soft and hard limit of open files.
    ///
    /// # Errors
    /// When `soft` is above `hard` or one is out of range.
    pub fn files(soft: u64, hard: u64) -> Result<Value, ValueError> {
        let value = Value::Files { soft, hard };
        if soft > hard {
            return Err(FILES);
        }
        value.in_range(Key::Nofile)
    }

    fn in_range(self, key: Key) -> Result<Value, ValueError> {
        let (least, most) = key.range();
        let fits = |n: u64| i64::try_from(n).is_ok_and(|n| (least..=most).contains(&n));
        let ok = match &self {
            Value::Number(n) => fits(*n),
            Value::Files { soft, hard } => fits(*soft) && fits(*hard),
            _ => true,
        };
        let show = |n: i64| match u64::try_from(n) {
            Ok(n) => Value::Number(n).show(key),
            Err(_) => n.to_string(),
        };
        ok.then_some(self).ok_or_else(|| ValueError::Range {
            least: show(least),
            most: Some(most).filter(|n| *n < i64::MAX).map(show),
        })
    }

    /// Whether this asks for more than `other`. Values that do not compare
    /// (two lists of CPUs) do not exceed each other: they are intersected.
    #[must_use]
    pub fn exceeds(&self, other: &Value, key: Key) -> bool {
        match (self, other) {
            (_, Value::Unlimited) => false,
            (Value::Unlimited, _) => true,
            (Value::Number(a), Value::Number(b)) | (Value::Share(a), Value::Share(b)) => a > b,
            (Value::Score(a), Value::Score(b)) => a < b,
            (Value::Switch(a), Value::Switch(b)) if key == Key::CpuIdle => !a & b,
            (Value::Switch(a), Value::Switch(b)) => a & !b,
            (Value::Files { soft: s, hard: h }, Value::Files { soft, hard }) => {
                s > soft || h > hard
            }
            (Value::Dscp(a), Value::Dscp(b)) => a.rank() > b.rank(),
            (Value::IoPriority(a), Value::IoPriority(b)) => a.rank() < b.rank(),
            (Value::Security(a), Value::Security(b)) => a < b,
            _ => false,
        }
    }

    /// The number, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The value as people read it.
    #[must_use]
    pub fn show(&self, key: Key) -> String {
        match (self, key.unit()) {
            (Value::Unlimited, _) => "unlimited".to_owned(),
            (Value::Number(n), Unit::Bytes | Unit::BytesOrShare) => ShowBytes(*n).to_string(),
            (Value::Number(n), Unit::BytesPerSecond) => format!("{}/s", ShowBytes(*n)),
            (Value::Number(n), Unit::Bits) => ShowBits(*n).to_string(),
            (Value::Number(n), Unit::BitsPerSecond) => format!("{}/s", ShowBits(*n)),
            (Value::Number(n), Unit::PercentOfCpu) => format!("{} %", thousandths(*n)),
            (Value::Number(n), Unit::PerSecond) => format!("{n}/s"),
            (Value::Number(n), _) => n.to_string(),
            (Value::Share(n), _) => format!("{} % of memory.limit", thousandths(*n)),
            (Value::Score(n), _) => n.to_string(),
            (Value::Switch(b), _) => if *b { "yes" } else { "no" }.to_owned(),
            (Value::Files { soft, hard }, _) => format!("{soft}/{hard}"),
            (Value::Affinity(cpus), _) => cpus.to_string(),
            (Value::Cpus(cpus), _) => cpus.to_string(),
            (Value::Dscp(dscp), _) => dscp.to_string(),
            (Value::IoPriority(priority), _) => priority.to_string(),
            (Value::Security(preset), _) => preset.to_string(),
        }
    }

    /// The value as users write it, exactly: [`Value::parse`] reads it back.
    #[must_use]
    pub fn written(&self, key: Key) -> String {
        match (self, key.unit()) {
            (
                Value::Number(n),
                Unit::Bytes
                | Unit::BytesOrShare
                | Unit::BytesPerSecond
                | Unit::Bits
                | Unit::BitsPerSecond
                | Unit::PercentOfCpu,
            ) => quantity::written(*n, key.unit()),
            (Value::Number(n), _) => n.to_string(),
            (Value::Share(n), _) => quantity::written(*n, Unit::PercentOfCpu),
            (Value::Switch(on), _) => on.to_string(),
            _ => self.show(key),
        }
    }

    /// The value as programs read it: base units, `null` for unlimited.
    #[must_use]
    pub fn json(&self, key: Key) -> serde_json::Value {
        match self {
            Value::Unlimited => serde_json::Value::Null,
            Value::Number(n) if key.unit() == Unit::PercentOfCpu => match n % 1_000 {
                0 => json!(n / 1_000),
                _ => json!(*n as f64 / 1_000.0),
            },
            Value::Number(n) => json!(n),
            Value::Score(n) => json!(n),
            Value::Switch(b) => json!(b),
            Value::Files { soft, hard } => json!({ "soft": soft, "hard": hard }),
            _ => json!(self.show(key)),
        }
    }
}

/// Thousandths as a decimal number without needless zeros.
fn thousandths(n: u64) -> String {
    match n % 1_000 {
        0 => (n / 1_000).to_string(),
        rest => format!("{}.{rest:03}", n / 1_000)
            .trim_end_matches('0')
            .to_owned(),
    }
}

const FILES: ValueError =
    ValueError::Form("open files soft/hard such as 1024/4096, soft not above hard");
const CPUS: ValueError = ValueError::Form("all, CPUs such as 0-3,8, or a share such as last 25%");

fn share(text: &str) -> Result<Value, ValueError> {
    match quantity::percent(text)? {
        share @ 1_000..=100_000 => Ok(Value::Share(share)),
        _ => Err(ValueError::Form("1% to 100% of the memory limit")),
    }
}

fn score(text: &str) -> Result<i16, ValueError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|n| number && (-1_000..=1_000).contains(n))
        .ok_or(ValueError::Form("a whole number from -1000 to 1000"))
}

fn security(text: &str) -> Result<Security, ValueError> {
    match text {
        "none" => Ok(Security::None),
        "restricted" => Ok(Security::Restricted),
        _ => Err(ValueError::Form("none or restricted")),
    }
}

fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(ValueError::Form("true or false")),
    }
}

fn files(text: &str) -> Result<Value, ValueError> {
    let (soft, hard) = text.split_once('/').unwrap_or((text, text));
    let number = |t: &str| quantity::count(t).map_err(|_| FILES);
    Value::files(number(soft)?, number(hard)?)
}

fn dscp(text: &str) -> Result<Dscp, ValueError> {
    let named = DSCP_NAMES.iter().find(|(name, _)| *name == text);
    let number = || text.parse().ok().filter(|n: &u8| *n < 64);
    named
        .map(|(_, n)| *n)
        .or_else(number)
        .map(Dscp)
        .ok_or(ValueError::Form(
            "a DSCP name such as EF, CS1, LE or default, or 0 to 63",
        ))
}

fn io_priority(text: &str) -> Result<IoPriority, ValueError> {
    let level = |t: &str| match t.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    };
    let parsed = match text.split_once(' ') {
        None if text == "idle" => Some(IoPriority::Idle),
        Some(("best-effort", rest)) => level(rest).map(IoPriority::BestEffort),
        Some(("realtime", rest)) => level(rest).map(IoPriority::Realtime),
        _ => None,
    };
    parsed.ok_or(ValueError::Form(
        "best-effort 0 to 7, realtime 0 to 7, or idle",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(key: &str, text: &str) -> Result<Value, ValueError> {
        Value::parse(Key::named(key).unwrap(), text)
    }

    #[test]
    fn each_form_reads() {
        for (key, text, shown) in [
            ("memory.limit", "768Mi", "768 MiB"),
            ("memory.high", "90%", "90 % of memory.limit"),
            ("cpu.quota", "12.5%", "12.5 %"),
            ("network.egress", "20Mbit", "20 Mbit/s"),
            ("oom.score", "-999", "-999"),
            ("hugepages", "true", "yes"),
            ("nofile", "1024/4096", "1024/4096"),
            ("nofile", "512", "512/512"),
            ("network.dscp", "EF", "EF"),
            ("network.dscp", "45", "45"),
            ("io.priority", "best-effort 7", "best-effort 7"),
            ("io.priority", "idle", "idle"),
            ("cpu.affinity", "last 25%", "last 25%"),
            ("pids", "unlimited", "unlimited"),
        ] {
            let key_ = Key::named(key).unwrap();
            assert_eq!(value(key, text).unwrap().show(key_), shown, "{key}={text}");
        }
    }

    #[test]
    fn out_of_range_or_form_is_refused_with_what_is_accepted() {
        for (key, text, says) in [
            ("memory.limit", "0", "expected at least 4 MiB"),
            ("memory.limit", "-1", "bytes such as"),
            ("memory.limit", "99999999999999999999", "too large"),
            ("pids", "0", "expected 1 to 4194304"),
            ("cpu.quota", "150", "percentage such as 150%"),
            ("oom.score", "-1001", "-1000 to 1000"),
            ("oom.score", "+5", "-1000 to 1000"),
            ("nofile", "8/4", "soft not above hard"),
            ("hugepages", "1", "true or false"),
            ("network.dscp", "64", "0 to 63"),
            ("io.priority", "best-effort 8", "best-effort 0 to 7"),
            ("hugepages", "unlimited", "true or false"),
            ("memory.guarantee", "unlimited", "bytes such as"),
        ] {
            let error = value(key, text).unwrap_err().to_string();
            assert!(error.contains(says), "{key}={text}: {error}");
        }
    }

    #[test]
    fn more_is_more_in_each_units_own_sense() {
        for (key, more, less) in [
            ("memory.limit", "2Gi", "1Gi"),
            ("memory.limit", "unlimited", "1Gi"),
            ("oom.score", "-999", "-500"),
            ("hugepages", "true", "false"),
            ("cpu.idle", "false", "true"),
            ("nofile", "100/4096", "100/1024"),
            ("network.dscp", "default", "CS1"),
            ("network.dscp", "CS1", "LE"),
            ("network.dscp", "CS6", "EF"),
            ("io.priority", "best-effort 0", "best-effort 7"),
            ("io.priority", "best-effort 7", "idle"),
        ] {
            let key_ = Key::named(key).unwrap();
            let (more, less) = (value(key, more).unwrap(), value(key, less).unwrap());
            assert!(
                more.exceeds(&less, key_) && !less.exceeds(&more, key_),
                "{key}"
            );
            assert!(!more.exceeds(&more, key_), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(number in 0..=i64::MAX, index in 0usize..29) {
            let key = Key::all().nth(index).unwrap();
            for number in [number, number >> 20 << 20, number % 1_000 * 1_000_000] {
                if let Ok(value) = Value::from_integer(key, number) {
                    let written = value.written(key);
                    prop_assert_eq!(Value::parse(key, &written), Ok(value), "{}", written);
                }
            }
        }

        #[test]
        fn no_text_panics_under_any_key(text in ".{0,24}", index in 0usize..29) {
            let key = Key::all().nth(index).unwrap();
            if let Ok(value) = Value::parse(key, &text) {
                let _ = (value.show(key), value.json(key), value.exceeds(&value, key));
                let written = value.written(key);
                prop_assert_eq!(Value::parse(key, &written), Ok(value), "{}", written);
            }
        }
    }
}
