//! CPU: weight, quota, idleness, affinity.

use super::{Origin, PlanError, Planner, Setting};
use crate::cpus::{Affinity, CpuSet};
use crate::key::Key;
use crate::value::Value;

/// A quota of 100 % in thousandths of a percent.
const ONE_CPU: u64 = 100_000;

/// The kernel's default `cpu.cfs_period_us`.
pub(crate) const DEFAULT_PERIOD: u64 = 100_000;

impl Planner<'_> {
    pub(super) fn cpu(&mut self) -> Result<(), PlanError> {
        if self.controller("cpu", &[Key::CpuShares, Key::CpuQuota, Key::CpuIdle])? {
            let quota = self.quota()?;
            self.push(quota);
            self.weight()?;
        }
        if self.controller("cpuset", &[Key::CpuAffinity])? {
            let affinity = self.affinity()?;
            self.push(affinity);
        }
        Ok(())
    }

    fn quota(&self) -> Result<Setting, PlanError> {
        let mut setting = self.plain(Key::CpuQuota)?;
        let resources = &self.inputs.spec.resources;
        let period = resources.cpu_period.unwrap_or(DEFAULT_PERIOD);
        if let (Some(Value::Number(asked)), Some(quota)) = (&setting.value, resources.cpu_quota) {
            // quota / period < asked / ONE_CPU, without dividing.
            let stricter =
                u128::from(quota) * u128::from(ONE_CPU) < u128::from(*asked) * u128::from(period);
            if stricter {
                let spec = u128::from(quota) * u128::from(ONE_CPU) / u128::from(period);
                setting = Setting {
                    note: Some(format!(
                        "stricter than {} by {}",
                        Value::Number(*asked).show(Key::CpuQuota),
                        setting.origin
                    )),
                    value: Some(Value::Number(u64::try_from(spec).unwrap_or(u64::MAX))),
                    origin: Origin::Spec,
                    ..setting
                };
            }
        } else if let (Some(Value::Unlimited), Some(quota)) = (&setting.value, resources.cpu_quota)
        {
            let spec = u128::from(quota) * u128::from(ONE_CPU) / u128::from(period);
            let spec = Value::Number(u64::try_from(spec).unwrap_or(u64::MAX));
            setting = self.join(setting, Some(spec));
        }
        Ok(setting)
    }

    fn weight(&mut self) -> Result<(), PlanError> {
        let mut shares = self.plain(Key::CpuShares)?;
        let mut idle = self.plain(Key::CpuIdle)?;
        let cgroups = &self.inputs.host.cgroups;
        if idle.value != Some(Value::Switch(true)) {
            self.push(idle);
        } else if cgroups.cpu_idle {
            let note = if cgroups.v2() {
                "not written: cpu.idle locks the weight at its least"
            } else {
                idle.note = Some("by packrank itself: engines set it on cgroup v2 only".to_owned());
                "until cpu.idle locks the weight at its least"
            };
            shares.note = Some(note.to_owned());
            self.push(idle);
        } else {
            self.leave_out(
                Key::CpuIdle,
                "the kernel has no cpu.idle (Linux 5.15); cpu.shares holds",
            )?;
        }
        self.push(shares);
        Ok(())
    }

    fn affinity(&self) -> Result<Setting, PlanError> {
        let setting = self.plain(Key::CpuAffinity)?;
        let spec = self.inputs.spec.resources.cpus.as_deref();
        let allowed: Option<CpuSet> = spec.and_then(|list| list.parse().ok());
        let Some(Value::Affinity(asked)) = &setting.value else {
            return Ok(setting);
        };
        if let (Some(list), None) = (spec, &allowed) {
            return Ok(Setting {
                value: None,
                origin: Origin::Spec,
                note: Some(format!("left out: the spec's own {list:.40?} stays")),
                ..setting
            });
        }
        let host = self.inputs.host;
        let narrowed = match (asked, &allowed) {
            (Affinity::All, None) => return Ok(setting),
            (Affinity::All, Some(allowed)) => allowed.clone(),
            (asked, None) => asked.resolve(host.cores()),
            (asked, Some(allowed)) => asked.resolve(host.cores()).intersection(allowed),
        };
        Ok(match (narrowed.is_empty(), allowed) {
            (false, Some(allowed)) if narrowed == allowed => Setting {
                value: Some(Value::Cpus(allowed)),
                origin: Origin::Spec,
                note: None,
                ..setting
            },
            (false, _) => Setting {
                value: Some(Value::Cpus(narrowed)),
                ..setting
            },
            (true, Some(allowed)) => Setting {
                note: Some(format!("{asked} and the spec's CPUs have none in common")),
                value: Some(Value::Cpus(allowed)),
                origin: Origin::Spec,
                ..setting
            },
            (true, None) => Setting {
                note: Some(format!("this host has none of {asked}")),
                value: Some(Value::Affinity(Affinity::All)),
                origin: Origin::Host,
                ..setting
            },
        })
    }
}
