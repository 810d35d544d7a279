//! In: limits and the cgroup they are for. Out: lines for the files of its
//! version.

use packrank_core::record::Amount;

use super::error::Error;
use super::line::{Form, Line, bytes};
use super::place::Place;
use super::setting::Limit;
use super::table::{MEMORY_AND_SWAP, files};
use crate::cgroup::Version;

/// The kernel's default period of a quota, in microseconds.
const PERIOD: u64 = 100_000;
/// Thousandths of a percent in one CPU.
const ONE_CPU: u64 = 100_000;
/// The kernel takes no quota below a millisecond (min_cfs_quota_period).
const LEAST_QUOTA: u64 = 1_000;
/// On version 1, engines take a soft limit of nothing for none.
const ONE_PAGE: u64 = 4096;

/// The lines that the limits are in this cgroup.
pub(super) fn lines(limits: &[Limit], place: &Place) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::with_capacity(limits.len());
    for limit in limits {
        match place.version {
            Version::V1 => v1(limit, limits, place, &mut lines)?,
            Version::V2 => v2(limit, limits, place, &mut lines)?,
        }
    }
    Ok(lines)
}

fn v2(limit: &Limit, all: &[Limit], place: &Place, lines: &mut Vec<Line>) -> Result<(), Error> {
    let (controller, _, file, form) = files(limit);
    let mut push = |file: &str, text: String, form| {
        lines.push(Line {
            controller,
            file: file.to_owned(),
            text,
            form,
        });
    };
    let text = match limit {
        Limit::Shares(shares, scale) => scale.weight(*shares).to_string(),
        Limit::Quota { quota, period } => {
            let period = period.map_or_else(|| period_now(place), Ok)?;
            format!("{} {period}", text(*quota, "max"))
        }
        Limit::Percent(share) => {
            let period = period_now(place)?;
            format!("{} {period}", text(of_period(*share, period), "max"))
        }
        Limit::MemoryAndSwap(total) => match memory(all, place)? {
            Some(limit) => total.saturating_sub(limit).to_string(),
            // Swap is limited beside a memory limit, and there is none.
            None => return Ok(()),
        },
        Limit::Throttle(_, device, rate) => {
            push(
                "io.max",
                format!("{device} {file}={}", text(*rate, "max")),
                form,
            );
            return Ok(());
        }
        Limit::IoWeight(weight) => {
            let bfq = !has(place, controller, file);
            let (file, most) = if bfq {
                ("io.bfq.weight", 1_000)
            } else {
                (file, 10_000)
            };
            push(file, weight.clamp(&1, &most).to_string(), form);
            return Ok(());
        }
        Limit::HugePages(size, amount) => {
            // Both: without the second a process may reserve what it then
            // cannot touch, and dies by SIGBUS.
            for file in ["max", "rsvd.max"] {
                push(
                    &format!("hugetlb.{size}.{file}"),
                    text(*amount, "max"),
                    form,
                );
            }
            return Ok(());
        }
        Limit::File(file, text) => {
            let bytes = file.starts_with("memory.") || file.starts_with("hugetlb.");
            let form = match file.as_str() {
                "memory.oom.group" => Form::Words,
                "io.weight" | "io.bfq.weight" => Form::Weight,
                "cpuset.cpus" | "cpuset.mems" => Form::Cpus,
                _ if bytes => Form::Bytes,
                _ => form,
            };
            push(file, text.clone(), form);
            return Ok(());
        }
        other => plain(other, "max"),
    };
    push(file, text, form);
    Ok(())
}

fn v1(limit: &Limit, all: &[Limit], place: &Place, lines: &mut Vec<Line>) -> Result<(), Error> {
    let (controller, file, _, form) = files(limit);
    let mut push = |file: &str, text: String, form| {
        lines.push(Line {
            controller,
            file: file.to_owned(),
            text,
            form,
        });
    };
    let text = match limit {
        Limit::Shares(shares, _) => shares.to_string(),
        Limit::Quota { quota, period } => {
            if let Some(period) = period {
                push("cpu.cfs_period_us", period.to_string(), form);
            }
            text(*quota, "-1")
        }
        Limit::Percent(share) => text(of_period(*share, period_now(place)?), "-1"),
        Limit::Memory(amount) => {
            push(file, text(*amount, "-1"), form);
            // What it may swap stays what it was; beside no limit it has none.
            let said = |l: &Limit| matches!(l, Limit::Swap(_) | Limit::MemoryAndSwap(_));
            let total = present(place, controller, MEMORY_AND_SWAP)?;
            if let Some(total) = total.filter(|_| !all.iter().any(said)) {
                let now = present(place, controller, file)?.unwrap_or(total);
                let total = match amount {
                    Amount::At(limit) => {
                        Amount::At(limit.saturating_add(total.saturating_sub(now)))
                    }
                    Amount::Unlimited => Amount::Unlimited,
                };
                push(MEMORY_AND_SWAP, text(total, "-1"), form);
            }
            return Ok(());
        }
        Limit::Swap(Amount::At(swap)) => match memory(all, place)? {
            Some(limit) => limit.saturating_add(*swap).to_string(),
            None => return Ok(()),
        },
        Limit::Guarantee(_, bytes) | Limit::Reservation(bytes) => {
            (*bytes).max(ONE_PAGE).to_string()
        }
        Limit::Throttle(_, device, rate) => {
            push(file, format!("{device} {}", text(*rate, "0")), Form::Rate);
            return Ok(());
        }
        Limit::IoWeight(weight) => {
            let bfq = !has(place, controller, file);
            let file = if bfq { "blkio.bfq.weight" } else { file };
            push(file, (*weight).clamp(10, 1_000).to_string(), form);
            return Ok(());
        }
        Limit::HugePages(size, amount) => {
            for file in ["limit_in_bytes", "rsvd.limit_in_bytes"] {
                push(&format!("hugetlb.{size}.{file}"), text(*amount, "-1"), form);
            }
            return Ok(());
        }
        // What version 2 alone has is told by its name there.
        Limit::High(amount) => {
            push("memory.high", text(*amount, "max"), form);
            return Ok(());
        }
        Limit::File(file, text) => {
            push(file, text.clone(), form);
            return Ok(());
        }
        Limit::Pids(amount) => text(*amount, "max"),
        other => plain(other, "-1"),
    };
    push(file, text, form);
    Ok(())
}

/// Limits that are the same number in both versions.
fn plain(limit: &Limit, unlimited: &str) -> String {
    match limit {
        Limit::Memory(amount)
        | Limit::Swap(amount)
        | Limit::High(amount)
        | Limit::Pids(amount)
        | Limit::Percent(amount)
        | Limit::Quota { quota: amount, .. }
        | Limit::Throttle(_, _, amount)
        | Limit::HugePages(_, amount) => text(*amount, unlimited),
        Limit::Shares(n, _)
        | Limit::Burst(n)
        | Limit::MemoryAndSwap(n)
        | Limit::Guarantee(_, n)
        | Limit::Reservation(n)
        | Limit::IoWeight(n) => n.to_string(),
        Limit::IoClass(class) => (*class).to_owned(),
        Limit::Idle(idle) => u8::from(*idle).to_string(),
        Limit::Cpus(text) | Limit::File(_, text) => text.clone(),
    }
}

fn text(amount: Amount, unlimited: &str) -> String {
    match amount {
        Amount::At(n) => n.to_string(),
        Amount::Unlimited => unlimited.to_owned(),
    }
}

fn of_period(share: Amount, period: u64) -> Amount {
    match share {
        Amount::At(share) => {
            let quota = u128::from(share) * u128::from(period) / u128::from(ONE_CPU);
            Amount::At(u64::try_from(quota).unwrap_or(u64::MAX).max(LEAST_QUOTA))
        }
        Amount::Unlimited => Amount::Unlimited,
    }
}

/// The memory limit that will hold: the one asked for, else the present one.
fn memory(all: &[Limit], place: &Place) -> Result<Option<u64>, Error> {
    for limit in all {
        if let Limit::Memory(amount) = limit {
            return Ok(amount.number());
        }
    }
    let (controller, v1, v2, _) = files(&Limit::Memory(Amount::Unlimited));
    let file = if place.version == Version::V2 { v2 } else { v1 };
    present(place, controller, file)
}

fn present(place: &Place, controller: &str, file: &str) -> Result<Option<u64>, Error> {
    Ok(read(place, controller, file)?.and_then(|text| bytes(text.trim())))
}

fn period_now(place: &Place) -> Result<u64, Error> {
    let text = match place.version {
        Version::V1 => read(place, "cpu", "cpu.cfs_period_us")?,
        Version::V2 => read(place, "cpu", "cpu.max")?,
    };
    let last = text
        .as_deref()
        .unwrap_or_default()
        .split_whitespace()
        .last();
    Ok(last
        .and_then(|n| n.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(PERIOD))
}

fn has(place: &Place, controller: &str, file: &str) -> bool {
    place
        .folder(controller)
        .is_some_and(|folder| folder.has(file))
}

/// A file's text; `None` where this kernel has no such file.
pub(super) fn read(place: &Place, controller: &str, file: &str) -> Result<Option<String>, Error> {
    let Some(folder) = place.folder(controller) else {
        return Ok(None);
    };
    let text = folder.read_if_there(file)?;
    Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
}
