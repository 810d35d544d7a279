//! A service with a working set, asked so many times a second.
//!
//! In: requests a second, their working set in MiB, what else they ask for
//! (see `ask`).
//! Out: a line a second: requests done, their mean and longest latency in
//! microseconds. A request has its time whether the one before it is done or
//! not, and its latency counts from then, so that no stall is left out. In a
//! second in which none is done, the latency is the oldest waiting one's age.
//! `end` is the last line of one that lived.
//!
//! A request reads and writes 32 pages of the set at random, asks once, and
//! computes a sum over 16 KiB.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::ask::{Ask, buffer};
use crate::{PAGE, Random};

const TOUCHED: usize = 32;

pub fn serve(rate: u64, time: Duration, mib: u64, ask: &str, out: &str) {
    let mut set = vec![1u8; (mib as usize) << 20];
    let pages = (set.len() / PAGE).max(1) as u64;
    let mut ask = Ask::new(ask);
    let mut out = File::create(out).unwrap();
    let mut random = Random(1);
    let mut room = Vec::new();
    let buffer = buffer(&mut room);
    let begin = Instant::now();
    let (mut request, mut second) = (0u64, 1u64);
    let (mut done, mut sum, mut longest) = (0u64, 0u64, 0u64);
    loop {
        let due = Duration::from_micros(request * 1_000_000 / rate);
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            std::thread::sleep(early);
        }
        // Seconds that ended since, before this request is done.
        let mut tell = |now: Duration, done: &mut u64, sum: &mut u64, longest: &mut u64| {
            while now >= Duration::from_secs(second) && second <= time.as_secs() {
                let waited = Duration::from_secs(second).saturating_sub(due).as_micros() as u64;
                let mean = sum.checked_div(*done).unwrap_or(waited);
                writeln!(out, "{done} {mean} {}", waited.max(*longest)).unwrap();
                (*done, *sum, *longest) = (0, 0, 0);
                second += 1;
            }
        };
        tell(begin.elapsed(), &mut done, &mut sum, &mut longest);
        if begin.elapsed() >= time {
            writeln!(out, "end").unwrap();
            return;
        }
        for _ in 0..TOUCHED {
            let at = random.below(pages) as usize * PAGE;
            set[at] = set[at].wrapping_add(1);
        }
        ask.once(buffer, &mut random);
        let bytes = buffer.iter().map(|b| u64::from(*b));
        std::hint::black_box(bytes.fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b)));
        let now = begin.elapsed();
        // What took longer than its second counts in the one it ended in.
        tell(now, &mut done, &mut sum, &mut longest);
        let latency = now.saturating_sub(due).as_micros() as u64;
        (done, sum, longest) = (done + 1, sum + latency, longest.max(latency));
        request += 1;
    }
}
