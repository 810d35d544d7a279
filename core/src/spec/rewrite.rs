//! Writing a plan into a spec.
//!
//! In: a spec and its plan. Out: the document, edited in `linux.resources`,
//! `process` and `annotations` and nowhere else. A value the spec already had
//! is left as it is written, so that doing it twice gives the same bytes.

use super::object::{DocumentError, Object, quote};
use super::process::ProcessPart;
use super::resources::{Device, MOST_SIGNED, Resources, THROTTLES};
use super::{Spec, inform, security};
use crate::annotation::DOMAIN;
use crate::host::Cgroups;
use crate::key::Key;
use crate::plan::{DEFAULT_PERIOD, Origin, Plan, THROTTLE_KEYS};
use crate::value::Value;

type Written = Result<(), DocumentError>;

/// A quota of 100 % in thousandths of a percent.
const ONE_CPU: u64 = 100_000;

/// The kernel refuses a quota below one millisecond.
const LEAST_QUOTA: u64 = 1_000;

/// The spec's document with the plan written into it, to be rendered.
///
/// # Errors
/// When a member to be edited is not of its shape, or stands twice.
pub fn rewrite<'t>(
    spec: &Spec<'t>,
    plan: &Plan,
    cgroups: &Cgroups,
) -> Result<Object<'t>, DocumentError> {
    let mut document = spec.document.clone();
    let resources = document.inside("linux")?.inside("resources")?;
    write_resources(resources, &spec.resources, plan, cgroups)?;
    let part = ProcessPart::of(|key| plan.value(key).cloned(), spec.user_namespace);
    let process = document.inside("process")?;
    part.write(process)?;
    if plan.inform {
        inform::environment(process, plan)?;
    }
    if part.restricted {
        security::restrict(&mut document, spec)?;
    }
    let priority = format!("{DOMAIN}priority");
    if plan.rank.claimed != priority && !plan.rank.claimed.ends_with(&format!(".{priority}")) {
        // What came by flag, name or default is written down, so that a later
        // update or hook finds the same class.
        let name = quote(plan.rank.priority.name());
        document.inside("annotations")?.set(&priority, name)?;
    }
    Ok(document)
}

/// Writes the plan's resources into a `linux.resources` object, whether of a
/// spec or of an update; `had` is what the object said before.
///
/// # Errors
/// When a member to be edited is not of its shape, or stands twice.
pub fn write_resources(
    object: &mut Object<'_>,
    had: &Resources,
    plan: &Plan,
    cgroups: &Cgroups,
) -> Written {
    let mut writer = Writer {
        object,
        had,
        plan,
        v2: cgroups.v2(),
    };
    writer.cpu()?;
    writer.memory()?;
    writer.guarantee()?;
    writer.hugepages()?;
    writer.io(cgroups)?;
    if let Some(limit) = plan.number(Key::Pids) {
        writer.set("pids", "limit", above_none(limit))?;
        writer.no_file("pids.max")?;
    }
    Ok(())
}

/// Most engines take a limit of 0 for none. 1 leaves as little to the kernel: no
/// page, and no process beside the first.
fn above_none(limit: u64) -> u64 {
    limit.max(1)
}

struct Writer<'w, 't> {
    object: &'w mut Object<'t>,
    had: &'w Resources,
    plan: &'w Plan,
    v2: bool,
}

impl Writer<'_, '_> {
    /// Sets a member; one that says so already is left as it is written.
    fn set(&mut self, part: &str, member: &str, number: u64) -> Written {
        self.object.inside(part)?.set(member, number.to_string())
    }

    /// Sets a v2 file; one that says so already is left as it is written.
    fn file(&mut self, name: &str, value: u64) -> Written {
        if self.had.unified_number(name) == Some(value) {
            return Ok(());
        }
        let value = quote(&value.to_string());
        self.object.inside("unified")?.set(name, value)
    }

    /// Takes out a v2 file, which engines write last, because a member of
    /// the spec now says it.
    fn no_file(&mut self, name: &str) -> Written {
        match self.had.unified.contains_key(name) {
            true => self.object.inside("unified")?.remove(name),
            false => Ok(()),
        }
    }

    fn cpu(&mut self) -> Written {
        if let Some((quota, period)) = self.quota() {
            self.set("cpu", "quota", quota)?;
            if let Some(period) = period {
                self.set("cpu", "period", period)?;
            }
            // The kernel refuses a burst above the quota.
            if self.had.cpu_burst > Some(quota) {
                self.set("cpu", "burst", quota)?;
            }
            if self.v2 && self.had.unified_number("cpu.max.burst") > Some(quota) {
                self.file("cpu.max.burst", quota)?;
            }
            self.no_file("cpu.max")?;
        }
        if self.v2 && self.plan.value(Key::CpuIdle) == Some(&Value::Switch(true)) {
            // The kernel refuses a weight for an idle cgroup, and engines
            // differ in which they write first.
            self.file("cpu.idle", 1)?;
            self.no_file("cpu.weight")?;
            if self.had.cpu_shares.is_some() {
                self.object.inside("cpu")?.remove("shares")?;
            }
        } else if let Some(shares) = self.plan.number(Key::CpuShares) {
            self.set("cpu", "shares", shares)?;
            self.no_file("cpu.weight")?;
        }
        let affinity = self.plan.setting(Key::CpuAffinity);
        if let Some((Some(Value::Cpus(cpus)), origin)) = affinity.map(|s| (&s.value, s.origin))
            && origin != Origin::Spec
        {
            let cpus = quote(&cpus.to_string());
            self.object.inside("cpu")?.set("cpus", cpus)?;
            self.no_file("cpuset.cpus")?;
        }
        Ok(())
    }

    /// Quota and period to write: the spec's own pair where it decided.
    fn quota(&self) -> Option<(u64, Option<u64>)> {
        let setting = self.plan.setting(Key::CpuQuota)?;
        let share = setting.value.as_ref()?.number()?;
        if setting.origin == Origin::Spec {
            return Some((self.had.cpu_quota?, self.had.cpu_period));
        }
        let of = |period: u64| share.saturating_mul(period) / ONE_CPU;
        let period = self.had.cpu_period.filter(|p| of(*p) >= LEAST_QUOTA);
        let period = period.unwrap_or(DEFAULT_PERIOD);
        Some((of(period).max(LEAST_QUOTA), Some(period)))
    }

    fn memory(&mut self) -> Written {
        let limit = self.plan.number(Key::MemoryLimit).map(above_none);
        if let Some(limit) = limit {
            self.set("memory", "limit", limit)?;
            self.no_file("memory.max")?;
        }
        if let Some((limit, swap)) = limit.zip(self.plan.number(Key::MemorySwap)) {
            let total = limit.saturating_add(swap).min(MOST_SIGNED);
            self.set("memory", "swap", total)?;
            if self.v2 {
                // youki leaves swap unlimited where the total is the limit.
                self.file("memory.swap.max", swap)?;
            }
        }
        if let Some(high) = self.plan.number(Key::MemoryHigh).filter(|_| self.v2) {
            self.file("memory.high", high)?;
        }
        // A container is one thing: what is left of it after half of it was
        // killed serves nobody.
        let spoken = self.had.unified.contains_key("memory.oom.group");
        if self.v2 && !spoken && self.plan.value(Key::MemoryLimit).is_some() {
            self.file("memory.oom.group", 1)?;
        }
        Ok(())
    }

    fn guarantee(&mut self) -> Written {
        /// On v1 a soft limit of nothing is not written by engines; one page
        /// says the same: reclaim here first.
        const ONE_PAGE: u64 = 4096;
        let Some(bytes) = self.plan.number(Key::MemoryGuarantee) else {
            return Ok(());
        };
        if !self.v2 {
            return self.set("memory", "reservation", bytes.max(ONE_PAGE));
        }
        let file = self.plan.guarantee_file.name();
        if bytes > 0 || self.had.unified.contains_key(file) {
            self.file(file, bytes)?;
        }
        if self.had.memory_reservation.is_some() {
            self.object.inside("memory")?.remove("reservation")?;
        }
        Ok(())
    }

    fn hugepages(&mut self) -> Written {
        let withheld = self.plan.value(Key::Hugepages) == Some(&Value::Switch(false));
        if !withheld {
            return Ok(());
        }
        let mut sizes = self.plan.page_sizes.clone();
        sizes.extend(self.had.hugepages.keys().cloned());
        let done = sizes
            .iter()
            .all(|size| self.had.hugepages.get(size) == Some(&0));
        if !done {
            let entry = |size: &String| format!(r#"{{"pageSize":{},"limit":0}}"#, quote(size));
            let entries: Vec<String> = sizes.iter().map(entry).collect();
            let array = format!("[{}]", entries.join(","));
            self.object.set("hugepageLimits", array)?;
        }
        for size in &sizes {
            self.no_file(&format!("hugetlb.{size}.max"))?;
        }
        if self.v2 {
            // Without it a process may reserve what it cannot touch, and dies
            // by SIGBUS instead of getting ENOMEM.
            for size in sizes {
                self.file(&format!("hugetlb.{size}.rsvd.max"), 0)?;
            }
        }
        Ok(())
    }

    fn io(&mut self, cgroups: &Cgroups) -> Written {
        self.throttles()?;
        let weight = self.plan.number(Key::IoWeight);
        if let (Some(weight), Some(file)) = (weight, cgroups.io_weight) {
            /// blkio.weight's and bfq's range; io.weight goes to 10000.
            const MOST: u64 = 1_000;
            if !self.v2 {
                return self.set("blockIO", "weight", weight.clamp(10, MOST));
            }
            let most = if file == "io.weight" { 10_000 } else { MOST };
            self.file(file, weight.min(most))?;
            if self.object.object("blockIO")?.raw("weight")?.is_some() {
                self.object.inside("blockIO")?.remove("weight")?;
            }
        }
        Ok(())
    }
}

impl Writer<'_, '_> {
    fn throttles(&mut self) -> Written {
        let planned = THROTTLE_KEYS.map(|key| self.plan.number(key));
        if planned.iter().all(Option::is_none) {
            return Ok(());
        }
        // io.max would be written over all of them: what it says goes into
        // the members.
        let raw = self.had.unified.contains_key("io.max");
        for (index, rate) in planned.into_iter().enumerate() {
            let had = &self.had.throttles[index];
            let mut rates = had.clone();
            for disk in &self.plan.disks {
                let Some(rate) = rate else { break };
                let entry = rates.entry(disk.device).or_insert(rate);
                *entry = rate.min(*entry);
            }
            if rates != *had || (raw && !rates.is_empty()) {
                let array = throttle_array(&rates);
                self.object
                    .inside("blockIO")?
                    .set(THROTTLES[index], array)?;
            }
        }
        self.no_file("io.max")
    }
}

fn throttle_array<'r>(rates: impl IntoIterator<Item = (&'r Device, &'r u64)>) -> String {
    let entry = |(device, rate): (&Device, &u64)| {
        format!(
            r#"{{"major":{},"minor":{},"rate":{rate}}}"#,
            device.major, device.minor
        )
    };
    let entries: Vec<String> = rates.into_iter().map(entry).collect();
    format!("[{}]", entries.join(","))
}
