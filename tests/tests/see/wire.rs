//! A network for a pack: a veth to it, and somebody who answers.
//!
//! In: a test's own network (see `apart`), and a pack that has one of its own.
//! Out: the two connected. The wire goes with either of the networks; whoever
//! answers, when nothing came for five seconds.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use packrank_tests::node::Node;

/// The name of its end here.
pub const HERE: &str = "test-db";

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {words}: {said}");
}

/// Brings the loopback of this network up.
pub fn loopback() {
    ip("link set lo up");
}

/// Gives the pack an `eth0`, with somebody at 192.0.2.1:4242 who sends
/// everything back.
pub fn connect(node: &Node, id: &str) {
    let pid = node.pid(id);
    let network = |of: &str| fs::read_link(format!("/proc/{of}/ns/net")).unwrap();
    node.wait("the pack has a network of its own", || {
        network(&pid.to_string()) != network("thread-self")
    });
    ip(&format!(
        "link add {HERE} type veth peer name eth0 netns {pid}"
    ));
    ip(&format!("address add 192.0.2.1/30 dev {HERE}"));
    ip(&format!("link set {HERE} up"));
    let listener = TcpListener::bind("192.0.2.1:4242").unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(60);
        let mut left = 2;
        while left > 0 && Instant::now() < until {
            match listener.accept() {
                Ok((stream, _)) => {
                    left -= 1;
                    thread::spawn(|| echo(stream));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    });
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let patience = Some(Duration::from_secs(5));
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            n => stream.write_all(&chunk[..n])?,
        }
    }
}
