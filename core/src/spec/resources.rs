//! `linux.resources`: what a spec, or an update, already restricts.
//!
//! In: the object, in config.json or as an engine's `update` takes it. Out:
//! the values by their kernel meaning, absent and unlimited told apart from a
//! number.

use std::collections::BTreeMap;

use super::number::{self, NoNumber};
use super::object::{DocumentError, Object};
use crate::plan::DEFAULT_PERIOD;

/// A block device's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The spec's numbers are signed.
pub(super) const MOST_SIGNED: u64 = i64::MAX.unsigned_abs();

/// The four throttles of block I/O, in the order of `THROTTLES`.
pub type Throttle = BTreeMap<Device, u64>;

/// The spec's member for each throttle: read and write operations, read and
/// write bytes, all per second.
pub const THROTTLES: [&str; 4] = [
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
];

/// The v2 files that a plan joins with its own numbers.
const NUMBERS: [&str; 7] = [
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "pids.max",
    "cpu.max.burst",
];

/// What is restricted. Limits that the spec has as negative or absent are
/// `None`, and so are those whose 0 is none to every engine: the kernel
/// restricts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// `memory.limit`, bytes.
    pub memory_limit: Option<u64>,
    /// `memory.reservation`, bytes.
    pub memory_reservation: Option<u64>,
    /// `memory.swap`: memory and swap together, bytes.
    pub memory_and_swap: Option<u64>,
    /// `cpu.shares`, cgroup v1's scale.
    pub cpu_shares: Option<u64>,
    /// `cpu.quota`, µs per period.
    pub cpu_quota: Option<u64>,
    /// `cpu.period`, µs.
    pub cpu_period: Option<u64>,
    /// `cpu.burst`, µs.
    pub cpu_burst: Option<u64>,
    /// `cpu.cpus`, the kernel's list format.
    pub cpus: Option<String>,
    /// `pids.limit`; 0 is a limit (OCI runtime spec 1.3).
    pub pids: Option<u64>,
    /// Rates by device: read and write operations, read and write bytes.
    pub throttles: [Throttle; 4],
    /// Bytes by page size, such as `2MB`.
    pub hugepages: BTreeMap<String, u64>,
    /// cgroup v2 files, verbatim.
    pub unified: BTreeMap<String, String>,
}

/// A number above 0; engines take no other for a limit.
fn positive(object: &Object<'_>, member: &str) -> Result<Option<u64>, DocumentError> {
    let number: Option<i64> = object.read(member)?;
    let number = number.filter(|n| *n > 0);
    Ok(number.and_then(|n| u64::try_from(n).ok()))
}

impl Resources {
    /// Reads `linux.resources`.
    ///
    /// # Errors
    /// When a part is not of the OCI spec's shape, or a v2 file's text is
    /// nothing that the kernel takes.
    pub fn read(object: &Object<'_>) -> Result<Resources, DocumentError> {
        let (memory, cpu) = (object.object("memory")?, object.object("cpu")?);
        let pids: Option<i64> = object.object("pids")?.read("limit")?;
        let block = object.object("blockIO")?;
        let mut throttles: [Throttle; 4] = Default::default();
        for (throttle, name) in throttles.iter_mut().zip(THROTTLES) {
            for device in block.items(name)? {
                let number = |member| device.read::<i64>(member);
                let (major, minor) = (number("major")?, number("minor")?);
                let rate: Option<u64> = device.read("rate")?;
                let part = |n: Option<i64>| u32::try_from(n.unwrap_or(0));
                if let (Ok(major), Ok(minor), Some(rate)) =
                    (part(major), part(minor), rate.filter(|r| *r > 0))
                {
                    // Engines write them in turn, and the last one holds.
                    throttle.insert(Device { major, minor }, rate);
                }
            }
        }
        let mut hugepages = BTreeMap::new();
        for limit in object.items("hugepageLimits")? {
            let size: Option<String> = limit.read("pageSize")?;
            let bytes: Option<i64> = limit.read("limit")?;
            let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
            hugepages.extend(size.zip(bytes));
        }
        let unified: BTreeMap<String, String> = object.read("unified")?.unwrap_or_default();
        for file in NUMBERS {
            if let Some(text) = unified.get(file) {
                number::of_file(file, text).map_err(kernel(file, text))?;
            }
        }
        if let Some(lines) = unified.get("io.max") {
            let lines = lines.lines().filter(|line| !line.trim().is_empty());
            for line in lines {
                throttle(line, &mut throttles).map_err(kernel("io.max", line))?;
            }
        }
        let typed = (
            positive(&cpu, "quota")?,
            cpu.read("period")?.filter(|n| *n > 0),
        );
        let (cpu_quota, cpu_period) = match unified.get("cpu.max") {
            Some(text) => stricter_quota(typed, text).map_err(kernel("cpu.max", text))?,
            None => typed,
        };
        let cpus = match unified.get("cpuset.cpus") {
            Some(list) => Some(list.clone()),
            None => cpu.read("cpus")?,
        };
        Ok(Resources {
            memory_limit: positive(&memory, "limit")?,
            memory_reservation: positive(&memory, "reservation")?,
            memory_and_swap: positive(&memory, "swap")?,
            cpu_shares: cpu.read("shares")?.filter(|n| *n > 0),
            cpu_quota,
            cpu_period,
            cpu_burst: cpu.read("burst")?,
            cpus: cpus.filter(|list| !list.is_empty()),
            pids: pids.and_then(|n| u64::try_from(n).ok()),
            throttles,
            hugepages,
            unified,
        })
    }

    /// A v2 file's number: `None` when absent or `max`.
    #[must_use]
    pub fn unified_number(&self, file: &str) -> Option<u64> {
        number::of_file(file, self.unified.get(file)?).ok()?
    }
}

/// What is wrong with a v2 file's text.
fn kernel(file: &str, text: &str) -> impl Fn(NoNumber) -> DocumentError {
    move |expected| DocumentError::Kernel {
        at: format!("linux.resources.unified.{file}"),
        text: text.to_owned(),
        expected,
    }
}

/// Quota and period.
type Quota = (Option<u64>, Option<u64>);

/// Of the spec's own quota and a v2 `cpu.max` (which engines write last) the
/// stricter.
fn stricter_quota(typed: Quota, max: &str) -> Result<Quota, NoNumber> {
    let mut words = max.split_whitespace();
    let quota = number::scanned(words.next().unwrap_or_default())?;
    // Without a second word the period stays what was written before.
    let period = match words.next() {
        Some(word) => number::scanned(word)?,
        None => typed.1,
    };
    Ok(match (typed, (quota, period)) {
        (_, (None, _)) => typed,
        ((None, _), raw) => raw,
        ((Some(a), p), (Some(b), q)) => {
            let (p, q) = (p.unwrap_or(DEFAULT_PERIOD), q.unwrap_or(DEFAULT_PERIOD));
            let typed_first = u128::from(a) * u128::from(q) <= u128::from(b) * u128::from(p);
            if typed_first { typed } else { (quota, period) }
        }
    })
}

/// A line of io.max, `8:0 rbps=… wiops=max`, the stricter into `throttles`.
fn throttle(line: &str, throttles: &mut [Throttle; 4]) -> Result<(), NoNumber> {
    const EXPECTED: NoNumber =
        "MAJOR:MINOR and rbps=, wbps=, riops= or wiops= with a number or max";
    let mut words = line.split_whitespace();
    let device = words.next().and_then(|w| w.split_once(':'));
    let Some((Ok(major), Ok(minor))) = device.map(|(a, b)| (a.parse(), b.parse())) else {
        return Err(EXPECTED);
    };
    for word in words {
        let (name, rate) = word.split_once('=').ok_or(EXPECTED)?;
        let index = ["riops", "wiops", "rbps", "wbps"]
            .iter()
            .position(|n| *n == name);
        if let Some(rate) = number::scanned(rate)? {
            let entry = throttles[index.ok_or(EXPECTED)?]
                .entry(Device { major, minor })
                .or_insert(rate);
            *entry = rate.min(*entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v2_file_counts_as_the_spec_where_it_is_stricter() {
        let read = |text: &str| Resources::read(&Object::parse(text, "r").unwrap()).unwrap();
        let cpu = |max: &str| {
            let text =
                format!(r#"{{"cpu": {{"quota": 50000}}, "unified": {{"cpu.max": "{max}"}}}}"#);
            let r = read(&text);
            (r.cpu_quota, r.cpu_period)
        };
        assert_eq!(cpu("20000 50000"), (Some(20_000), Some(50_000)));
        assert_eq!(cpu("40000 50000"), (Some(50_000), None));
        assert_eq!(cpu("max 100000"), (Some(50_000), None));
        let io = read(r#"{"unified": {"io.max": "8:0 rbps=7 wiops=max\n8:16 riops=3"}}"#);
        assert_eq!(io.throttles[2], [(Device { major: 8, minor: 0 }, 7)].into());
        assert_eq!(
            io.throttles[0],
            [(
                Device {
                    major: 8,
                    minor: 16
                },
                3
            )]
            .into()
        );
    }

    #[test]
    fn what_the_kernel_does_not_take_is_refused_and_zero_is_a_limit() {
        let read = |text: &str| Resources::read(&Object::parse(text, "linux.resources").unwrap());
        for (file, text) in [
            ("memory.max", "20000x"),
            ("memory.high", "+16"),
            ("pids.max", "16K"),
            ("cpu.max", "0 100000"),
            ("cpu.max", "much"),
            ("cpu.max", ""),
            ("cpu.max", "20000 0x10"),
            ("io.max", "8:0 rbps=0"),
            ("io.max", "8 rbps=5"),
            ("io.max", "8:0 rbps"),
            ("io.max", "8:0 speed=5"),
        ] {
            let error = read(&format!(r#"{{"unified": {{"{file}": "{text}"}}}}"#));
            let said = error.unwrap_err().to_string();
            let at = format!("linux.resources.unified.{file}: ");
            assert!(
                said.starts_with(&at) && said.contains("the kernel reads"),
                "{said}"
            );
        }
        let odd = r#"{"pids": {"limit": 0}, "unified": {"memory.max": "0X4000000", "memory.high": "0x40M",
            "pids.max": "+16", "cpu.max": "20000x 100000x", "io.max": "8:0 rbps=7x\n"}}"#;
        let odd = read(odd).unwrap();
        assert_eq!(odd.pids, Some(0));
        for (file, want) in [
            ("memory.max", 64 << 20),
            ("memory.high", 64 << 20),
            ("pids.max", 16),
        ] {
            assert_eq!(odd.unified_number(file), Some(want), "{file}");
        }
        assert_eq!(
            (odd.cpu_quota, odd.cpu_period),
            (Some(20_000), Some(100_000))
        );
        assert_eq!(
            odd.throttles[2],
            [(Device { major: 8, minor: 0 }, 7)].into()
        );
    }

    #[test]
    fn members_that_only_go_takes_are_refused() {
        for text in [
            r#"{"pids": {"limit": 5, "Limit": -1}}"#,
            r#"{"Memory": {"limit": -1}}"#,
            r#"{"memory": {"LIMIT": -1}}"#,
            r#"{"cpu": {"Quota": -1}}"#,
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "Rate": 5}]}}"#,
            r#"{"hugepageLimits": [{"pagesize": "2MB", "limit": 5}]}"#,
            r#"{"Unified": {"memory.max": "max"}}"#,
        ] {
            let error = Resources::read(&Object::parse(text, "r").unwrap()).unwrap_err();
            assert!(matches!(error, DocumentError::Case { .. }), "{error}");
        }
    }

    #[test]
    fn unlimited_is_none_however_it_is_written() {
        let text = r#"{"memory": {"limit": -1, "swap": 0}, "cpu": {"quota": -1, "period": 50000, "cpus": ""},
            "pids": {"limit": null}, "unified": {"memory.high": "max", "memory.low": "4096"},
            "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}, {"major": -1, "minor": 0, "rate": 5}]},
            "devices": [{"allow": false, "access": "rwm"}], "from": "the future"}"#;
        let resources = Resources::read(&Object::parse(text, "linux.resources").unwrap()).unwrap();
        assert_eq!((resources.memory_limit, resources.cpu_quota), (None, None));
        assert_eq!((resources.pids, &resources.cpus), (None, &None));
        assert_eq!(resources.cpu_period, Some(50_000));
        assert_eq!(resources.unified_number("memory.high"), None);
        assert_eq!(resources.unified_number("memory.low"), Some(4096));
        let device = Device { major: 8, minor: 0 };
        assert_eq!(resources.throttles[2], [(device, 5)].into());
    }
}
