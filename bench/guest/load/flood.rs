//! Neighbours that want the disk, or the network.
//!
//! In: how much they want. Out: a line a second with what they got done: bytes
//! that are on the disk, or that the network took; `end` when their time was
//! over.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::hog::Report;

/// Written between two waits for the disk.
const SYNCED: usize = 4 << 20;

/// A datagram's bytes.
const DATAGRAM: usize = 1_200;

/// Writes `file`, `mib` long, over and over, as fast as the disk takes it.
pub fn write(file: &str, mib: u64, time: Duration, out: &str) {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(file)
        .unwrap();
    let bytes = vec![5u8; SYNCED];
    let mut report = Report::new(out);
    let mut at = 0;
    while report.begin.elapsed() < time {
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at = (at + SYNCED as u64) % (mib << 20);
        report.done += SYNCED as u64;
        report.tell();
    }
    report.end();
}

/// Sends `tcp:ADDRESS` as much as it takes, `udp:ADDRESS` `mbit` a second.
pub fn send(to: &str, mbit: u64, time: Duration, out: &str) {
    let mut report = Report::new(out);
    match to.split_once(':').unwrap() {
        ("udp", address) => {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(address).unwrap();
            let bytes = [5u8; DATAGRAM];
            while report.begin.elapsed() < time {
                // What is refused is lost, as datagrams are.
                let sent = socket.send(&bytes).unwrap_or(0);
                report.done += sent as u64;
                report.tell();
                pace(report.begin, report.all() * 8, mbit);
            }
        }
        (_, address) => {
            let mut stream = TcpStream::connect(address).unwrap();
            // Its own end comes while it waits, too.
            let wait = Some(Duration::from_millis(500));
            stream.set_write_timeout(wait).unwrap();
            let bytes = vec![5u8; 64 << 10];
            while report.begin.elapsed() < time {
                report.done += stream.write(&bytes).unwrap_or(0) as u64;
                report.tell();
            }
        }
    }
    report.end();
}

fn pace(begin: Instant, bits: u64, mbit: u64) {
    let due = Duration::from_micros(bits / mbit);
    // Timers of less than a few milliseconds are the emulated processor's ruin.
    let early = due.saturating_sub(begin.elapsed());
    if early > Duration::from_millis(4) {
        std::thread::sleep(early);
    }
}
