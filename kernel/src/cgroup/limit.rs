//! Limits of a running cgroup.
//!
//! In: an [`Amount`] in core's base unit. Out: the kernel's own files, on
//! either version, and the same value read back.

use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};

use super::parse::{cpu_max, io_max, number, v1_least};
use super::{Cgroup, CgroupError, Folder, Line};

/// Microseconds of a CPU period where none is set: the kernel's default.
const PERIOD: u64 = 100_000;

/// Thousandths of a percent in one CPU.
const ONE_CPU: u64 = 100_000;

/// The kernel takes no quota below a millisecond (CFS, `min_cfs_quota_period`).
const LEAST_QUOTA: u64 = 1_000;

impl Cgroup {
    /// Sets what `key` names.
    ///
    /// # Errors
    /// When this kernel has no such limit, refuses it, or the cgroup is gone.
    pub fn set(
        &self,
        key: Key,
        amount: Amount,
        devices: &[String],
        guarantee: GuaranteeFile,
    ) -> Result<(), CgroupError> {
        match key {
            Key::CpuQuota => self.set_quota(amount),
            Key::MemoryHigh => self.set_memory("memory.high", "memory.soft_limit_in_bytes", amount),
            Key::MemoryLimit => self.set_memory("memory.max", "memory.limit_in_bytes", amount),
            Key::MemoryGuarantee => {
                let file = match guarantee {
                    GuaranteeFile::Min => "memory.min",
                    GuaranteeFile::Low => "memory.low",
                };
                let folder = self.controller("memory").filter(|f| f.has(file));
                let folder = folder.ok_or(CgroupError::NotOffered {
                    what: "a memory guarantee",
                })?;
                folder.write(file, Line::amount(amount, "max").as_str())
            }
            Key::IoReadBps => {
                self.set_io("rbps", "blkio.throttle.read_bps_device", amount, devices)
            }
            Key::IoWriteBps => {
                self.set_io("wbps", "blkio.throttle.write_bps_device", amount, devices)
            }
            Key::IoReadIops => {
                self.set_io("riops", "blkio.throttle.read_iops_device", amount, devices)
            }
            Key::IoWriteIops => {
                self.set_io("wiops", "blkio.throttle.write_iops_device", amount, devices)
            }
            _ => Err(CgroupError::NotOffered { what: key.name() }),
        }
    }

    /// What the kernel has for `key`; `None` where it does not tell.
    ///
    /// # Errors
    /// When the cgroup is gone or cannot be read.
    pub fn value(&self, key: Key) -> Result<Option<Amount>, CgroupError> {
        let read = |v2: &'static str, v1: &'static str| -> Result<Option<Amount>, CgroupError> {
            if let Some(folder) = self.v1("memory") {
                let bytes = folder.read_if_there(v1)?;
                return Ok(bytes.and_then(|t| number(&t)).map(v1_amount));
            }
            let Some(folder) = self.controller("memory") else {
                return Ok(None);
            };
            Ok(folder
                .read_if_there(v2)?
                .map(|t| number(&t).map_or(Amount::Unlimited, Amount::At)))
        };
        match key {
            Key::MemoryHigh => read("memory.high", "memory.soft_limit_in_bytes"),
            Key::MemoryLimit => read("memory.max", "memory.limit_in_bytes"),
            Key::CpuQuota => {
                let Some((quota, period)) = self.quota()? else {
                    return Ok(None);
                };
                let percent = |quota: u64| Amount::At(scaled(quota, ONE_CPU, period));
                Ok(Some(quota.map_or(Amount::Unlimited, percent)))
            }
            _ => Ok(None),
        }
    }

    /// Bytes per second that it may read and write, those of the disk that has
    /// the least; `None` where none has a limit, or the kernel does not tell.
    #[must_use]
    pub fn io_rates(&self) -> [Option<u64>; 2] {
        // Lines of at most 100 bytes, one for each disk with a limit: forty.
        let mut buffer = [0; 4096];
        if let Some(folder) = self.v1("blkio") {
            let files = [
                "blkio.throttle.read_bps_device",
                "blkio.throttle.write_bps_device",
            ];
            return files.map(|name| v1_least(folder.read_into(name, &mut buffer).ok()?));
        }
        let text = self.unified().map(|f| f.read_into("io.max", &mut buffer));
        text.and_then(Result::ok).map_or([None; 2], io_max)
    }

    /// The folder in which a controller's files are.
    fn controller(&self, name: &str) -> Option<&Folder> {
        self.v1(name).or(self.unified())
    }

    fn set_memory(&self, v2: &str, v1: &str, amount: Amount) -> Result<(), CgroupError> {
        if let Some(folder) = self.v1("memory") {
            return folder.write(v1, Line::amount(amount, "-1").as_str());
        }
        match self.unified().filter(|folder| folder.has(v2)) {
            Some(folder) => folder.write(v2, Line::amount(amount, "max").as_str()),
            None => Err(CgroupError::NotOffered {
                what: "a memory limit",
            }),
        }
    }

    /// Quota (`None`: unlimited) and period, in microseconds.
    fn quota(&self) -> Result<Option<(Option<u64>, u64)>, CgroupError> {
        if let Some(folder) = self.v1("cpu") {
            // -1, which is no number here, is unlimited.
            let quota = number(folder.read_into("cpu.cfs_quota_us", &mut [0; 32])?);
            let period = number(folder.read_into("cpu.cfs_period_us", &mut [0; 32])?);
            return Ok(period.map(|period| (quota, period)));
        }
        let Some(folder) = self.unified() else {
            return Ok(None);
        };
        match folder.read_into("cpu.max", &mut [0; 64]) {
            Ok(text) => Ok(cpu_max(text)),
            Err(CgroupError::Gone { .. }) if folder.is_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_quota(&self, amount: Amount) -> Result<(), CgroupError> {
        let not_offered = CgroupError::NotOffered {
            what: "a CPU quota",
        };
        let (_, period) = self.quota()?.ok_or(not_offered)?;
        let period = if period == 0 { PERIOD } else { period };
        let quota = amount
            .number()
            .map(|n| scaled(n, period, ONE_CPU).max(LEAST_QUOTA));
        if let Some(folder) = self.v1("cpu") {
            let quota = Line::amount(amount_of(quota), "-1");
            return folder.write("cpu.cfs_quota_us", quota.as_str());
        }
        let quota = Line::amount(amount_of(quota), "max");
        let folder = self.unified().ok_or(CgroupError::NotOffered {
            what: "a CPU quota",
        })?;
        let text = Line::of(format_args!("{quota} {period}"));
        folder.write("cpu.max", text.as_str())
    }

    /// Every device, each its own line; the first refusal is told after all
    /// were tried.
    fn set_io(
        &self,
        v2: &str,
        v1: &str,
        amount: Amount,
        devices: &[String],
    ) -> Result<(), CgroupError> {
        let write = |device: &String| match self.v1("blkio") {
            // In version 1 a zero takes the limit away.
            Some(folder) => {
                let line = Line::of(format_args!("{device} {}", Line::amount(amount, "0")));
                folder.write(v1, line.as_str())
            }
            None => {
                let folder = self.unified().filter(|folder| folder.has("io.max"));
                let folder = folder.ok_or(NO_IO_LIMIT)?;
                let amount = Line::amount(amount, "max");
                let line = Line::of(format_args!("{device} {v2}={amount}"));
                folder.write("io.max", line.as_str())
            }
        };
        let answers = devices.iter().map(write);
        answers.reduce(Result::and).unwrap_or(Err(NO_IO_LIMIT))
    }
}

const NO_IO_LIMIT: CgroupError = CgroupError::NotOffered {
    what: "an I/O limit",
};

fn amount_of(number: Option<u64>) -> Amount {
    number.map_or(Amount::Unlimited, Amount::At)
}

/// Version 1 tells "unlimited" as the largest multiple of the page size.
fn v1_amount(bytes: u64) -> Amount {
    match bytes >= 1 << 62 {
        true => Amount::Unlimited,
        false => Amount::At(bytes),
    }
}

fn scaled(n: u64, by: u64, of: u64) -> u64 {
    let wide = u128::from(n) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}
