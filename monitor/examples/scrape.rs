//! What a scrape of a thousand packs costs:
//! `cargo run --release -p packrank-monitor --example scrape WATCHER`.
//!
//! In: a node on which cgroups can be made, and the watcher's program with
//! `packrank` beside it. Out: a table: a look at 1 000 real cgroups, its text
//! in both formats, the answer over HTTP; and the watcher's own CPU time and
//! the time between its looks, while nobody asks and while somebody never
//! stops asking. Medians, with the least and the most.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an instrument"
)]

#[allow(dead_code, reason = "the other instrument uses the rest")]
#[path = "../../watcher/examples/figures/real.rs"]
mod real;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use packrank_core::record::Packs;
use packrank_monitor::tally::Tally;
use packrank_monitor::{Sampler, metrics, textfile};
use packrank_watcher::{Roots, history};
use real::{Real, record, row};

const PACKS: usize = 1_000;

/// For how long the watcher is observed.
const LONG: Duration = Duration::from_secs(30);

fn main() {
    let Some(program) = std::env::args_os().nth(1) else {
        eprintln!("which watcher?");
        return;
    };
    let Some(real) = Real::make(PACKS) else {
        println!("SKIPPED: no cgroups can be made here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let records = Packs::under(&run);
    records.make().unwrap();
    for (number, (child, names, _)) in real.pods.iter().enumerate() {
        records.write(&record(number, child.id(), names)).unwrap();
    }
    println!("{PACKS} packs, microseconds (median, least, most)");
    in_process(&run);
    let watcher = Watcher::start(Path::new(&program), folder.path());
    answers(&watcher, &run);
    looks(&watcher, &run);
}

/// Wall and CPU time of each of so many.
fn times(count: usize, clock: ClockId, mut body: impl FnMut()) -> [Vec<Duration>; 2] {
    let mut spans = [Vec::new(), Vec::new()];
    for _ in 0..count {
        let (wall, cpu) = (Instant::now(), spent(clock));
        body();
        spans[0].push(wall.elapsed());
        spans[1].push(spent(clock) - cpu);
    }
    spans
}

fn spent(clock: ClockId) -> Duration {
    clock_gettime(clock).unwrap().into()
}

fn both(what: &str, [mut wall, mut cpu]: [Vec<Duration>; 2]) {
    row(&format!("{what}, wall"), &mut wall);
    row(&format!("{what}, CPU"), &mut cpu);
}

fn in_process(run: &Path) {
    let own = ClockId::CLOCK_THREAD_CPUTIME_ID;
    let roots = Roots {
        run: run.to_owned(),
        ..Roots::default()
    };
    let mut sampler = Sampler::new(roots).unwrap();
    let mut snapshot = Arc::new(sampler.look());
    assert_eq!(snapshot.packs.len(), PACKS);
    let spans = times(30, own, || snapshot = Arc::new(sampler.look()));
    both("a look", spans);
    let tally = Tally::default();
    let mut text = String::new();
    let spans = times(30, own, || {
        text = metrics::encode(&snapshot, &tally).unwrap()
    });
    both("its text", spans);
    let spans = times(30, own, || drop(textfile::older(&text)));
    both("its text in the older format", spans);
    println!("  the text has {} bytes", text.len());
}

struct Watcher(Child);

impl Watcher {
    fn start(program: &Path, folder: &Path) -> Watcher {
        let policy = folder.join("policy.toml");
        fs::write(
            &policy,
            "[watch]\nlinger = 600\nhistory = 1\nadaptive.every = 1\n",
        )
        .unwrap();
        fs::set_permissions(&policy, PermissionsExt::from_mode(0o600)).unwrap();
        let child = Command::new(program)
            .args(["--foreground", "--guest", "--policy"])
            .arg(folder)
            .arg("--run")
            .arg(folder.join("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let watcher = Watcher(child.unwrap());
        // Past its start, and the answer of whoever it starts.
        for _ in 0..300 {
            if scrape(&folder.join("run")).is_some_and(|size| size > 1 << 20) {
                return watcher;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the watcher does not come up");
    }

    fn clock(&self) -> ClockId {
        clock_of(self.0.id())
    }

    /// Who answers scrapes for it.
    fn exporter(&self) -> ClockId {
        let pid = self.0.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).unwrap();
        clock_of(children.trim().parse().expect("one child"))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn clock_of(pid: u32) -> ClockId {
    clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).unwrap()
}

/// As Prometheus asks: the answer's size.
fn scrape(run: &Path) -> Option<usize> {
    let mut stream = UnixStream::connect(run.join("metrics.sock")).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let request =
        b"GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()
}

/// The exporter's CPU time of an answer; a look of its own that falls into one
/// is its most.
fn answers(watcher: &Watcher, run: &Path) {
    let clock = watcher.exporter();
    let pause = || std::thread::sleep(Duration::from_millis(300));
    let mut spans = [Vec::new(), Vec::new()];
    for _ in 0..50 {
        let [wall, cpu] = times(1, clock, || {
            scrape(run).expect("an answer");
        });
        spans[0].extend(wall);
        spans[1].extend(cpu);
        pause();
    }
    both("an answer", spans);
}

/// The watcher's own looks, of which there is one a second.
fn looks(watcher: &Watcher, run: &Path) {
    println!(
        "the watcher's looks, one a second, for {} s each",
        LONG.as_secs()
    );
    for (what, asked) in [("nobody asks", false), ("asked without a pause", true)] {
        let (begin, cpu) = (Instant::now(), spent(watcher.clock()));
        let mut count = 0;
        let from = now();
        while begin.elapsed() < LONG {
            match asked {
                true => count += usize::from(scrape(run).is_some()),
                false => std::thread::sleep(Duration::from_secs(1)),
            }
        }
        let used = (spent(watcher.clock()) - cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
        let rows = history::read(&fs::read(history_of(run)).unwrap(), now(), now() - from);
        let mut gaps: Vec<Duration> = rows
            .windows(2)
            .map(|two| Duration::from_millis(two[1].at - two[0].at))
            .collect();
        row(&format!("{what}: between two looks"), &mut gaps);
        println!("  {what}: {:.2} % of a core, {count} answers", used * 100.0);
    }
}

fn history_of(run: &Path) -> PathBuf {
    Roots {
        run: run.to_owned(),
        ..Roots::default()
    }
    .history()
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
