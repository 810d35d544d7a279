//! In: a version 2 file and what is written to it. Out: the property by which
//! systemd knows it.

use std::fmt;

use super::error::Error;

/// Who talks to systemd.
pub trait Units {
    /// Sets properties of a unit until the next boot, so that systemd keeps
    /// them at a daemon-reload.
    ///
    /// # Errors
    /// When systemd cannot be reached or refuses.
    fn set(&self, unit: &str, properties: &[Property]) -> Result<(), Error>;
}

/// A property of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// systemd's name for it.
    pub name: &'static str,
    /// What it becomes.
    pub worth: Worth,
}

/// A property's value, by its D-Bus type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worth {
    /// `t`; `u64::MAX` is systemd's infinity.
    Number(u64),
    /// `ay`: a bit for each CPU, the lowest byte first.
    Cpus(Vec<u8>),
    /// `a(st)`: a device's path and a rate.
    Device(String, u64),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.worth {
            Worth::Number(u64::MAX) => write!(f, "{}=infinity", self.name),
            Worth::Number(n) => write!(f, "{}={n}", self.name),
            Worth::Cpus(mask) => write!(f, "{}={mask:02x?}", self.name),
            Worth::Device(path, n) => write!(f, "{}={path} {n}", self.name),
        }
    }
}

/// Files that hold one number, or `max`.
const NUMBERS: [(&str, &str); 8] = [
    ("cpu.weight", "CPUWeight"),
    ("memory.max", "MemoryMax"),
    ("memory.high", "MemoryHigh"),
    ("memory.low", "MemoryLow"),
    ("memory.min", "MemoryMin"),
    ("memory.swap.max", "MemorySwapMax"),
    ("pids.max", "TasksMax"),
    ("io.weight", "IOWeight"),
];

/// The words of io.max.
const RATES: [(&str, &str); 4] = [
    ("rbps", "IOReadBandwidthMax"),
    ("wbps", "IOWriteBandwidthMax"),
    ("riops", "IOReadIOPSMax"),
    ("wiops", "IOWriteIOPSMax"),
];

/// systemd keeps quotas as whole percents: 10 ms of a second.
const QUOTA_STEP: u64 = 10_000;
/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// What systemd calls it; nothing for files it does not know, which it leaves
/// alone.
pub(super) fn properties(file: &str, text: &str) -> Vec<Property> {
    let property = |name, worth| Property { name, worth };
    let text = text.trim();
    if let Some((_, name)) = NUMBERS.iter().find(|(known, _)| *known == file) {
        let number = number(text.strip_prefix("default ").unwrap_or(text));
        return number
            .map(|n| property(name, Worth::Number(n)))
            .into_iter()
            .collect();
    }
    match file {
        // A weight of zero is systemd's word for idle (systemd 252).
        "cpu.idle" if text == "1" => vec![property("CPUWeight", Worth::Number(0))],
        "cpu.max" => quota(text).unwrap_or_default(),
        "cpuset.cpus" => vec![property("AllowedCPUs", Worth::Cpus(mask(text)))],
        "io.max" => rates(text),
        _ => Vec::new(),
    }
}

fn number(text: &str) -> Option<u64> {
    match text {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

fn quota(text: &str) -> Option<Vec<Property>> {
    let mut words = text.split_whitespace();
    let quota = number(words.next()?)?;
    let period: u64 = words.next()?.parse().ok().filter(|n| *n > 0)?;
    let each_second = match quota {
        u64::MAX => u64::MAX,
        quota => {
            let exact = u128::from(quota) * u128::from(SECOND) / u128::from(period);
            let exact = u64::try_from(exact).unwrap_or(u64::MAX);
            exact.div_ceil(QUOTA_STEP).saturating_mul(QUOTA_STEP)
        }
    };
    let property = |name, n| Property {
        name,
        worth: Worth::Number(n),
    };
    Some(vec![
        property("CPUQuotaPeriodUSec", period),
        property("CPUQuotaPerSecUSec", each_second),
    ])
}

fn mask(list: &str) -> Vec<u8> {
    let Ok(cpus) = list.parse::<packrank_core::cpus::CpuSet>() else {
        return Vec::new();
    };
    let mut mask = Vec::new();
    for cpu in cpus.iter() {
        let at = usize::try_from(cpu / 8).unwrap_or(0);
        if mask.len() <= at {
            mask.resize(at + 1, 0u8);
        }
        mask[at] |= 1 << (cpu % 8);
    }
    mask
}

/// `8:0 rbps=1000 wiops=max`.
fn rates(line: &str) -> Vec<Property> {
    let Some((device, words)) = line.split_once(' ') else {
        return Vec::new();
    };
    let rate = |word: &str| {
        let (word, n) = word.split_once('=')?;
        let (_, name) = RATES.iter().find(|(known, _)| *known == word)?;
        let path = format!("/dev/block/{device}");
        Some(Property {
            name,
            worth: Worth::Device(path, number(n)?),
        })
    };
    words.split_whitespace().filter_map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_systemd_calls_them() {
        let words = |file: &str, text: &str| {
            let words = properties(file, text);
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            words.join(" ")
        };
        for (file, text, property) in [
            ("cpu.weight", "39", "CPUWeight=39"),
            ("cpu.idle", "1", "CPUWeight=0"),
            ("cpu.idle", "0", ""),
            (
                "cpu.max",
                "50000 100000",
                "CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=500000",
            ),
            (
                "cpu.max",
                "33333 100000",
                "CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=340000",
            ),
            (
                "cpu.max",
                "max 50000",
                "CPUQuotaPeriodUSec=50000 CPUQuotaPerSecUSec=infinity",
            ),
            ("cpuset.cpus", "0,9-10", "AllowedCPUs=[01, 06]"),
            ("cpuset.cpus", "", "AllowedCPUs=[]"),
            ("memory.swap.max", "0", "MemorySwapMax=0"),
            ("pids.max", "max", "TasksMax=infinity"),
            ("io.weight", "default 50", "IOWeight=50"),
            (
                "io.max",
                "8:0 wbps=7",
                "IOWriteBandwidthMax=/dev/block/8:0 7",
            ),
            (
                "io.max",
                "8:0 riops=max",
                "IOReadIOPSMax=/dev/block/8:0 infinity",
            ),
            ("memory.oom.group", "1", ""),
        ] {
            let said = words(file, text).replace(&u64::MAX.to_string(), "infinity");
            assert_eq!(said, property, "{file} {text}");
        }
    }
}
