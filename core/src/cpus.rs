//! Sets of CPUs in the kernel's list format, and what a class asks of them.
//!
//! In: `0-3,8`, `all`, `first 50%`, `last 25%`. Out: a [`CpuSet`], or an
//! [`Affinity`] to be resolved against a host's CPUs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The kernel's own largest NR_CPUS.
const MOST_CPUS: u32 = 8192;

/// CPUs by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

/// The text is no list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected CPUs such as 0-3,8")]
pub struct BadCpuList;

impl CpuSet {
    /// The CPUs that are in both.
    #[must_use]
    pub fn intersection(&self, other: &CpuSet) -> CpuSet {
        self.0.intersection(&other.0).copied().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().copied()
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        CpuSet(cpus.into_iter().collect())
    }
}

impl FromStr for CpuSet {
    type Err = BadCpuList;

    fn from_str(text: &str) -> Result<Self, BadCpuList> {
        let number = |t: &str| {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            let n = t.parse::<u32>().ok().filter(|n| *n < MOST_CPUS);
            n.filter(|_| digits).ok_or(BadCpuList)
        };
        let mut set = BTreeSet::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first.trim())?, number(last.trim())?);
            if first > last {
                return Err(BadCpuList);
            }
            set.extend(first..=last);
        }
        Ok(CpuSet(set))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let words: Vec<String> = ranges
            .into_iter()
            .map(|(a, b)| {
                if a == b {
                    a.to_string()
                } else {
                    format!("{a}-{b}")
                }
            })
            .collect();
        f.write_str(&words.join(","))
    }
}

/// The CPUs a class may use, before the host is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affinity {
    /// Every CPU.
    All,
    /// These and no others.
    List(CpuSet),
    /// A share from the lowest number up, in thousandths of a percent.
    First(u64),
    /// A share from the highest number down, in thousandths of a percent.
    Last(u64),
}

impl Affinity {
    /// The CPUs this means among `cores`: each core a set of hardware
    /// threads. A share is rounded up to whole cores, so that no core is
    /// split, and is at least one core.
    #[must_use]
    pub fn resolve(&self, cores: &[CpuSet]) -> CpuSet {
        let all = || cores.iter().flat_map(CpuSet::iter);
        match self {
            Affinity::All => all().collect(),
            Affinity::List(set) => all().collect::<CpuSet>().intersection(set),
            Affinity::First(share) => take(cores.iter(), all().count(), *share),
            Affinity::Last(share) => take(cores.iter().rev(), all().count(), *share),
        }
    }
}

/// Whole cores, until `share` of `total` threads is reached.
fn take<'a>(cores: impl Iterator<Item = &'a CpuSet>, total: usize, share: u64) -> CpuSet {
    let wanted = (total as u64 * share).div_ceil(100_000).max(1);
    let mut taken = BTreeSet::new();
    for core in cores {
        if taken.len() as u64 >= wanted {
            break;
        }
        taken.extend(core.iter());
    }
    CpuSet(taken)
}

impl FromStr for Affinity {
    type Err = BadCpuList;

    fn from_str(text: &str) -> Result<Self, BadCpuList> {
        let share = |t: &str| {
            let share = crate::quantity::percent(t.trim()).map_err(|_| BadCpuList)?;
            Some(share)
                .filter(|s| (1..=100_000).contains(s))
                .ok_or(BadCpuList)
        };
        match text.split_once(' ') {
            None if text == "all" => Ok(Affinity::All),
            Some(("first", rest)) => Ok(Affinity::First(share(rest)?)),
            Some(("last", rest)) => Ok(Affinity::Last(share(rest)?)),
            _ => text.parse().map(Affinity::List),
        }
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Affinity::All => f.write_str("all"),
            Affinity::List(set) => set.fmt(f),
            Affinity::First(share) => write!(f, "first {}%", *share as f64 / 1000.0),
            Affinity::Last(share) => write!(f, "last {}%", *share as f64 / 1000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn the_kernels_list_format_reads_and_prints() {
        assert_eq!(set("3,0-1,8").to_string(), "0-1,3,8");
        for text in ["", "a", "3-1", "0-4294967295", "-1", "1,,2", "+1"] {
            assert_eq!(text.parse::<CpuSet>(), Err(BadCpuList), "{text}");
        }
    }

    #[test]
    fn a_share_takes_whole_cores_from_its_end() {
        // Four cores of two threads, numbered as Intel does: 0,4 1,5 2,6 3,7.
        let cores = ["0,4", "1,5", "2,6", "3,7"].map(set);
        let last = |text: &str| {
            text.parse::<Affinity>()
                .unwrap()
                .resolve(&cores)
                .to_string()
        };
        assert_eq!(last("last 25%"), "3,7");
        assert_eq!(last("last 30%"), "2-3,6-7");
        assert_eq!(last("first 1%"), "0,4");
        assert_eq!(last("all"), "0-7");
        assert_eq!(last("2-3,99"), "2-3");
    }
}
