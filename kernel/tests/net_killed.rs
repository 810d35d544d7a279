//! Killed at any moment: what was made so far has its owner's name on it, the
//! next apply completes it, and removal finds all of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio, id};
use std::thread;
use std::time::Duration;

use packrank_kernel::net::{Guard, Means, Shape, Target, apply, list_ours, remove};

use crate::net_lab::{Container, NO_GUARD, both, megabits, on_a_host, sh};

const ROUNDS: u64 = 100;
const NETNS: &str = "PACKRANK_TEST_NETNS";
const GUARD: Guard = Guard {
    connections: Some(1000),
    new_connections: Some(100),
    packets: Some(833),
    dscp: Some(8),
};

/// Not a test of its own: the process that is killed. It shapes and frees the
/// container over and over.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(NETNS) else {
        return;
    };
    let netns = File::open(path).unwrap();
    let target = Target {
        id: "victim",
        netns: netns.as_fd(),
        net_admin: std::env::var_os("PACKRANK_TEST_ADMIN").is_some(),
        net_raw: false,
    };
    println!("ready");
    loop {
        for (shape, guard) in [
            (both(megabits(10)), GUARD),
            (both(megabits(20)), GUARD),
            (Shape::default(), NO_GUARD),
        ] {
            apply(&target, &shape, &guard, &Means::default()).unwrap();
        }
        remove("victim").unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_that_is_not_found() {
    on_a_host(|_| {
        let clean = sh("tc qdisc show; nft list ruleset; ip -o link show type ifb");
        let container = Container::with_veth("victim", 10);
        let path = format!("/proc/{}/fd/{}", id(), container.namespace.as_raw_fd());
        let mut left_something: u64 = 0;
        for round in 0..ROUNDS {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args([
                    "net_killed::victim",
                    "--exact",
                    "--nocapture",
                    "--test-threads=1",
                ])
                .env(NETNS, &path)
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            if round % 4 == 0 {
                command.env("PACKRANK_TEST_ADMIN", "yes");
            }
            let mut victim = command.spawn().unwrap();
            let output = BufReader::new(victim.stdout.take().unwrap());
            assert!(output.lines().any(|line| line.unwrap().ends_with("ready")));
            // Spread over some runs through the loop; a step takes about 50 µs.
            thread::sleep(Duration::from_micros(round * 7919 % 12_000));
            victim.kill().unwrap();
            victim.wait().unwrap();

            let ours = list_ours().unwrap();
            left_something += u64::from(!ours.is_empty());
            for found in ours {
                assert_eq!(found.owner.as_deref(), Some("victim"), "{found:?}");
            }
            if round % 2 == 0 {
                let applied = container.apply(&both(megabits(10)), &GUARD);
                assert!(applied.made.len() >= 4, "{applied:?}");
                assert!(!container.apply(&both(megabits(10)), &GUARD).changed);
            } else {
                remove("victim").unwrap();
                assert_eq!(list_ours().unwrap(), []);
            }
        }
        assert!(left_something > ROUNDS / 4, "{left_something} kills hit");
        drop(container);
        sh("ip link del veth10 2>/dev/null; true");
        remove("victim").unwrap();
        let after = sh("tc qdisc show; nft list ruleset; ip -o link show type ifb");
        assert_eq!(after, clean);
    });
}
