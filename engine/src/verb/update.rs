//! `update`: other limits for a container that exists.

use std::fs;
use std::io::Read;
use std::path::Path;

use libcontainer::oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources,
};

use crate::cli;
use crate::context::Context;
use crate::error::Error;
use crate::{resources, systemd};

pub fn perform(options: &cli::Update, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    if !record.status(&home).lives() {
        return Err(Error::NotRunning);
    }
    let wanted = match &options.resources {
        Some(path) => from_file(path)?,
        None => from_options(options)?,
    };
    if let Some(unit) = &record.place.unit {
        systemd::apply(unit, &record.place, &wanted)?;
    }
    resources::apply(&record.place, &wanted, false)?;
    Ok(0)
}

fn from_file(path: &Path) -> Result<LinuxResources, Error> {
    let name = format!("resources file {}", path.display());
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .read_to_end(&mut text)
            .map_err(Error::io(&name))?;
    } else {
        text = fs::read(path).map_err(Error::io(&name))?;
    }
    serde_json::from_slice(&text).map_err(Error::json(&name))
}

fn from_options(options: &cli::Update) -> Result<LinuxResources, Error> {
    if options.l3_cache_schema.is_some() || options.mem_bw_schema.is_some() {
        return Err(Error::NotSupported("update of Intel RDT".to_owned()));
    }
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(options.cpu_share)
        .set_quota(options.cpu_quota)
        .set_period(options.cpu_period)
        .set_burst(options.cpu_burst)
        .set_idle(options.cpu_idle)
        .set_realtime_runtime(options.cpu_rt_runtime)
        .set_realtime_period(options.cpu_rt_period)
        .set_cpus(options.cpuset_cpus.clone())
        .set_mems(options.cpuset_mems.clone());
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(bytes("memory", options.memory.as_deref())?)
        .set_reservation(bytes(
            "memory-reservation",
            options.memory_reservation.as_deref(),
        )?)
        .set_swap(bytes("memory-swap", options.memory_swap.as_deref())?);
    let mut resources = LinuxResources::default();
    resources
        .set_devices(None)
        .set_cpu(Some(cpu))
        .set_memory(Some(memory));
    if let Some(weight) = options.blkio_weight {
        let mut io = LinuxBlockIo::default();
        io.set_weight(Some(weight));
        resources.set_block_io(Some(io));
    }
    if let Some(limit) = options.pids_limit {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    Ok(resources)
}

/// Bytes, with a suffix of powers of 1024 as Docker takes it; -1 for unlimited.
fn bytes(option: &str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(text) = text else { return Ok(None) };
    if text == "-1" {
        return Ok(Some(-1));
    }
    let refused = || {
        Error::Usage(format!(
            "update: --{option} {text:?} is not a size such as 512m"
        ))
    };
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: i64 = match lower[digits.len()..]
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return Err(refused()),
    };
    let number: i64 = digits
        .parse()
        .ok()
        .filter(|number| *number >= 0)
        .ok_or_else(refused)?;
    number.checked_mul(factor).map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("5", 5),
            ("64k", 65_536),
            ("1G", 1 << 30),
            ("2mb", 2 << 20),
            ("3MiB", 3 << 20),
            ("-1", -1),
        ] {
            assert_eq!(bytes("memory", Some(text)).unwrap(), Some(wanted), "{text}");
        }
        for text in ["", "m", "-5", "1x", "99999999999g"] {
            assert!(bytes("memory", Some(text)).is_err(), "{text}");
        }
    }
}
