//! In: a container's cgroup. Out: its figures in the form in which runc's `events` prints them:
//! times in nanoseconds, sizes in bytes. What the host does not count is left out or zero.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cgroup::{Place, read};

/// The `data` of a statistics event.
pub fn of(place: &Place) -> Value {
    if place.v2().is_some() {
        v2(place)
    } else {
        v1(place)
    }
}

/// Processes killed for lack of memory so far.
pub fn oom_kills(place: &Place) -> u64 {
    let file = if place.v2().is_some() {
        "memory.events"
    } else {
        "memory.oom_control"
    };
    table(place, "memory", file)
        .get("oom_kill")
        .copied()
        .unwrap_or(0)
}

fn v2(place: &Place) -> Value {
    let cpu = table(place, "cpu", "cpu.stat");
    let of = |name: &str| cpu.get(name).copied().unwrap_or(0);
    let memory = table(place, "memory", "memory.stat");
    let swap = number(place, "memory", "memory.swap.current");
    json!({
        "cpu": {
            "usage": {
                "total": of("usage_usec") * 1000,
                "kernel": of("system_usec") * 1000,
                "user": of("user_usec") * 1000
            },
            "throttling": throttling(of("nr_periods"), of("nr_throttled"), of("throttled_usec") * 1000)
        },
        "memory": {
            "cache": memory.get("file").copied().unwrap_or(0),
            "usage": entry(number(place, "memory", "memory.current"), number(place, "memory", "memory.max"), None),
            "swap": entry(swap, number(place, "memory", "memory.swap.max"), None),
            "raw": memory
        },
        "pids": pids(place),
        "blkio": io_stat(place)
    })
}

fn v1(place: &Place) -> Value {
    let throttled = table(place, "cpu", "cpu.stat");
    let of = |name: &str| throttled.get(name).copied().unwrap_or(0);
    // In units of 1/100 s, as the kernel fixes it for user space.
    let used = table(place, "cpuacct", "cpuacct.stat");
    let tick = |name: &str| used.get(name).copied().unwrap_or(0) * 10_000_000;
    let memory = table(place, "memory", "memory.stat");
    let of_memory = |prefix: &str| {
        let part = |file: &str| number(place, "memory", &format!("{prefix}.{file}"));
        entry(
            part("usage_in_bytes"),
            part("limit_in_bytes"),
            part("failcnt"),
        )
    };
    json!({
        "cpu": {
            "usage": {
                "total": number(place, "cpuacct", "cpuacct.usage").unwrap_or(0),
                "percpu": numbers(place, "cpuacct", "cpuacct.usage_percpu"),
                "kernel": tick("system"),
                "user": tick("user")
            },
            "throttling": throttling(of("nr_periods"), of("nr_throttled"), of("throttled_time"))
        },
        "memory": {
            "cache": memory.get("cache").copied().unwrap_or(0),
            "usage": of_memory("memory"),
            "swap": of_memory("memory.memsw"),
            "raw": memory
        },
        "pids": pids(place),
        "blkio": {
            "ioServiceBytesRecursive": throttle_file(place, "blkio.throttle.io_service_bytes_recursive"),
            "ioServicedRecursive": throttle_file(place, "blkio.throttle.io_serviced_recursive")
        }
    })
}

fn throttling(periods: u64, throttled: u64, time: u64) -> Value {
    json!({"periods": periods, "throttledPeriods": throttled, "throttledTime": time})
}

fn entry(usage: Option<u64>, limit: Option<u64>, failures: Option<u64>) -> Value {
    json!({"usage": usage.unwrap_or(0), "limit": limit.unwrap_or(u64::MAX), "failcnt": failures.unwrap_or(0)})
}

fn pids(place: &Place) -> Value {
    let current = number(place, "pids", "pids.current").unwrap_or(0);
    json!({"current": current, "limit": number(place, "pids", "pids.max").unwrap_or(0)})
}

fn text(place: &Place, controller: &str, file: &str) -> Option<String> {
    read(place.controller(controller)?, file)
}

/// None also for `max`.
fn number(place: &Place, controller: &str, file: &str) -> Option<u64> {
    text(place, controller, file)?.trim().parse().ok()
}

fn numbers(place: &Place, controller: &str, file: &str) -> Vec<u64> {
    let text = text(place, controller, file).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn table(place: &Place, controller: &str, file: &str) -> BTreeMap<String, u64> {
    let text = text(place, controller, file).unwrap_or_default();
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn device(name: &str) -> Option<(u64, u64)> {
    let (major, minor) = name.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 Read 4096`
fn throttle_file(place: &Place, file: &str) -> Vec<Value> {
    let text = text(place, "blkio", file).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let (op, value) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        Some(json!({"major": major, "minor": minor, "op": op, "value": value}))
    };
    text.lines().filter_map(line).collect()
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`
fn io_stat(place: &Place) -> Value {
    let text = text(place, "blkio", "io.stat").unwrap_or_default();
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => ("ioServiceBytesRecursive", "Read"),
                "wbytes" => ("ioServiceBytesRecursive", "Write"),
                "rios" => ("ioServicedRecursive", "Read"),
                "wios" => ("ioServicedRecursive", "Write"),
                _ => continue,
            };
            let value: u64 = value.parse().unwrap_or(0);
            let entry = json!({"major": major, "minor": minor, "op": op, "value": value});
            lists.entry(list).or_default().push(entry);
        }
    }
    Value::Object(
        lists
            .into_iter()
            .map(|(name, list)| (name.to_owned(), list.into()))
            .collect::<Map<_, _>>(),
    )
}
