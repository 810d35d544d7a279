//! What the guest's benchmarks run: a service, its neighbours, an onlooker.
//!
//!   load service RATE SECONDS MIB ASK OUT    a critical service, see `service` and `ask`
//!   load hog MIB RATE SECONDS OUT            a neighbour that wants memory
//!   load spin SECONDS OUT                    a neighbour that wants CPU time
//!   load read FILE OUT                       a neighbour that wants a file in memory
//!   load write FILE MIB SECONDS OUT          a neighbour that wants the disk
//!   load send TO MBIT SECONDS OUT            a neighbour that wants the network, see `flood`
//!   load echo PORT                           the network's other end, for the service
//!   load sink PORT OUT                       the same for its neighbours, see `far`
//!   load watch SECONDS OUT NAME=CGROUP…      when stalls began and packs died
//!   load table RATE SECONDS ALONE… -- FILE…  the service's seconds, as a table
//!   load twice RATE SECONDS ALONE… -- FILE…  files with at most twice the latency alone
//!   load first STALLS DEEDS                  from a stall to the first deed
//!
//! With GO=FILE it waits until there is one, so that all begin at once. The
//! standard library alone, so that it runs as it is in any container.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an instrument"
)]

mod ask;
mod far;
mod flood;
mod hog;
mod service;
mod table;
mod watch;

use std::time::Duration;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(go) = std::env::var_os("GO") {
        while !std::path::Path::new(&go).exists() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let seconds = |word: &str| Duration::from_secs(number(word));
    match words[..] {
        ["service", rate, time, mib, ask, out] => {
            service::serve(number(rate), seconds(time), number(mib), ask, out);
        }
        ["hog", mib, rate, time, out] => hog::grow(number(mib), number(rate), seconds(time), out),
        ["spin", time, out] => hog::spin(seconds(time), out),
        ["read", file, out] => hog::read(file, out),
        ["write", file, mib, time, out] => flood::write(file, number(mib), seconds(time), out),
        ["send", to, mbit, time, out] => flood::send(to, number(mbit), seconds(time), out),
        ["echo", port] => far::echo(port),
        ["sink", port, out] => far::sink(port, out),
        ["watch", time, out, ref packs @ ..] => watch::watch(seconds(time), out, packs),
        [verb @ ("table" | "twice"), rate, time, ref files @ ..] => {
            let split = files.iter().position(|word| *word == "--").expect("a --");
            let (alone, files) = (&files[..split], &files[split + 1..]);
            match verb {
                "table" => table::print(number(rate), number(time), alone, files),
                _ => println!(
                    "{}",
                    table::within_twice(number(rate), number(time), alone, files)
                ),
            }
        }
        ["first", stalls, deeds] => table::first(stalls, deeds),
        _ => {
            eprintln!("load: see the head of main.rs");
            std::process::exit(2);
        }
    }
}

/// Numbers without rhyme, the same in every run (a linear congruence of Knuth's).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

const PAGE: usize = 4096;
