//! The proof people remember: two containers spin on one CPU.
//!
//! In: two classes. Out: who got how much of the CPU, as the kernel accounts
//! it, beside the weights that the kernel's own files say.

use std::fs;
use std::path::Path;
use std::time::Duration;

use packrank_core::Priority;

use crate::container::{Container, Programs};
use packrank_tests::kernel;

use crate::{Outcome, bundle};

/// How long they spin.
const SECONDS: u64 = 4;

/// What the built-in policy's shares say, 2048 : 128. An engine may convert
/// them to cgroup v2's weights by a curve that flattens them, to about 8 : 1.
const SHARES: f64 = 16.0;

/// Runs the race; whether the weights showed.
pub fn run(programs: &Programs, folder: &Path) -> Outcome<bool> {
    println!("A critical and a scavenger container spin on CPU 0 for {SECONDS} s:");
    let spin = "while :; do :; done";
    let start = |class: Priority| {
        let name = format!("{class}-spins");
        let bundle = bundle::make(folder, &name, class, spin, Some("0"))?;
        Container::run(programs, &bundle)
    };
    let critical = start(Priority::Critical)?;
    let scavenger = start(Priority::Scavenger)?;
    let before = (used(critical.pid)?, used(scavenger.pid)?);
    std::thread::sleep(Duration::from_secs(SECONDS));
    let after = (used(critical.pid)?, used(scavenger.pid)?);
    let seconds = |after: u64, before: u64| (after - before) as f64 / 1e6;
    let (high, low) = (seconds(after.0, before.0), seconds(after.1, before.1));
    let ratio = high / low.max(1e-6);
    let bar = |own: f64| {
        (1..=50)
            .filter(|n| f64::from(*n) <= own / (high + low) * 50.0)
            .map(|_| '#')
            .collect::<String>()
    };
    println!("  critical   {high:6.2} s  {}", bar(high));
    println!("  scavenger  {low:6.2} s  {}", bar(low));
    let (said, expected) = weights(critical.pid, scavenger.pid)?;
    println!("  ratio {ratio:.1} : 1 ({said})");
    // Half of it still shows the weights at work.
    let least = expected / 2.0;
    if ratio < least {
        eprintln!("demo: {ratio:.1} : 1 is less than {least:.1} : 1");
    }
    Ok(ratio >= least)
}

/// What the kernel's files say of the two, in words and as a ratio.
fn weights(critical: u32, scavenger: u32) -> Outcome<(String, f64)> {
    let read = |pid, controller, file| {
        let folder = kernel::folder(pid, controller)?;
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let both = |controller, file| {
        let a = read(critical, controller, file)?;
        Some((file, controller, a, read(scavenger, controller, file)?))
    };
    let both = both("cpu", "cpu.shares").or_else(|| both("", "cpu.weight"));
    let (file, controller, a, b) =
        both.ok_or("the containers have neither cpu.shares nor cpu.weight")?;
    if read(scavenger, controller, "cpu.idle") == Some(1) {
        let said = format!("{file} {a} against cpu.idle, which gets what is left over");
        return Ok((said, SHARES));
    }
    let expected = f64::from(a) / f64::from(b);
    Ok((
        format!("{file} say {a} : {b}, that is {expected:.0} : 1"),
        expected,
    ))
}

/// CPU time of the container so far, in µs.
fn used(pid: u32) -> Outcome<u64> {
    let v1 = kernel::folder(pid, "cpuacct").map(|f| f.join("cpuacct.usage"));
    if let Some(text) = v1.and_then(|path| fs::read_to_string(path).ok()) {
        return Ok(text.trim().parse::<u64>()? / 1_000);
    }
    let folder = kernel::folder(pid, "").ok_or("the container has no cgroup")?;
    let text = fs::read_to_string(folder.join("cpu.stat"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("usage_usec "));
    Ok(line.ok_or("cpu.stat has no usage_usec")?.parse()?)
}
