//! `linux.resources`: what a spec, or an update, already restricts.
//!
//! In: the object, in config.json or as an engine's `update` takes it. Out:
//! the values by their kernel meaning, absent and unlimited told apart from a
//! number. oci-spec's types read the parts; they stay inside this file.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxThrottleDevice};
use serde::Deserialize;

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

/// What is restricted. Limits that the spec has as 0, negative or absent are
/// `None`: the kernel restricts nothing.
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
    /// `pids.limit`.
    pub pids: Option<u64>,
    /// Rates by device: read and write operations, read and write bytes.
    pub throttles: [Throttle; 4],
    /// Bytes by page size, such as `2MB`.
    pub hugepages: BTreeMap<String, u64>,
    /// cgroup v2 files, verbatim.
    pub unified: BTreeMap<String, String>,
}

/// Engines write pids.limit as a number or as null.
#[derive(Deserialize)]
struct Pids {
    limit: Option<i64>,
}

fn positive(number: Option<i64>) -> Option<u64> {
    number
        .filter(|n| *n > 0)
        .and_then(|n| u64::try_from(n).ok())
}

impl Resources {
    /// Reads `linux.resources`.
    ///
    /// # Errors
    /// When a part is not of the OCI spec's shape.
    pub fn read(object: &Object<'_>) -> Result<Resources, DocumentError> {
        let memory: LinuxMemory = object.read("memory")?.unwrap_or_default();
        let cpu: LinuxCpu = object.read("cpu")?.unwrap_or_default();
        let pids: Option<Pids> = object.read("pids")?;
        let hugepages: Vec<LinuxHugepageLimit> = object.read("hugepageLimits")?.unwrap_or_default();
        let block = object.object("blockIO")?;
        let mut throttles: [Throttle; 4] = Default::default();
        for (throttle, name) in throttles.iter_mut().zip(THROTTLES) {
            let devices: Vec<LinuxThrottleDevice> = block.read(name)?.unwrap_or_default();
            for device in devices.iter().filter(|d| d.rate() > 0) {
                if let (Ok(major), Ok(minor)) =
                    (u32::try_from(device.major()), u32::try_from(device.minor()))
                {
                    throttle.insert(Device { major, minor }, device.rate());
                }
            }
        }
        let unified: BTreeMap<String, String> = object.read("unified")?.unwrap_or_default();
        if let Some(lines) = unified.get("io.max") {
            lines
                .lines()
                .for_each(|line| throttle(line, &mut throttles));
        }
        let (quota, period) = stricter_quota(&cpu, unified.get("cpu.max"));
        Ok(Resources {
            memory_limit: positive(memory.limit()),
            memory_reservation: positive(memory.reservation()),
            memory_and_swap: positive(memory.swap()),
            cpu_shares: cpu.shares().filter(|n| *n > 0),
            cpu_quota: quota,
            cpu_period: period,
            cpu_burst: cpu.burst(),
            cpus: unified
                .get("cpuset.cpus")
                .cloned()
                .or_else(|| cpu.cpus().clone())
                .filter(|list| !list.is_empty()),
            pids: positive(pids.and_then(|p| p.limit)),
            throttles,
            hugepages: hugepages
                .into_iter()
                .filter_map(|h| Some((h.page_size().clone(), u64::try_from(h.limit()).ok()?)))
                .collect(),
            unified,
        })
    }

    /// A v2 file's number: `None` when absent, `max`, or no number.
    #[must_use]
    pub fn unified_number(&self, file: &str) -> Option<u64> {
        kernel_number(self.unified.get(file)?)
    }
}

/// A number as the kernel reads it (memparse): decimal, `0x` or octal, with
/// K, M, G, T, P or E for powers of 1024.
fn kernel_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, shift) = match text.bytes().last()?.to_ascii_uppercase() {
        letter @ (b'K' | b'M' | b'G' | b'T' | b'P' | b'E') if !text.starts_with("0x") => {
            let power = b"KMGTPE".iter().position(|l| *l == letter)?;
            (&text[..text.len() - 1], 10 * (power + 1))
        }
        _ => (text, 0),
    };
    let (digits, radix) = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (digits, 10),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| plain)?;
    let bytes = number.checked_mul(1 << shift)?;
    Some(bytes.min(MOST_SIGNED))
}

/// Quota and period, of the spec's own members or of a v2 `cpu.max` (which
/// engines write last) the stricter.
fn stricter_quota(cpu: &LinuxCpu, max: Option<&String>) -> (Option<u64>, Option<u64>) {
    let period = cpu.period().filter(|n| *n > 0);
    let typed = (positive(cpu.quota()), period);
    let mut words = max.map_or("", String::as_str).split_whitespace();
    let number = |word: Option<&str>| {
        let number = word.and_then(|w| w.parse().ok()).filter(|n| *n > 0);
        number.map(|n: u64| n.min(MOST_SIGNED))
    };
    // Without a second word the period stays what was written before.
    let raw = (number(words.next()), number(words.next()).or(period));
    match (typed, raw) {
        (_, (None, _)) => typed,
        ((None, _), _) => raw,
        ((Some(a), p), (Some(b), q)) => {
            let (p, q) = (p.unwrap_or(DEFAULT_PERIOD), q.unwrap_or(DEFAULT_PERIOD));
            let typed_first = u128::from(a) * u128::from(q) <= u128::from(b) * u128::from(p);
            if typed_first { typed } else { raw }
        }
    }
}

/// A line of io.max, `8:0 rbps=… wiops=max`, the stricter into `throttles`.
fn throttle(line: &str, throttles: &mut [Throttle; 4]) {
    let mut words = line.split_whitespace();
    let device = words.next().and_then(|w| w.split_once(':'));
    let Some((Ok(major), Ok(minor))) = device.map(|(a, b)| (a.parse(), b.parse())) else {
        return;
    };
    for (name, rate) in words.filter_map(|word| word.split_once('=')) {
        let index = ["riops", "wiops", "rbps", "wbps"]
            .iter()
            .position(|n| *n == name);
        if let (Some(index), Ok(rate)) = (index, rate.parse::<u64>()) {
            let entry = throttles[index]
                .entry(Device { major, minor })
                .or_insert(rate);
            *entry = rate.min(*entry);
        }
    }
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
    fn numbers_as_the_kernel_reads_them() {
        for (text, want) in [
            ("4096\n", Some(4096)),
            ("512M", Some(512 << 20)),
            ("1g", Some(1 << 30)),
            ("0x10", Some(16)),
            ("0xE", Some(14)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("max", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("9E9", None),
            ("99999999999E", None),
        ] {
            assert_eq!(kernel_number(text), want, "{text:?}");
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
