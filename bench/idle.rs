//! What idle processes hold and take.
//!
//! In: kinds, each with the processes it is seen by. Out: memory, and CPU time
//! and waits in windows of time, all of them looked at in the same ones.

use std::thread;
use std::time::Duration;

use packrank_tests::usage;
use serde_json::json;

use crate::race::spread;
use crate::table::{note, result};

/// What is looked at: its name, and its processes.
pub struct Kind<'k> {
    pub name: &'k str,
    pub pids: Vec<i32>,
}

/// What was seen: of each process, or of each of its windows.
#[derive(Debug, Default)]
pub struct Idle {
    /// Resident memory, its share of it, and what is locked, in KiB.
    pub rss: Vec<f64>,
    pub pss: Vec<f64>,
    pub locked: Vec<f64>,
    pub threads: Vec<f64>,
    /// CPU time, in percent of one core.
    pub cpu: Vec<f64>,
    /// How often it waited, a second.
    pub waits: Vec<f64>,
}

/// Looks on for so many windows.
pub fn look(kinds: &[Kind<'_>], windows: usize, each: Duration) -> Vec<Idle> {
    let mut seen: Vec<Idle> = kinds.iter().map(|_| Idle::default()).collect();
    let counts = || -> Vec<(f64, f64)> {
        let pids = kinds.iter().flat_map(|kind| &kind.pids);
        let count = |pid: &i32| {
            let cpu = usage::on_cpu(*pid).as_secs_f64();
            (cpu, usage::waits(*pid) as f64)
        };
        pids.map(count).collect()
    };
    let seconds = each.as_secs_f64();
    for _ in 0..windows {
        let before = counts();
        thread::sleep(each);
        let mut grown = before.into_iter().zip(counts());
        for (kind, idle) in kinds.iter().zip(&mut seen) {
            for (before, after) in grown.by_ref().take(kind.pids.len()) {
                idle.cpu.push((after.0 - before.0) / seconds * 100.0);
                idle.waits.push((after.1 - before.1) / seconds);
            }
        }
    }
    for (kind, idle) in kinds.iter().zip(&mut seen) {
        for pid in &kind.pids {
            idle.rss.push(usage::rss(*pid) as f64);
            idle.pss.push(usage::pss(*pid) as f64);
            idle.locked.push(usage::locked(*pid) as f64);
            idle.threads.push(usage::threads(*pid) as f64);
        }
    }
    seen
}

/// A line for each, the first one being the peer of the others.
pub fn print(kinds: &[Kind<'_>], seen: &[Idle]) {
    note(&format!(
        "{:<34} {:>8} {:>8} {:>8} {:>8} {:>9} {:>19} {:>8}   {}",
        "",
        "RSS, KiB",
        "PSS",
        "locked",
        "threads",
        "CPU, %",
        "p10 - p90",
        "waits/s",
        "RSS, PSS, CPU of the first"
    ));
    let median = |values: &[f64]| spread(values).0;
    for (index, (kind, idle)) in kinds.iter().zip(seen).enumerate() {
        let (cpu, low, high) = spread(&idle.cpu);
        let of = |part: &dyn Fn(&Idle) -> f64| {
            let ratio = part(idle) / part(&seen[0]);
            // Nothing of nothing is no ratio.
            match ratio.is_finite() {
                true => format!("{ratio:.2}"),
                false => "-".to_owned(),
            }
        };
        let ratio = match index {
            0 => String::new(),
            _ => format!(
                "{}, {}, {}",
                of(&|i| median(&i.rss)),
                of(&|i| median(&i.pss)),
                of(&|i| median(&i.cpu))
            ),
        };
        let (rss, pss) = (median(&idle.rss), median(&idle.pss));
        let (locked, threads) = (median(&idle.locked), median(&idle.threads));
        let waits = median(&idle.waits);
        let range = format!("{low:.4} - {high:.4}");
        result(
            &format!(
                "{:<34} {rss:>8.0} {pss:>8.0} {locked:>8.0} {threads:>8.0} {cpu:>9.4} {range:>19} {waits:>8.1}   {ratio}",
                kind.name,
            ),
            json!({
                "name": kind.name, "rss-kib": rss, "pss-kib": pss, "locked-kib": locked,
                "threads": threads, "cpu-percent": [cpu, low, high], "waits-a-second": waits,
            }),
        );
    }
}
