//! What was measured, as people read it.
//!
//! In: the service's seconds. Out: isolation (requests done in a second, of the
//! rate) and latency impact (a second's mean latency less the median second's
//! of the service alone, of that), as resctl-bench has them: percentiles, mean
//! and standard deviation. A second of which
//! nothing was written, since the service hung or had died, is one in which
//! nothing was done and the oldest request grew a second older.

use std::fs;

const PERCENTILES: [usize; 11] = [0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100];

struct Measured {
    isolation: Vec<f64>,
    impact: Vec<f64>,
    baseline: f64,
}

fn measured(rate: u64, time: u64, alone: &[&str], files: &[&str]) -> Measured {
    let baseline = sorted(&seconds(alone, time), |second| second[1]);
    let baseline = percentile(&baseline, 50).max(1.0);
    let all = seconds(files, time);
    Measured {
        isolation: sorted(&all, |second| (second[0] / rate as f64 * 100.0).min(100.0)),
        impact: sorted(&all, |second| impact(second, baseline)),
        baseline,
    }
}

/// In percent of what the service has alone.
fn impact(second: &[f64; 3], baseline: f64) -> f64 {
    (second[1] / baseline - 1.0).max(0.0) * 100.0
}

pub fn print(rate: u64, time: u64, alone: &[&str], files: &[&str]) {
    let Measured {
        isolation,
        impact: impacts,
        baseline,
    } = measured(rate, time, alone, files);
    if isolation.is_empty() {
        return println!("no second was measured");
    }
    let head = PERCENTILES.map(|p| match p {
        0 => "min".to_owned(),
        100 => "max".to_owned(),
        p => format!("p{p:02}"),
    });
    row(
        "",
        head.into_iter().chain(["mean", "stdev"].map(str::to_owned)),
    );
    for (name, values) in [("isol%", &isolation), ("lat-imp%", &impacts)] {
        let (mean, deviation) = spread(values);
        let at = PERCENTILES.map(|p| percentile(values, p));
        row(name, at.into_iter().chain([mean, deviation]).map(figure));
    }
    println!("{} s, alone {baseline:.0} us", isolation.len());
    let rounds: Vec<Vec<[f64; 3]>> = files.iter().map(|file| seconds(&[*file], time)).collect();
    let least = rounds.iter().map(Vec::len).min().unwrap_or(0);
    let each = (0..least).map(|at| {
        let there = rounds.iter().filter_map(|round| round.get(at));
        let sum: f64 = there.map(|second| impact(second, baseline)).sum();
        format!(" {:.0}", sum / rounds.len() as f64)
    });
    println!(
        "lat-imp% by second, mean of rounds:{}",
        each.collect::<String>()
    );
}

fn row(name: &str, cells: impl Iterator<Item = String>) {
    let cells = cells.map(|cell| format!(" {cell:>6}"));
    println!("{name:<9}{}", cells.collect::<String>());
}

/// To a tenth, and large ones without.
fn figure(value: f64) -> String {
    match value {
        value if value < 1_000.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, (squares.sum::<f64>() / n).sqrt())
}

/// Files in which the mean latency was at most twice the median second's alone.
pub fn within_twice(rate: u64, time: u64, alone: &[&str], files: &[&str]) -> usize {
    let within = |file: &&&str| spread(&measured(rate, time, alone, &[**file]).impact).0 <= 100.0;
    files.iter().filter(within).count()
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
