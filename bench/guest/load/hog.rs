//! Neighbours.
//!
//! In: how much they want. Out: a line a second with what they got done: pages
//! touched, or sums of a block computed; `end` when their time was over.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::PAGE;

/// Takes memory, `rate` MiB a second, until it has `mib`; then goes on using
/// it at the same rate.
pub fn grow(mib: u64, rate: u64, time: Duration, out: &str) {
    let pages = (mib as usize) << 8;
    let mut held: Vec<u8> = Vec::with_capacity(pages * PAGE);
    let mut at = 0;
    let mut report = Report::new(out);
    while report.begin.elapsed() < time {
        // A hundredth of a second's worth at a time.
        for _ in 0..(rate as usize * 256).div_ceil(100) {
            if held.len() < pages * PAGE {
                held.resize(held.len() + PAGE, 1);
            } else {
                held[at * PAGE] = held[at * PAGE].wrapping_add(1);
                at = (at + 1) % pages;
            }
            report.done += 1;
        }
        report.tell();
        let due = Duration::from_micros(report.all() * 1_000_000 / (rate * 256));
        if let Some(early) = due.checked_sub(report.begin.elapsed()) {
            std::thread::sleep(early);
        }
    }
    report.end();
}

/// Computes.
pub fn spin(time: Duration, out: &str) {
    let block = vec![7u8; 16 << 10];
    let mut report = Report::new(out);
    while report.begin.elapsed() < time {
        let bytes = std::hint::black_box(&block).iter().map(|b| u64::from(*b));
        std::hint::black_box(bytes.fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b)));
        report.done += 1;
        report.tell();
    }
    report.end();
}

/// Reads a file through the cache, and stays; when it began, in milliseconds
/// since the epoch.
pub fn read(file: &str, out: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::fs::write(out, now.as_millis().to_string()).unwrap();
    std::io::copy(&mut File::open(file).unwrap(), &mut std::io::sink()).unwrap();
    loop {
        std::thread::park();
    }
}

pub struct Report {
    pub begin: Instant,
    pub done: u64,
    out: File,
    second: u64,
    told: u64,
}

impl Report {
    pub fn new(out: &str) -> Report {
        Report {
            begin: Instant::now(),
            out: File::create(out).unwrap(),
            second: 1,
            done: 0,
            told: 0,
        }
    }

    pub fn all(&self) -> u64 {
        self.told + self.done
    }

    pub fn end(mut self) {
        writeln!(self.out, "end").unwrap();
    }

    pub fn tell(&mut self) {
        if self.begin.elapsed() >= Duration::from_secs(self.second) {
            writeln!(self.out, "{}", self.done).unwrap();
            self.second = self.begin.elapsed().as_secs() + 1;
            (self.told, self.done) = (self.all(), 0);
        }
    }
}
