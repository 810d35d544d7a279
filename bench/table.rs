//! The table that people read.

use crate::race::{Times, spread};

pub fn head(rounds: usize) {
    println!(
        "medians of {rounds} interleaved rounds (fewer with real engines), 10th to 90th percentile; milliseconds"
    );
    println!();
    println!(
        "{:<52} {:>8} {:>17} {:>8} {:>17}",
        "", "wall", "p10 - p90", "CPU", "p10 - p90"
    );
}

pub fn section(title: &str) {
    println!("\n{title}");
}

/// A line; with a goal for its wall time, whether it is met.
pub fn row(name: &str, times: &Times, goal: Option<f64>) {
    let ((wall, low, high), cpu) = (spread(&times.wall), spread(&times.cpu));
    let goal = goal.map(|goal| verdict(wall, goal)).unwrap_or_default();
    line(name, (wall, low, high), cpu, &goal);
}

/// A line whose goal is for its CPU time.
pub fn row_by_cpu(name: &str, times: &Times, goal: f64) {
    let cpu = spread(&times.cpu);
    line(name, spread(&times.wall), cpu, &verdict(cpu.0, goal));
}

fn verdict(value: f64, goal: f64) -> String {
    let word = if value <= goal { "met" } else { "MISSED" };
    format!("goal {goal:.2}: {word}")
}

fn line(name: &str, wall: (f64, f64, f64), cpu: (f64, f64, f64), goal: &str) {
    let range = |(_, low, high): (f64, f64, f64)| format!("{low:.3} - {high:.3}");
    println!(
        "  {name:<50} {:>8.3} {:>17} {:>8.3} {:>17}  {goal}",
        wall.0,
        range(wall),
        cpu.0,
        range(cpu)
    );
}

/// How one compares with another, taken within one run.
pub fn ratio(name: &str, a: &Times, b: &Times) {
    let of = |a: &[f64], b: &[f64]| spread(a).0 / spread(b).0;
    println!(
        "  {name:<50} {:>7.2}x {:>17} {:>7.2}x",
        of(&a.wall, &b.wall),
        "",
        of(&a.cpu, &b.cpu)
    );
}

pub fn note(text: &str) {
    println!("  {text}");
}
