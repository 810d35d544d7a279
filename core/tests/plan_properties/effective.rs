//! What a spec restricts once an engine has written it: read from the JSON by
//! the kernel's rules, without any of core's code.
//!
//! In: config.json's text and the cgroup version. Out: an [`Effective`], and
//! whether one of two is looser. Engines write the typed members first and
//! `unified` last, so that on version 2 a file in `unified` is what holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// A limit, `Some`, or none at all.
type Limit = Option<u128>;
type Rates = BTreeMap<(u32, u32), u128>;

/// Limits by name; those that the kernel would refuse are not in it: such a
/// container does not start.
#[derive(Debug, Default)]
pub struct Effective {
    limits: BTreeMap<&'static str, Limit>,
    /// Quota and period.
    cpu: Option<Option<(u128, u128)>>,
    throttles: [Rates; 4],
    hugepages: BTreeMap<String, u128>,
    /// The CPUs it may use; `None` is all.
    cpus: Option<BTreeSet<u32>>,
}

impl Effective {
    pub fn new(
        memory: Limit,
        swap: Limit,
        high: Limit,
        cpu: Option<(u128, u128)>,
        pids: Limit,
        files: Option<(u64, u64)>,
        throttles: [Rates; 4],
    ) -> Effective {
        let pids = pids.map(|most: u128| most.max(1));
        let memory = memory.map(pages);
        let mut limits = BTreeMap::from([
            ("memory", memory),
            ("swap", swap),
            (
                "memory and swap",
                memory.zip(swap).map(|(limit, swap)| pages(limit + swap)),
            ),
            ("memory.high", high),
            ("pids", pids),
        ]);
        limits.insert("soft files", files.map(|f| f.0.into()));
        limits.insert("hard files", files.map(|f| f.1.into()));
        Effective {
            limits,
            cpu: Some(cpu),
            throttles,
            hugepages: BTreeMap::new(),
            cpus: None,
        }
    }

    /// The five classes' limits, as users are told them.
    pub fn of_class(name: &str, disks: &[(u32, u32)]) -> Effective {
        const MIB: u128 = 1 << 20;
        let (memory, percent, pids, files, iops, bps) = match name {
            "critical" => (4096, 200, 4096, (4096, 8192), 10_000, 500),
            "high" => (2048, 150, 2048, (4096, 8192), 5_000, 200),
            "normal" => (1024, 100, 1024, (1024, 4096), 1_000, 50),
            "low" => (512, 50, 512, (1024, 2048), 500, 20),
            _ => (256, 25, 128, (512, 1024), 100, 5),
        };
        Effective::new(
            Some(memory * MIB),
            Some(0),
            Some(memory * MIB * 9 / 10),
            Some((percent, 100)),
            Some(pids),
            Some(files),
            [iops, iops, bps * MIB, bps * MIB]
                .map(|rate| disks.iter().map(|disk| (*disk, rate)).collect()),
        )
    }

    pub fn of(text: &str, version: Version) -> Effective {
        let document = as_go_reads(serde_json::from_str(text).unwrap());
        let resources = &document["linux"]["resources"];
        let two = version == Version::Two;
        let file = |name: &str| resources["unified"][name].as_str().filter(|_| two);
        let mut found = Effective::default();
        found.memory(resources, two, file);
        // None at all, and one, are the same to the kernel: no fork succeeds.
        let pids = resources["pids"]["limit"].as_u64().map(u128::from);
        let pids = file("pids.max").map_or(Some(pids), plain);
        found.put("pids", pids.map(|limit| limit.map(|most| most.max(1))));
        found.cpu(resources, file);
        found.files(&document["process"]["rlimits"]);
        found.throttles(resources, file("io.max"));
        found.hugepages(resources, file);
        let typed = resources["cpu"]["cpus"].as_str();
        let list = file("cpuset.cpus").or(typed).filter(|l| !l.is_empty());
        // Engines on version 1 refuse `unified`: such a container is not there.
        let refused = !two && resources["unified"]["cpuset.cpus"].is_string();
        found.cpus = list.filter(|_| !refused).and_then(cpus);
        found
    }

    /// `None` is a value that is refused.
    fn put(&mut self, name: &'static str, limit: Option<Limit>) {
        if let Some(limit) = limit {
            self.limits.insert(name, limit);
        }
    }

    fn memory<'v>(&mut self, resources: &Value, two: bool, file: impl Fn(&str) -> Option<&'v str>) {
        let typed = positive(&resources["memory"]["limit"]);
        let limit = file("memory.max").map_or(Some(typed), with_suffix);
        let total = positive(&resources["memory"]["swap"]);
        self.put("memory", limit.map(|limit| limit.map(pages)));
        let beside = match (typed, total) {
            (Some(limit), Some(total)) if total >= limit => Some(Some(total - limit)),
            (_, None) => Some(None),
            // Both engines and kernel refuse a total without a limit, or below it.
            _ => None,
        };
        if two {
            let swap = file("memory.swap.max").map_or(beside, with_suffix);
            self.put("swap", swap);
            self.put(
                "memory.high",
                file("memory.high").map_or(Some(None), with_suffix),
            );
        } else if beside.is_some() {
            self.put("memory and swap", Some(total.map(pages)));
        }
    }

    fn cpu<'v>(&mut self, resources: &Value, file: impl Fn(&str) -> Option<&'v str>) {
        let quota = positive(&resources["cpu"]["quota"]);
        let period = positive(&resources["cpu"]["period"]).unwrap_or(100_000);
        let Some(max) = file("cpu.max") else {
            self.cpu = Some(quota.map(|quota| (quota, period)));
            return;
        };
        let mut words = max.split_whitespace();
        let (first, second) = (words.next(), words.next());
        // Without a second word the period stays what was written before.
        let period = second.map_or(Some(period), scanned);
        self.cpu = match (first, period) {
            (Some("max"), Some(_)) => Some(None),
            (Some(word), Some(period)) => scanned(word).map(|quota| Some((quota, period))),
            _ => None,
        };
    }

    fn files(&mut self, rlimits: &Value) {
        let rlimits = rlimits.as_array().into_iter().flatten();
        let files: Vec<&Value> = rlimits.filter(|r| r["type"] == "RLIMIT_NOFILE").collect();
        // Twice is refused by the engines.
        if files.len() < 2 {
            let limit = |name: &str| files.first().and_then(|r| r[name].as_u64()).map(u128::from);
            self.put("soft files", Some(limit("soft")));
            self.put("hard files", Some(limit("hard")));
        }
    }

    fn throttles(&mut self, resources: &Value, max: Option<&str>) {
        let typed = [
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
        ];
        for (rates, name) in self.throttles.iter_mut().zip(typed) {
            for entry in resources["blockIO"][name].as_array().into_iter().flatten() {
                let device = (device(&entry["major"]), device(&entry["minor"]));
                if let ((Some(major), Some(minor)), Some(rate)) = (device, positive(&entry["rate"]))
                {
                    rates.insert((major, minor), rate);
                }
            }
        }
        for line in max.into_iter().flat_map(str::lines) {
            let mut words = line.split_whitespace();
            let numbers = words.next().and_then(|w| w.split_once(':'));
            let Some((Ok(major), Ok(minor))) = numbers.map(|(a, b)| (a.parse(), b.parse())) else {
                continue;
            };
            for (name, rate) in words.filter_map(|word| word.split_once('=')) {
                let names = ["riops", "wiops", "rbps", "wbps"];
                let Some(index) = names.iter().position(|n| *n == name) else {
                    continue;
                };
                match scanned(rate) {
                    Some(rate) => self.throttles[index].insert((major, minor), rate),
                    None => self.throttles[index].remove(&(major, minor)),
                };
            }
        }
    }

    fn hugepages<'v>(&mut self, resources: &Value, file: impl Fn(&str) -> Option<&'v str>) {
        for entry in resources["hugepageLimits"].as_array().into_iter().flatten() {
            if let (Some(size), Some(limit)) = (entry["pageSize"].as_str(), entry["limit"].as_u64())
            {
                self.hugepages.insert(size.to_owned(), limit.into());
            }
        }
        for size in ["2MB", "1GB"] {
            match file(&format!("hugetlb.{size}.max")).map(with_suffix) {
                Some(Some(Some(limit))) => self.hugepages.insert(size.to_owned(), limit),
                Some(Some(None)) => self.hugepages.remove(size),
                _ => continue,
            };
        }
    }

    /// What is looser here than in `other`.
    pub fn looser_than(&self, other: &Effective) -> Option<String> {
        for (name, limit) in &self.limits {
            if let Some(most) = other.limits.get(name).copied().flatten()
                && limit.is_none_or(|limit| limit > most)
            {
                return Some(format!("{name}: {limit:?} where {most} holds"));
            }
        }
        if let (Some(cpu), Some(Some((most, of)))) = (self.cpu, other.cpu)
            && cpu.is_none_or(|(quota, period)| quota * of > most * period)
        {
            return Some(format!("cpu: {cpu:?} where {most} of {of} holds"));
        }
        for (rates, most) in self.throttles.iter().zip(&other.throttles) {
            for (device, most) in most {
                if rates.get(device).is_none_or(|rate| rate > most) {
                    return Some(format!("throttle {device:?}: {rates:?} where {most} holds"));
                }
            }
        }
        for (size, most) in &other.hugepages {
            if self.hugepages.get(size).is_none_or(|limit| limit > most) {
                return Some(format!("huge pages {size}: above {most}"));
            }
        }
        match (&self.cpus, &other.cpus) {
            (None, Some(most)) => Some(format!("CPUs: all, where {most:?} holds")),
            (Some(now), Some(most)) if !now.is_subset(most) => {
                Some(format!("CPUs: {now:?} where {most:?} holds"))
            }
            _ => None,
        }
    }
}

fn device(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| n.try_into().ok())
}

/// Typed members: nothing, zero and negative numbers restrict nothing.
fn positive(value: &Value) -> Limit {
    value.as_u64().filter(|n| *n > 0).map(u128::from)
}

/// A document as Go's decoder fills its types from it: a member whose name
/// differs in case only is the member, and the later one holds, object by object.
/// Names in a map are what they are.
fn as_go_reads(value: Value) -> Value {
    const MAPS: [&str; 2] = ["annotations", "unified"];
    match value {
        Value::Object(members) => {
            let mut read = serde_json::Map::new();
            // Capitals come first in the map: the odd name is the later one here.
            for (name, value) in members.into_iter().rev() {
                let lower = name.to_lowercase();
                let exact = NAMES.iter().find(|known| known.to_lowercase() == lower);
                let name = exact.map_or(name, |known| (*known).to_owned());
                let value = match MAPS.contains(&name.as_str()) {
                    true => value,
                    false => as_go_reads(value),
                };
                match (read.get_mut(&name), value) {
                    (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                    (_, value) => drop(read.insert(name, value)),
                }
            }
            Value::Object(read)
        }
        Value::Array(items) => items.into_iter().map(as_go_reads).collect(),
        other => other,
    }
}

/// The names of the spec that restrict something here.
pub const NAMES: [&str; 20] = [
    "linux",
    "resources",
    "memory",
    "limit",
    "swap",
    "cpu",
    "quota",
    "period",
    "cpus",
    "pids",
    "blockIO",
    "throttleReadBpsDevice",
    "rate",
    "hugepageLimits",
    "pageSize",
    "unified",
    "process",
    "rlimits",
    "soft",
    "hard",
];

/// Bytes as the kernel keeps them.
fn pages(bytes: u128) -> u128 {
    bytes / 4096 * 4096
}

/// A word by sscanf's `%llu`; `None` where it holds no number, or `max`.
fn scanned(word: &str) -> Option<u128> {
    let end = word.find(|c: char| !c.is_ascii_digit());
    word[..end.unwrap_or(word.len())].parse().ok()
}

/// kstrtoll with base 0, or `max`; `None` when the kernel refuses it.
fn plain(text: &str) -> Option<Limit> {
    match text.trim() {
        "max" => Some(None),
        text => radix(text.strip_prefix('+').unwrap_or(text))
            .and_then(|(number, rest)| rest.is_empty().then_some(Some(number))),
    }
}

/// memparse, or `max`.
fn with_suffix(text: &str) -> Option<Limit> {
    let text = text.trim();
    if text == "max" {
        return Some(None);
    }
    let (number, rest) = radix(text)?;
    let power = match rest {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    // The kernel takes what no machine has for no limit at all.
    Some(Some((number << power).min(i64::MAX.unsigned_abs().into())))
}

/// A number as C's base 0 reads it, and what stands behind it.
fn radix(text: &str) -> Option<(u128, &str)> {
    let hex = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let (digits, base) = match (hex, text.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if octal.starts_with(|c: char| c.is_digit(8)) => (octal, 8),
        _ => (text, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(base))
        .unwrap_or(digits.len());
    let number = u64::from_str_radix(&digits[..end], base).ok()?;
    Some((number.into(), &digits[end..]))
}

/// The kernel's list of CPUs; `None` where it is not understood.
fn cpus(list: &str) -> Option<BTreeSet<u32>> {
    let mut set = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // `0-7:2/4`: two of every four.
        let (last, (used, group)) = match last.split_once(':') {
            Some((last, rest)) => {
                let (used, group) = rest.split_once('/')?;
                (
                    last,
                    (used.parse::<u32>().ok()?, group.parse::<u32>().ok()?),
                )
            }
            None => (last, (1, 1)),
        };
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        set.extend((first..=last).filter(|cpu| (cpu - first) % group < used));
    }
    Some(set)
}
