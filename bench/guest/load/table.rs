//! What was measured, as people read it.
//!
//! In: the service's seconds. Out: isolation (requests done in a second, of the
//! rate) and latency impact (a second's mean latency less the median second's
//! of the service alone, of that), as resctl-bench has them: min, p01, p05,
//! p50, mean; for impact also p95, p99 and the largest. A second of which
//! nothing was written, since the service hung or had died, is one in which
//! nothing was done and the oldest request grew a second older.

use std::fs;

pub fn print(rate: u64, time: u64, alone: &str, files: &[&str]) {
    let baseline = sorted(&seconds(&[alone], time), |second| second[1]);
    let baseline = percentile(&baseline, 50).max(1.0);
    let all = seconds(files, time);
    if all.is_empty() {
        return println!("no second was measured");
    }
    let isolation = sorted(&all, |second| (second[0] / rate as f64 * 100.0).min(100.0));
    let impact = sorted(&all, |second| (second[1] / baseline - 1.0).max(0.0) * 100.0);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let of = |values: &[f64], at: &[usize]| {
        let texts = at
            .iter()
            .map(|at| format!(" {:7.1}", percentile(values, *at)));
        texts.collect::<String>()
    };
    println!(
        "isol%    min p01 p05 p50 mean      {} {:7.1}  ({} s)",
        of(&isolation, &[0, 1, 5, 50]),
        mean(&isolation),
        all.len()
    );
    println!(
        "lat-imp% p50 p95 p99 max mean      {} {:7.1}  (alone {baseline:.0} us)",
        of(&impact, &[50, 95, 99, 100]),
        mean(&impact)
    );
}

/// Milliseconds from the begin of the first stall to the first deed after it;
/// nothing where there was none within ten seconds.
pub fn first(stalls: &str, deeds: &str) {
    let numbers = |path: &str, word: &str| -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines.filter_map(|rest| rest.trim().parse().ok()).collect()
    };
    let Some(begin) = numbers(stalls, "stall ").into_iter().min() else {
        return;
    };
    let deeds = numbers(deeds, "").into_iter();
    let waited = deeds.filter_map(|at| at.checked_sub(begin)).min();
    if let Some(ms) = waited.filter(|ms| *ms < 10_000) {
        println!("{ms}");
    }
}

/// Requests done, mean and longest latency in microseconds.
fn seconds(files: &[&str], time: u64) -> Vec<[f64; 3]> {
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        let words = |line: &str| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        };
        let lines = text.lines().map(words);
        let mut told: Vec<[f64; 3]> = lines
            .filter_map(|line: Vec<f64>| line.try_into().ok())
            .collect();
        let mut waited = 0.0;
        while (told.len() as u64) < time {
            waited += 1e6;
            told.push([0.0, waited, waited]);
        }
        // The first two fill caches.
        all.extend(told.into_iter().skip(2));
    }
    all
}

fn sorted(seconds: &[[f64; 3]], of: impl Fn(&[f64; 3]) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = seconds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}
