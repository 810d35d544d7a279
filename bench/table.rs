//! The table that people read, and its figures for programs.
//!
//! In: results as they come. Out: a line each on stdout, with the machine's
//! load when it was printed; the same as JSON, one object a line, appended to
//! the file that `PACKRANK_BENCH` names. A run that is ended early leaves what
//! it has measured.

use std::fs::{self, File};
use std::io::Write;

use serde_json::{Value, json};

use crate::race::{Times, spread};

pub fn head(rounds: usize) {
    println!(
        "medians of {rounds} interleaved rounds (fewer with real engines), 10th to 90th percentile; milliseconds;"
    );
    println!("behind them wall and CPU time as parts of a peer's in the same rounds");
    println!();
    println!(
        "{:<48} {:>8} {:>17} {:>8} {:>17}",
        "", "wall", "p10 - p90", "CPU", "p10 - p90"
    );
}

pub fn section(title: &str) {
    println!("\n{title}");
    keep(json!({ "section": title }));
}

/// A result: the line, with the load behind it, and its figures.
pub fn result(line: &str, figures: Value) {
    let load = load();
    println!("  {line}  load {load:.2}");
    let mut figures = figures;
    figures["load"] = json!(load);
    keep(figures);
}

/// Why something has no result.
pub fn not_measured(why: &str) {
    result(
        &format!("not measured: {why}"),
        json!({ "not-measured": why }),
    );
}

/// Processes that ran or waited for a disk, the mean of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn keep(figures: Value) {
    if let Some(path) = std::env::var_os("PACKRANK_BENCH") {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{figures}").unwrap();
    }
}

/// What a line is to be at most.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Milliseconds of the processor.
    Cpu(f64),
    /// Of the peer's processor time.
    CpuOf(f64),
    /// Of the peer's time.
    WallOf(f64),
}

/// A line.
#[derive(Debug)]
#[must_use = "it is printed by `print`"]
pub struct Row<'t> {
    name: String,
    times: &'t Times,
    peer: Option<(&'t str, &'t Times)>,
    goals: Vec<Goal>,
}

impl<'t> Row<'t> {
    pub fn of(name: &str, times: &'t Times) -> Row<'t> {
        Row {
            name: name.to_owned(),
            times,
            peer: None,
            goals: Vec::new(),
        }
    }

    /// Beside a peer that took its turns in the same rounds; none where it is
    /// not installed.
    pub fn beside(self, name: &'t str, peer: Option<&'t Times>) -> Row<'t> {
        let peer = peer.map(|times| (name, times));
        Row { peer, ..self }
    }

    pub fn goal(mut self, goal: Goal) -> Row<'t> {
        self.goals.push(goal);
        self
    }

    pub fn print(self) {
        let (wall, cpu) = (spread(&self.times.wall), spread(&self.times.cpu));
        let range = |(_, low, high): (f64, f64, f64)| format!("{low:.3} - {high:.3}");
        let ratio = self.peer.map(|(name, peer)| {
            let peer = (spread(&peer.wall).0, spread(&peer.cpu).0);
            (name, part(wall.0, peer.0), part(cpu.0, peer.1))
        });
        let mut figures = json!({
            "name": self.name.trim(),
            "wall-ms": [wall.0, wall.1, wall.2],
            "cpu-ms": [cpu.0, cpu.1, cpu.2],
        });
        let mut line = format!(
            "{:<46} {:>8.3} {:>17} {:>8.3} {:>17}",
            self.name,
            wall.0,
            range(wall),
            cpu.0,
            range(cpu)
        );
        if let Some((name, wall, cpu)) = ratio {
            figures["peer"] = json!({ "name": name, "wall": wall, "cpu": cpu });
            let text = |part: Option<f64>| part.map_or("-".to_owned(), |p| format!("{p:.2}"));
            line += &format!("  {} / {} of {name}", text(wall), text(cpu));
        }
        let mut goals = Vec::new();
        for goal in self.goals {
            let (value, goal, unit) = match (goal, ratio) {
                (Goal::Cpu(goal), _) => (cpu.0, goal, "ms of CPU"),
                (Goal::CpuOf(goal), Some((name, _, Some(cpu)))) => (cpu, goal, name),
                (Goal::WallOf(goal), Some((name, Some(wall), _))) => (wall, goal, name),
                // No ratio, no word.
                _ => continue,
            };
            line += &format!("  goal {goal:.2} {unit}: {}", verdict(value, goal));
            goals.push(json!({ "goal": goal, "of": unit, "met": value <= goal }));
        }
        figures["goals"] = json!(goals);
        result(&line, figures);
    }
}

/// How much of the peer's it is; of differences that noise made negative, no
/// ratio can be had.
fn part(own: f64, peer: f64) -> Option<f64> {
    (own > 0.0 && peer > 0.0).then(|| own / peer)
}

/// Whether what is to be small is.
pub fn verdict(value: f64, goal: f64) -> &'static str {
    if value <= goal { "met" } else { "MISSED" }
}

pub fn note(text: &str) {
    println!("  {text}");
}
