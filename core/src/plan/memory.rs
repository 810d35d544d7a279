//! Memory: limit, soft limit, guarantee, swap, huge pages.

use super::{Inputs, Origin, PlanError, Planner, Setting};
use crate::key::Key;
use crate::value::Value;

/// The kernel keeps these files in whole pages.
const PAGE: u64 = 4096;

impl Planner<'_> {
    pub(super) fn memory(&mut self) -> Result<(), PlanError> {
        self.huge_pages()?;
        let keys = [
            Key::MemoryLimit,
            Key::MemoryHigh,
            Key::MemoryGuarantee,
            Key::MemorySwap,
        ];
        if !self.controller("memory", &keys)? {
            return Ok(());
        }
        let resources = &self.inputs.spec.resources;
        let spec_limit = [
            resources.memory_limit,
            resources.memory_and_swap,
            resources.unified_number("memory.max"),
        ];
        let spec_limit = spec_limit.into_iter().flatten().min();
        let limit = self.join(self.plain(Key::MemoryLimit)?, spec_limit.map(Value::Number));
        let bytes = limit.value.as_ref().and_then(Value::number);
        let by = limit.origin;
        self.push(limit);
        self.high(bytes)?;
        self.guarantee(bytes, by)?;
        self.swap(bytes)
    }

    fn high(&mut self, limit: Option<u64>) -> Result<(), PlanError> {
        let asked = self.asked(Key::MemoryHigh, |value| settle(value, limit))?;
        if !self.inputs.host.cgroups.v2() {
            return self.leave_out(
                Key::MemoryHigh,
                "cgroup v1 does not slow growth; there the limit and, under pressure, the soft limit hold",
            );
        }
        let spec = self.inputs.spec.resources.unified_number("memory.high");
        let setting = self.join(asked, spec.map(Value::Number));
        self.push(setting);
        Ok(())
    }

    fn guarantee(&mut self, limit: Option<u64>, by: Origin) -> Result<(), PlanError> {
        let Inputs {
            spec,
            host,
            policy,
            rank,
            ..
        } = self.inputs;
        let asked = self.plain(Key::MemoryGuarantee)?;
        let resources = &spec.resources;
        let file = policy.guarantee_file(rank.priority);
        let written = [
            resources.memory_reservation,
            resources.unified_number(file.name()),
        ];
        // A 0 restricts nothing: the kubelet's MemoryQoS writes it for every
        // container that asks for no memory.
        let spec = written.into_iter().flatten().filter(|n| *n > 0).min();
        let mut setting = self.join(asked, spec.map(Value::Number));
        if let Some(limit) = limit {
            // A limit of 0 is written as 1: engines take 0 for none.
            cap(&mut setting, limit.max(1), by, || {
                "never above memory.limit".to_owned()
            });
        }
        let some = setting.value.as_ref().and_then(Value::number) > Some(0);
        if let Some((memory, source)) = some.then(|| host.memory()).flatten() {
            let most = memory / PAGE * PAGE;
            cap(&mut setting, most, Origin::Host, || {
                format!("all the memory there is, by {source}")
            });
        }
        if !host.cgroups.v2() && setting.note.is_none() {
            setting.note = Some(
                "cgroup v1 guarantees nothing; as the soft limit it is reclaimed to last"
                    .to_owned(),
            );
        } else if setting.note.is_none() && setting.value != Some(Value::Number(0)) {
            setting.note = Some(format!(
                "{}, worth what the parent cgroups have",
                file.name()
            ));
        }
        self.push(setting);
        Ok(())
    }

    fn swap(&mut self, limit: Option<u64>) -> Result<(), PlanError> {
        if !self.inputs.host.cgroups.swap {
            return self.leave_out(Key::MemorySwap, "the kernel does not account swap");
        }
        let resources = &self.inputs.spec.resources;
        // The spec's largest number limits nothing, and is what stands there
        // where limit and swap together are more.
        let most = i64::MAX.unsigned_abs();
        let total = resources.memory_and_swap.filter(|total| *total < most);
        let beside = total.map(|total| {
            let limit = resources.memory_limit.unwrap_or(total);
            total.saturating_sub(limit)
        });
        let spec = [beside, resources.unified_number("memory.swap.max")];
        let asked = self.plain(Key::MemorySwap)?;
        let setting = self.join(asked, spec.into_iter().flatten().min().map(Value::Number));
        if limit.is_none() && setting.value != Some(Value::Unlimited) {
            return self.leave_out(
                Key::MemorySwap,
                "swap is limited beside a memory limit, and there is none",
            );
        }
        self.push(setting);
        Ok(())
    }

    fn huge_pages(&mut self) -> Result<(), PlanError> {
        let setting = self.plain(Key::Hugepages)?;
        let host = self.inputs.host;
        if setting.value == Some(Value::Switch(true)) {
            self.push(setting);
            return Ok(());
        }
        if !self.controller("hugetlb", &[Key::Hugepages])? {
            return Ok(());
        }
        if host.page_sizes().is_empty() {
            return self.leave_out(Key::Hugepages, "the kernel has no huge pages to withhold");
        }
        self.push(setting);
        Ok(())
    }
}

/// Brings the setting down to `most`, where it is above.
fn cap(setting: &mut Setting, most: u64, origin: Origin, note: impl FnOnce() -> String) {
    if setting.value.as_ref().and_then(Value::number) > Some(most) {
        setting.value = Some(Value::Number(most));
        setting.origin = origin;
        setting.note = Some(note());
    }
}

/// A share of the limit in bytes, whole pages; of no limit, no limit.
fn settle(value: &Value, limit: Option<u64>) -> Value {
    match (value, limit) {
        (Value::Share(share), Some(limit)) => {
            let bytes = u128::from(limit) * u128::from(*share) / 100_000;
            let bytes = u64::try_from(bytes).unwrap_or(limit);
            Value::Number((bytes / PAGE * PAGE).max(PAGE))
        }
        (Value::Share(_), None) => Value::Unlimited,
        (other, _) => other.clone(),
    }
}
