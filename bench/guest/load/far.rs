//! The other end of the network.
//!
//! In: a port. Out: what comes by TCP is sent back (`echo`), or taken, by TCP
//! and by UDP (`sink`), with a file of a line for each address and the bytes
//! that came from it, new every second.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub fn echo(port: &str) {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
        });
    }
}

pub fn sink(port: &str, out: &str) {
    let came: Arc<Mutex<BTreeMap<IpAddr, u64>>> = Arc::default();
    let count = |came: &Mutex<BTreeMap<IpAddr, u64>>, from: IpAddr, bytes: usize| {
        *came.lock().unwrap().entry(from).or_default() += bytes as u64;
    };
    let datagrams = UdpSocket::bind(format!("0.0.0.0:{port}")).unwrap();
    let counts = came.clone();
    thread::spawn(move || {
        let mut bytes = [0; 2_048];
        while let Ok((n, from)) = datagrams.recv_from(&mut bytes) {
            count(&counts, from.ip(), n);
        }
    });
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    let counts = came.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip();
            let counts = counts.clone();
            thread::spawn(move || {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(n @ 1..) = stream.read(&mut bytes) {
                    count(&counts, from, n);
                }
            });
        }
    });
    let next = format!("{out}.next");
    loop {
        thread::sleep(Duration::from_secs(1));
        let lines = came.lock().unwrap().clone();
        let lines = lines
            .iter()
            .map(|(from, bytes)| format!("{from} {bytes}\n"));
        fs::write(&next, lines.collect::<String>()).unwrap();
        fs::rename(&next, out).unwrap();
    }
}
