//! Rates, measured: what a sender gets through, in both directions.

use std::thread;
use std::time::Duration;

use packrank_kernel::net::{Guard, Means, Note, Rate, Shape, apply, remove};

use crate::net_lab::traffic::Flow;
use crate::net_lab::{Container, Host, NO_GUARD, both, inside, megabits, on_a_host, sh};

fn out<'a>(host: &'a Host, container: &'a Container, address: &'a str) -> Flow<'a> {
    Flow {
        from: &container.namespace,
        to: &host.namespace,
        address,
        warm_up: Duration::from_millis(700),
        measured: Duration::from_millis(1500),
    }
}

fn inward<'a>(host: &'a Host, container: &'a Container, address: &'a str) -> Flow<'a> {
    Flow {
        from: &host.namespace,
        to: &container.namespace,
        ..out(host, container, address)
    }
}

/// Within 5 %. A busy machine can starve the sender, so what is too little is
/// measured again; what is too much is too much.
#[track_caller]
fn assert_near(megabits: u64, measure: impl Fn() -> f64) {
    let wanted = megabits as f64 * 1e6;
    let mut ratio = 0.0;
    for _ in 0..4 {
        ratio = measure() / wanted;
        if ratio >= 0.95 {
            break;
        }
    }
    assert!(
        (0.95..=1.05).contains(&ratio),
        "{ratio:.3} of {megabits} Mbit/s"
    );
}

#[test]
fn a_veth_is_held_to_its_rate_in_both_directions() {
    on_a_host(|host| {
        let container = Container::with_veth("both", 10);
        let applied = container.apply(&both(megabits(20)), &NO_GUARD);
        assert!(
            applied.notes.iter().all(|note| *note == Note::NoFairQueue),
            "{applied:?}"
        );
        assert_near(20, || out(host, &container, "10.10.0.1:5001").tcp());
        assert_near(20, || inward(host, &container, "10.10.0.2:5001").tcp());
        assert_near(20, || {
            out(host, &container, "10.10.0.1:5002").udp(30_000_000)
        });
        assert_near(20, || {
            inward(host, &container, "10.10.0.2:5002").udp(30_000_000)
        });
        assert_near(20, || out(host, &container, "[fd00:10::1]:5003").tcp());
        // Below the limit nothing is lost.
        assert_near(15, || {
            out(host, &container, "10.10.0.1:5004").udp(15_000_000)
        });
        assert_near(20, || inward(host, &container, "[fd00:10::2]:5003").tcp());
    });
}

#[test]
fn what_is_handed_down_in_one_piece_does_not_hold_up_others() {
    on_a_host(|host| {
        let container = Container::with_veth("pieces", 10);
        // At 200 Mbit/s the longest piece takes 2.6 ms and stays whole.
        container.apply(&both(megabits(200)), &NO_GUARD);
        container.apply(&both(megabits(2)), &NO_GUARD);
        // An interface counts what it gets unsplit as one packet.
        let arrived = || {
            let line = container.sh("grep eth0 /proc/thread-self/net/dev");
            let numbers: Vec<f64> = line
                .split(&[':', ' '])
                .filter_map(|word| word.parse().ok())
                .collect();
            (numbers[0], numbers[1])
        };
        let before = arrived();
        inward(host, &container, "10.10.0.2:5001").tcp();
        let after = arrived();
        let bytes = (after.0 - before.0) / (after.1 - before.1);
        // Two packets less one byte are not split.
        assert!((1000.0..3028.0).contains(&bytes), "{bytes} bytes a piece");
    });
}

#[test]
fn the_longest_frame_of_an_interface_passes_the_lowest_rate() {
    on_a_host(|_| {
        let container = Container::with_veth("jumbo", 10);
        container.apply(&both(megabits(1)), &NO_GUARD);
        // Made larger meanwhile, as the watcher hears, who then applies again.
        let jumbo = |device: &str| format!("ip link set {device} mtu 9000");
        sh(&jumbo("veth10"));
        container.sh(&jumbo("eth0"));
        container.apply(&both(megabits(1)), &NO_GUARD);
        // 9000 bytes with the headers of IP and ICMP, there and back.
        sh("ping -c 2 -i 0.2 -W 30 -M do -s 8972 10.10.0.2");
    });
}

#[test]
fn a_second_interface_shares_what_the_container_may_send() {
    on_a_host(|host| {
        let container = Container::with_veth("shared", 10);
        container.veth(11, "net1");
        container.apply(&both(megabits(20)), &NO_GUARD);
        assert_near(20, || {
            thread::scope(|scope| {
                let one = scope.spawn(|| out(host, &container, "10.10.0.1:5001").udp(15_000_000));
                let two = scope.spawn(|| out(host, &container, "10.11.0.1:5001").udp(15_000_000));
                one.join().unwrap() + two.join().unwrap()
            })
        });
    });
}

#[test]
fn a_macvlan_is_held_to_its_rate() {
    on_a_host(|host| {
        sh(
            "ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up
            ip addr add 10.50.0.1/24 dev up1",
        );
        let container = Container::new("macvlan");
        container.give(
            "ip link add link up0 name mac0 type macvlan mode bridge",
            "mac0",
        );
        container.sh("ip addr add 10.50.0.2/24 dev mac0; ip link set mac0 up");
        container.apply(&both(megabits(20)), &NO_GUARD);
        assert_near(20, || out(host, &container, "10.50.0.1:5001").tcp());
        assert_near(20, || inward(host, &container, "10.50.0.2:5001").tcp());
    });
}

/// Kernels that lack one thing or another, as far as leaving it unused shows.
#[test]
fn without_nf_tables_a_tc_filter_redirects() {
    on_a_host(|host| {
        let container = Container::with_veth("u32", 10);
        let guard = Guard {
            packets: Some(10_000),
            dscp: Some(8),
            ..NO_GUARD
        };
        for means in [
            Means {
                nf_tables: false,
                ..Means::default()
            },
            Means {
                forward: false,
                ..Means::default()
            },
        ] {
            let target = container.target();
            let applied = apply(&target, &both(megabits(20)), &guard, &means).unwrap();
            let lacking = |note: &Note| matches!(note, Note::Lacking { settings, .. } if *settings == "network.dscp");
            assert!(applied.notes.iter().any(lacking), "{:?}", applied.notes);
            assert!(sh("tc filter show dev veth10 ingress").contains("mirred"));
            assert_near(20, || out(host, &container, "10.10.0.1:5001").tcp());
            let again = apply(&target, &both(megabits(20)), &guard, &means).unwrap();
            assert!(!again.changed, "{again:?}");
        }
        // Found on the next start: nf_tables takes over, nothing is doubled.
        container.apply(&both(megabits(20)), &guard);
        assert_eq!(sh("tc filter show dev veth10 ingress"), "");
        assert_near(20, || out(host, &container, "10.10.0.1:5001").tcp());
        remove("u32").unwrap();
        assert_eq!(sh("ip -o link show type ifb; nft list ruleset"), "");
    });
}

#[test]
fn without_an_ifb_what_exceeds_the_rate_is_dropped() {
    on_a_host(|host| {
        let container = Container::with_veth("policed", 10);
        let means = Means {
            ifb: false,
            ..Means::default()
        };
        let shape = Shape {
            egress: Some(megabits(20)),
            ingress: None,
        };
        let applied = apply(&container.target(), &shape, &NO_GUARD, &means).unwrap();
        assert_eq!(applied.notes, [Note::Policed]);
        // nf_tables' own burst is one second of rate, which a sender that had
        // to wait for a processor gets again: that is measured again too.
        let mut flow = out(host, &container, "10.10.0.1:5002");
        flow.warm_up = Duration::from_millis(2500);
        let mut ratios = Vec::new();
        let held = (0..4).any(|_| {
            ratios.push(flow.udp(40_000_000) / 20e6);
            ratios.last().is_some_and(|r| (0.95..=1.05).contains(r))
        });
        assert!(held, "{ratios:?} of 20 Mbit/s");
    });
}

#[test]
fn a_lowered_rate_gives_no_second_burst() {
    on_a_host(|host| {
        let container = Container::with_veth("tokens", 10);
        let rate = |megabits: u64| Rate {
            bits_per_second: megabits * 1_000_000,
            burst_bits: 2 * megabits * 1_000_000,
        };
        container.apply(&both(rate(20)), &NO_GUARD);
        // Two seconds' worth go at once, then the rate.
        let mut flow = out(host, &container, "10.10.0.1:5002");
        flow.warm_up = Duration::from_millis(2500);
        thread::scope(|scope| {
            scope.spawn(|| {
                for megabits in [10, 12, 10, 11, 10, 10, 12, 10] {
                    thread::sleep(Duration::from_millis(300));
                    inside(&host.namespace, || {
                        container.apply(&both(rate(megabits)), &NO_GUARD)
                    });
                }
            });
            // Sent from the start at 40 Mbit/s: the bucket is empty after two.
            flow.measured = Duration::from_secs(2);
            let ratio = flow.udp(40_000_000) / 10e6;
            // A machine that starves the sender is not what is tested here.
            assert!((0.5..=1.1).contains(&ratio), "{ratio:.3} of 10 Mbit/s");
        });
    });
}
