//! What a container can know of itself: its limits in the environment, in
//! the names that common runtimes read.
//!
//! In: the `process` object and the plan. Out: `process.env` with what was not
//! set there already.

use super::object::{DocumentError, Object, json, quote};
use crate::key::Key;
use crate::plan::Plan;

/// Node's heap is only a part of its memory; three quarters is what its own
/// documentation advises for containers.
const NODE_SHARE: u64 = 75;

/// Adds the variables to `process.env`, never overwriting one.
///
/// # Errors
/// When `env` is not a list of texts.
pub(super) fn environment(process: &mut Object<'_>, plan: &Plan) -> Result<(), DocumentError> {
    let mut env: Vec<String> = match process.raw("env")? {
        Some(text) => json(text, "process.env")?,
        None => Vec::new(),
    };
    let before = env.len();
    for (name, value) in variables(plan) {
        let set = env.iter().any(|entry| {
            entry
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        });
        if !set {
            env.push(format!("{name}={value}"));
        }
    }
    if env.len() == before {
        return Ok(());
    }
    let entries: Vec<String> = env.iter().map(|entry| quote(entry)).collect();
    process.set("env", format!("[{}]", entries.join(",")))
}

fn variables(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut list = Vec::new();
    let limit = plan.number(Key::MemoryLimit);
    if let Some(limit) = limit {
        // Go collects garbage to stay under it: the soft limit where there is one.
        let soft = plan.number(Key::MemoryHigh).unwrap_or(limit / 10 * 9);
        list.push(("MEMORY_LIMIT_BYTES", limit.to_string()));
        list.push(("GOMEMLIMIT", soft.min(limit).to_string()));
        let heap = (limit / 100 * NODE_SHARE) >> 20;
        list.push(("NODE_OPTIONS", format!("--max-old-space-size={heap}")));
    }
    let mut java = vec!["-XX:MaxRAMPercentage=75.0".to_owned()];
    if let Some(share) = plan.number(Key::CpuQuota) {
        // Threads: whole CPUs, at least one.
        let threads = share.div_ceil(100_000).max(1);
        list.push((
            "CPU_LIMIT",
            format!("{}.{:02}", share / 100_000, share % 100_000 / 1_000),
        ));
        list.push(("GOMAXPROCS", threads.to_string()));
        list.push(("OMP_NUM_THREADS", threads.to_string()));
        java.push(format!("-XX:ActiveProcessorCount={threads}"));
    }
    list.push(("JAVA_TOOL_OPTIONS", java.join(" ")));
    list
}
