//! Connections, packets and marks, held and counted.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use packrank_kernel::net::{Guard, Means, Note, Shape, Target, apply, read};

use crate::net_lab::{Container, Host, NO_GUARD, both, inside, megabits, on_a_host, sh};

const GENEROUS: u64 = 1_000;

/// Accepts and keeps connections in a namespace until dropped.
fn with_server<T>(namespace: &File, address: &str, client: impl FnOnce() -> T) -> T {
    let listener = inside(namespace, || TcpListener::bind(address).unwrap());
    listener.set_nonblocking(true).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut held: Vec<TcpStream> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(true).unwrap();
                        held.push(stream);
                    }
                    Err(_) => {
                        thread::sleep(Duration::from_micros(500));
                        // What the client closed is closed here too.
                        held.retain(|stream| !matches!(stream.peek(&mut [0]), Ok(0)));
                    }
                }
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(client));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What became of many attempts to connect.
struct Flood {
    held: Vec<TcpStream>,
    refused: usize,
    other: Vec<std::io::Error>,
}

fn flood(namespace: &File, address: &str, attempts: usize) -> Flood {
    let address: SocketAddr = address.parse().unwrap();
    inside(namespace, || {
        let mut flood = Flood {
            held: Vec::new(),
            refused: 0,
            other: Vec::new(),
        };
        for _ in 0..attempts {
            match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
                Ok(stream) => flood.held.push(stream),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => flood.refused += 1,
                Err(error) => flood.other.push(error),
            }
        }
        flood
    })
}

fn counter(container: &Container, name: &str) -> u64 {
    let status = read(&container.id, container.fd()).unwrap();
    let found = status.counters.iter().find(|counter| counter.name == name);
    found
        .unwrap_or_else(|| panic!("{name}: {status:?}"))
        .packets
}

fn connections(limit: u64) -> Guard {
    Guard {
        connections: Some(limit),
        ..NO_GUARD
    }
}

#[test]
fn ten_thousand_attempts_are_held_at_the_limit_with_a_reset() {
    on_a_host(|host| {
        let container = Container::with_veth("flood", 10);
        container.apply(&Shape::default(), &connections(100));
        with_server(&host.namespace, "10.10.0.1:6000", || {
            let begin = Instant::now();
            let flood = flood(&container.namespace, "10.10.0.1:6000", 10_000);
            eprintln!("10 000 attempts in {:?}", begin.elapsed());
            assert_eq!(flood.held.len(), 100);
            assert_eq!(flood.refused, 9_900, "{:?}", flood.other.first());
            assert_eq!(counter(&container, "connections-refused"), 9_900);
            assert_eq!(counter(&container, "connections-admitted"), 100);
        });
    });
}

#[test]
fn both_directions_and_families_share_one_limit() {
    on_a_host(|host| {
        let container = Container::with_veth("families", 10);
        container.apply(&Shape::default(), &connections(20));
        let (inner, outer) = (&container.namespace, &host.namespace);
        with_server(outer, "10.10.0.1:6000", || {
            with_server(outer, "[fd00:10::1]:6000", || {
                with_server(inner, "10.10.0.2:6000", || {
                    with_server(inner, "[fd00:10::2]:6000", || {
                        let mut kept = Vec::new();
                        for (from, to) in [
                            (inner, "10.10.0.1:6000"),
                            (inner, "[fd00:10::1]:6000"),
                            (outer, "10.10.0.2:6000"),
                            (outer, "[fd00:10::2]:6000"),
                        ] {
                            let flood = flood(from, to, 5);
                            assert_eq!(flood.held.len(), 5, "{to}");
                            kept.push(flood);
                        }
                        for (from, to) in [
                            (inner, "10.10.0.1:6000"),
                            (inner, "[fd00:10::1]:6000"),
                            (outer, "10.10.0.2:6000"),
                            (outer, "[fd00:10::2]:6000"),
                        ] {
                            assert_eq!(flood(from, to, 5).refused, 5, "{to}");
                        }
                        // What is closed makes room again.
                        kept.clear();
                        thread::sleep(Duration::from_millis(50));
                        assert_eq!(flood(inner, "10.10.0.1:6000", 5).held.len(), 5);
                        // Loopback is nobody's business.
                        assert_eq!(flood(inner, "10.10.0.2:6000", 40).held.len(), 40);
                    });
                });
            });
        });
    });
}

#[test]
fn a_refused_datagram_is_answered() {
    on_a_host(|host| {
        let container = Container::with_veth("datagrams", 10);
        container.apply(&Shape::default(), &connections(2));
        for (server, any) in [
            ("10.10.0.1:7000", "0.0.0.0:0"),
            ("[fd00:10::1]:7000", "[::]:0"),
        ] {
            let server: SocketAddr = server.parse().unwrap();
            let receiver = inside(&host.namespace, || UdpSocket::bind(server).unwrap());
            receiver.set_nonblocking(true).unwrap();
            let clients: Vec<_> = inside(&container.namespace, || {
                (0..3)
                    .map(|_| {
                        let client = UdpSocket::bind(any).unwrap();
                        client.connect(server).unwrap();
                        client
                            .set_read_timeout(Some(Duration::from_secs(1)))
                            .unwrap();
                        let _ = client.send(b"hello");
                        client
                    })
                    .collect()
            });
            // Under other tests' floods the kernel's queue of a processor may be
            // full, and the answer lost; whoever is admitted is never refused.
            let refused = (0..20).any(|_| {
                let answer = clients[2].recv(&mut [0; 8]).map_err(|error| error.kind());
                let _ = clients[2].send(b"hello");
                answer == Err(ErrorKind::ConnectionRefused)
            });
            let arrived = (0..)
                .take_while(|_| receiver.recv(&mut [0; 8]).is_ok())
                .count();
            assert!(refused, "{:?}", read(&container.id, container.fd()));
            if server.is_ipv4() {
                assert_eq!(arrived, 2);
            } else {
                assert_eq!(arrived, 0, "the limit is one for both families");
            }
        }
    });
}

#[test]
fn new_connections_are_held_to_their_rate() {
    on_a_host(|host| {
        let container = Container::with_veth("rate", 10);
        let guard = Guard {
            new_connections: Some(50),
            ..NO_GUARD
        };
        container.apply(&Shape::default(), &guard);
        with_server(&host.namespace, "10.10.0.1:6000", || {
            let address: SocketAddr = "10.10.0.1:6000".parse().unwrap();
            let (made, seconds) = inside(&container.namespace, || {
                let begin = Instant::now();
                let mut made = 0;
                while begin.elapsed() < Duration::from_secs(3) {
                    match TcpStream::connect(address) {
                        Ok(_) => made += 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
                    }
                }
                (made, begin.elapsed().as_secs_f64())
            });
            // One second's worth at once, then the rate.
            let expected = 50.0 + 50.0 * seconds;
            let ratio = f64::from(made) / expected;
            assert!((0.8..=1.05).contains(&ratio), "{made} of {expected}");
            assert!(counter(&container, "new-connections-refused") > 0);
        });
    });
}

#[test]
fn a_flow_without_answers_is_one_connection() {
    on_a_host(|host| {
        let container = Container::with_veth("oneway", 10);
        let guard = Guard {
            connections: Some(5),
            new_connections: Some(5),
            ..NO_GUARD
        };
        container.apply(&Shape::default(), &guard);
        let receiver = inside(&host.namespace, || {
            UdpSocket::bind("10.10.0.1:8125").unwrap()
        });
        receiver
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        inside(&container.namespace, || {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..100 {
                client.send_to(b"metric", "10.10.0.1:8125").unwrap();
            }
        });
        let arrived = (0..)
            .take_while(|_| receiver.recv(&mut [0; 8]).is_ok())
            .count();
        assert_eq!(arrived, 100);
        assert_eq!(counter(&container, "connections-admitted"), 1);
    });
}

/// Within the limit they go on and count; above it, they are refused like any.
#[test]
fn connections_open_before_the_guard_count_with_their_next_packet() {
    on_a_host(|host| {
        let container = Container::with_veth("before", 10);
        with_server(&host.namespace, "10.10.0.1:6000", || {
            let mut before = flood(&container.namespace, "10.10.0.1:6000", 4);
            assert_eq!(before.held.len(), 4);
            container.apply(&Shape::default(), &connections(5));
            for stream in &mut before.held {
                std::io::Write::write_all(stream, b"still there").unwrap();
            }
            thread::sleep(Duration::from_millis(50));
            for stream in &before.held {
                assert!(stream.take_error().unwrap().is_none());
            }
            let more = flood(&container.namespace, "10.10.0.1:6000", 4);
            assert_eq!((more.held.len(), more.refused), (1, 3));
        });
    });
}

#[test]
fn packets_above_the_rate_are_dropped_and_counted_in_both_directions() {
    on_a_host(|host| {
        let container = Container::with_veth("packets", 10);
        let guard = Guard {
            packets: Some(500),
            ..NO_GUARD
        };
        container.apply(&both(megabits(100)), &guard);
        for (from, to, address, name) in [
            (
                &container.namespace,
                &host.namespace,
                "10.10.0.1:7000",
                "from-container-dropped",
            ),
            (
                &host.namespace,
                &container.namespace,
                "10.10.0.2:7000",
                "to-container-dropped",
            ),
        ] {
            let receiver = inside(to, || UdpSocket::bind(address).unwrap());
            receiver
                .set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            let done = AtomicBool::new(false);
            let (sent, arrived, seconds) = thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let sender = inside(from, || UdpSocket::bind("0.0.0.0:0").unwrap());
                    let begin = Instant::now();
                    let mut sent = 0;
                    while begin.elapsed() < Duration::from_secs(2) {
                        for _ in 0..5 {
                            let _ = sender.send_to(&[0; 64], address);
                            sent += 1;
                        }
                        thread::sleep(Duration::from_millis(1));
                    }
                    let seconds = begin.elapsed().as_secs_f64();
                    done.store(true, Ordering::Relaxed);
                    (sent, seconds)
                });
                // The sender may have to wait for a processor.
                let mut arrived = 0_u64;
                loop {
                    let ended = done.load(Ordering::Relaxed);
                    match receiver.recv(&mut [0; 64]) {
                        Ok(_) => arrived += 1,
                        Err(_) if ended => break,
                        Err(_) => {}
                    }
                }
                let (sent, seconds) = sender.join().unwrap();
                (sent, arrived, seconds)
            });
            // Two seconds' worth at once, then the rate; ARP and neighbour
            // discovery take a few. A sender that has to wait for a processor
            // sends too little, and a receiver that has to loses some.
            let expected = 1000.0 + 500.0 * seconds;
            let passed = sent - counter(&container, name);
            let ratio = passed as f64 / expected;
            assert!(
                (0.7..=1.05).contains(&ratio),
                "{name}: {passed} of {expected}"
            );
            assert!(
                (passed / 2..passed + 10).contains(&arrived),
                "{arrived} of {passed}"
            );
        }
    });
}

#[test]
fn every_packet_of_the_container_carries_the_mark() {
    on_a_host(|host| {
        let container = Container::with_veth("dscp", 10);
        sh("nft -f - <<'END'
            table inet watch { chain in { type filter hook input priority 0;
                ip dscp 46 udp dport 7000 counter comment \"four\"
                ip6 dscp 46 udp dport 7000 counter comment \"six\"
                iif veth10 udp dport 7000 counter comment \"all\"
            }; }
END");
        let seen = |comment: &str| -> u64 {
            let rules = sh("nft list table inet watch");
            let line = rules.lines().find(|line| line.contains(comment)).unwrap();
            let words: Vec<_> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "packets").unwrap();
            words[at + 1].parse().unwrap()
        };
        for rate in [None, Some(megabits(10))] {
            let shape = Shape {
                egress: rate,
                ingress: None,
            };
            let guard = Guard {
                dscp: Some(46),
                ..NO_GUARD
            };
            container.apply(&shape, &guard);
            for (address, any, comment) in [
                ("10.10.0.1:7000", "0.0.0.0:0", "\"four\""),
                ("[fd00:10::1]:7000", "[::]:0", "\"six\""),
            ] {
                let receiver = inside(&host.namespace, || UdpSocket::bind(address).unwrap());
                receiver
                    .set_read_timeout(Some(Duration::from_millis(300)))
                    .unwrap();
                let before = seen(comment);
                inside(&container.namespace, || {
                    let sender = UdpSocket::bind(any).unwrap();
                    for _ in 0..20 {
                        sender.send_to(b"marked", address).unwrap();
                    }
                });
                // They arrive, so their checksums are right.
                let arrived = (0..)
                    .take_while(|_| receiver.recv(&mut [0; 8]).is_ok())
                    .count();
                assert_eq!(arrived, 20);
                assert_eq!(seen(comment) - before, 20);
            }
        }
        assert_eq!(seen("\"all\""), 80);
    });
}

fn as_administrator(container: &Container, guard: &Guard) -> Vec<Note> {
    let target = Target {
        net_admin: true,
        ..container.target()
    };
    let applied = apply(&target, &both(megabits(100)), guard, &Means::default()).unwrap();
    applied.notes
}

#[test]
fn an_administrators_limits_are_out_of_its_reach() {
    on_a_host(|host: &Host| {
        let container = Container::with_veth("admin", 10);
        let notes = as_administrator(&container, &connections(10));
        assert!(!notes.contains(&Note::WithinReach));
        assert_eq!(
            container.sh("nft list ruleset"),
            "",
            "nothing to undo inside"
        );
        container.sh("nft flush ruleset; tc qdisc del dev eth0 root 2>/dev/null; true");
        with_server(&host.namespace, "10.10.0.1:6000", || {
            with_server(&container.namespace, "10.10.0.2:6000", || {
                let outward = flood(&container.namespace, "10.10.0.1:6000", 8);
                assert_eq!((outward.held.len(), outward.refused), (8, 0));
                let inward = flood(&host.namespace, "10.10.0.2:6000", 8);
                assert_eq!((inward.held.len(), inward.refused), (2, 6));
                assert_eq!(flood(&container.namespace, "10.10.0.1:6000", 8).refused, 8);
            });
        });
        assert!(counter(&container, "connections-refused") >= 14);
        let status = read("admin", container.fd()).unwrap();
        assert_eq!(status.guard.connections, Some(10));
    });
}

#[test]
fn an_administrator_behind_a_bridge_is_counted_on_its_way_out() {
    on_a_host(|host: &Host| {
        let container = Container::with_veth("bridged", 10);
        sh("ip link add br0 type bridge
            ip addr del 10.10.0.1/24 dev veth10
            ip link set veth10 master br0
            ip addr add 10.10.0.1/24 dev br0
            ip link set br0 up");
        as_administrator(&container, &connections(10));
        with_server(&host.namespace, "10.10.0.1:6000", || {
            with_server(&container.namespace, "10.10.0.2:6000", || {
                let outward = flood(&container.namespace, "10.10.0.1:6000", 15);
                assert_eq!((outward.held.len(), outward.refused), (10, 5));
                assert_eq!(flood(&host.namespace, "10.10.0.2:6000", 5).refused, 5);
            });
        });
    });
}

#[test]
fn other_values_leave_the_counted_connections_counted() {
    on_a_host(|host: &Host| {
        let container = Container::with_veth("stays", 10);
        let guard = |new, packets| Guard {
            connections: Some(20),
            new_connections: Some(new),
            packets: Some(packets),
            dscp: None,
        };
        container.apply(&both(megabits(100)), &guard(GENEROUS, 10_000));
        with_server(&host.namespace, "10.10.0.1:6000", || {
            let kept = flood(&container.namespace, "10.10.0.1:6000", 15);
            assert_eq!(kept.held.len(), 15);
            let applied = container.apply(&both(megabits(50)), &guard(GENEROUS / 2, 5_000));
            assert!(applied.changed);
            let more = flood(&container.namespace, "10.10.0.1:6000", 15);
            assert_eq!((more.held.len(), more.refused), (5, 10));
        });
    });
}
