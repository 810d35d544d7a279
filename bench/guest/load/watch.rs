//! An onlooker: when the node began to stall, and when each pack ended.
//!
//! In: packs' cgroups. Out: `stall MS` and `dead NAME MS` lines, milliseconds
//! since the epoch. A stall begins where the kernel's total of memory stalls
//! (`some`) grows by a tenth of the time over the next 50 ms, after half a
//! second without. It looks every 5 ms; totals are exact, so a beginning is
//! told to 5 ms.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const EVERY: Duration = Duration::from_millis(5);

pub fn watch(time: Duration, out: &str, packs: &[&str]) {
    let mut out = File::create(out).unwrap();
    let pressure = File::open("/proc/pressure/memory").unwrap();
    let mut packs: Vec<(&str, File)> = packs
        .iter()
        .filter_map(|pack| {
            let (name, cgroup) = pack.split_once('=').unwrap();
            let events = File::open(format!("{cgroup}/cgroup.events")).ok()?;
            Some((name, events))
        })
        .collect();
    let mut samples: Vec<(u64, u64)> = Vec::with_capacity(1 << 16);
    let begin = Instant::now();
    let mut buffer = [0; 512];
    while begin.elapsed() < time {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_millis() as u64;
        let read = pressure.read_at(&mut buffer, 0).unwrap();
        samples.push((now, total(&buffer[..read])));
        packs.retain(|(name, events)| {
            let read = events.read_at(&mut buffer, 0);
            let dead = read.map_or(true, |n| !buffer[..n].starts_with(b"populated 1"));
            if dead {
                writeln!(out, "dead {name} {now}").unwrap();
            }
            !dead
        });
        std::thread::sleep(EVERY);
    }
    for at in begins(&samples) {
        writeln!(out, "stall {at}").unwrap();
    }
}

/// Microseconds, from the `some` line.
fn total(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once("total=")
        .and_then(|(_, n)| n.parse().ok())
        .unwrap_or(0)
}

fn begins(samples: &[(u64, u64)]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut quiet_since = 0;
    for (index, pair) in samples.windows(2).enumerate() {
        let ((at, before), (_, after)) = (pair[0], pair[1]);
        if after == before {
            continue;
        }
        let end = samples[index..].iter().find(|(t, _)| *t >= at + 50);
        let grown = end.map_or(0, |(_, total)| total - before);
        if grown >= 5_000 {
            if at >= quiet_since + 500 {
                found.push(at);
            }
            quiet_since = at;
        }
    }
    found
}
