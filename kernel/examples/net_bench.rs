//! The figures in docs/network.md. As root, with iproute2:
//!
//! ```text
//! cargo run --release -p packrank-kernel --example net_bench -- \
//!     [accuracy] [burst] [latency] [cost] [time] [connections]
//! ```
//!
//! Everything happens in network namespaces made for it; nothing of the
//! machine's own network is touched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../tests/net_lab/mod.rs"]
mod net_lab;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use net_lab::traffic::Flow;
use net_lab::{Container, Host, NO_GUARD, inside, on_a_host, sh};
use packrank_kernel::net::{Guard, Means, Rate, Shape, apply, remove};

type Section = fn(&Host);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let sections: [(&str, Section); 6] = [
        ("accuracy", accuracy),
        ("burst", burst),
        ("latency", latency),
        ("cost", cost),
        ("time", time),
        ("connections", connections),
    ];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("\n{name}");
            on_a_host(section);
        }
    }
}

/// A class's rate with its built-in burst of two seconds.
fn class(megabits: u64) -> Rate {
    Rate {
        bits_per_second: megabits * 1_000_000,
        burst_bits: 2 * megabits * 1_000_000,
    }
}

fn both(rate: Rate) -> Shape {
    Shape {
        egress: Some(rate),
        ingress: Some(rate),
    }
}

const GUARD: Guard = Guard {
    connections: Some(10_000),
    new_connections: Some(1_000),
    packets: Some(1_000_000),
    dscp: Some(48),
};

/// After the burst, in percent of the class's rate, as IP packets and as what
/// an application sees.
fn accuracy(host: &Host) {
    println!("Mbit/s  from TCP  from UDP    to TCP    to UDP  policed, from TCP");
    for (net, megabits) in [1, 5, 10, 20, 50, 100].into_iter().enumerate() {
        let net = u8::try_from(net).unwrap() + 10;
        let container = Container::with_veth(&format!("accuracy-{megabits}"), net);
        container.apply(&both(class(megabits)), &NO_GUARD);
        let (outer, inner) = (format!("10.{net}.0.1:5001"), format!("10.{net}.0.2:5001"));
        let flow = |outward: bool| {
            let (from, to) = (&container.namespace, &host.namespace);
            Flow {
                from: if outward { from } else { to },
                to: if outward { to } else { from },
                address: if outward { &outer } else { &inner },
                warm_up: Duration::from_secs(3),
                measured: Duration::from_secs(6),
            }
        };
        let percent = |bits: f64| bits / (megabits as f64 * 1e4);
        print!(
            "{megabits:6}  {:7.1}%  {:7.1}%  {:7.1}%  {:7.1}%",
            percent(flow(true).tcp()),
            percent(flow(true).udp(megabits * 2_000_000)),
            percent(flow(false).tcp()),
            percent(flow(false).udp(megabits * 2_000_000)),
        );
        let police = Means {
            ifb: false,
            ..Means::default()
        };
        remove(&container.id).unwrap();
        apply(
            &container.target(),
            &both(class(megabits)),
            &NO_GUARD,
            &police,
        )
        .unwrap();
        println!("  {:16.1}%", percent(flow(true).tcp()));
        remove(&container.id).unwrap();
    }
}

/// What passes in each half second from the start, in Mbit, at 10 Mbit/s.
fn burst(host: &Host) {
    for (net, (name, burst_bits)) in [("two seconds of rate", 20_000_000), ("100 kbit", 100_000)]
        .into_iter()
        .enumerate()
    {
        let net = u8::try_from(net).unwrap() + 20;
        let container = Container::with_veth(&format!("burst-{net}"), net);
        let rate = Rate {
            bits_per_second: 10_000_000,
            burst_bits,
        };
        container.apply(&both(rate), &NO_GUARD);
        print!("burst of {name}:");
        let address = format!("10.{net}.0.1:5001");
        let receiver = inside(&host.namespace, || UdpSocket::bind(&address).unwrap());
        receiver
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let sender = inside(&container.namespace, || {
                    UdpSocket::bind("0.0.0.0:0").unwrap()
                });
                while !done.load(Ordering::Relaxed) {
                    // 200 Mbit/s offered.
                    for _ in 0..18 {
                        let _ = sender.send_to(&[0; 1400], &address);
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let begin = Instant::now();
            for half in 1..=8 {
                let mut bits = 0;
                while begin.elapsed() < Duration::from_millis(500 * half) {
                    bits += receiver
                        .recv(&mut [0; 2048])
                        .map_or(0, |size| (size + 28) * 8);
                }
                print!(" {:.1}", bits as f64 / 1e6);
            }
            done.store(true, Ordering::Relaxed);
        });
        println!();
        remove(&container.id).unwrap();
    }
}

/// Round trips of small datagrams beside one full TCP stream.
fn latency(host: &Host) {
    println!("Mbit/s  idle ms  from: median ms    p99  to: median ms    p99");
    for (net, megabits) in [1, 5, 10, 50, 100].into_iter().enumerate() {
        let net = u8::try_from(net).unwrap() + 30;
        let container = Container::with_veth(&format!("latency-{megabits}"), net);
        let rate = Rate {
            bits_per_second: megabits * 1_000_000,
            burst_bits: 100_000,
        };
        container.apply(&both(rate), &NO_GUARD);
        let idle = round_trips(host, &container, net, None);
        let from = round_trips(host, &container, net, Some(true));
        let to = round_trips(host, &container, net, Some(false));
        println!(
            "{megabits:6}  {:7.2}  {:15.1}  {:5.1}  {:13.1}  {:5.1}",
            idle.0, from.0, from.1, to.0, to.1
        );
        remove(&container.id).unwrap();
    }
}

/// Median and 99th percentile in milliseconds over four seconds of load; what
/// was lost took forever.
fn round_trips(host: &Host, container: &Container, net: u8, load: Option<bool>) -> (f64, f64) {
    let address = format!("10.{net}.0.1:7");
    let echo = inside(&host.namespace, || UdpSocket::bind(&address).unwrap());
    echo.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let done = AtomicBool::new(false);
    let mut times = thread::scope(|scope| {
        scope.spawn(|| {
            let mut block = [0; 64];
            while !done.load(Ordering::Relaxed) {
                if let Ok((size, peer)) = echo.recv_from(&mut block) {
                    let _ = echo.send_to(&block[..size], peer);
                }
            }
        });
        if let Some(outward) = load {
            scope.spawn(move || {
                let end = if outward { 1 } else { 2 };
                let address = format!("10.{net}.0.{end}:5001");
                let (from, to) = (&container.namespace, &host.namespace);
                let (from, to) = if outward { (from, to) } else { (to, from) };
                Flow {
                    from,
                    to,
                    address: &address,
                    warm_up: Duration::from_secs(2),
                    measured: Duration::from_secs(5),
                }
                .tcp()
            });
            thread::sleep(Duration::from_secs(2));
        }
        let client = inside(&container.namespace, || {
            UdpSocket::bind("0.0.0.0:0").unwrap()
        });
        client
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        // One every 20 ms, answered or not: a slow answer must not make the
        // slow times count less.
        let mut times = Vec::new();
        let mut sent: u32 = 0;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if sent < 200 && start.elapsed() >= Duration::from_millis(20) * sent {
                let now = u64::try_from(start.elapsed().as_nanos()).unwrap();
                client.send_to(&now.to_ne_bytes(), &address).unwrap();
                sent += 1;
            }
            let mut answer = [0; 8];
            if client.recv(&mut answer).is_ok() {
                let then = Duration::from_nanos(u64::from_ne_bytes(answer));
                times.push((start.elapsed() - then).as_secs_f64() * 1e3);
            }
        }
        times.resize(sent as usize, f64::INFINITY);
        done.store(true, Ordering::Relaxed);
        times
    });
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Processor time of this process per gigabit of one TCP stream, and per
/// datagram, sent by the container as fast as they go and never held back:
/// what is compared is the way of each packet. All of it runs inside the
/// sender's and the receiver's own system calls. The least of several rounds.
fn cost(host: &Host) {
    const ROUNDS: usize = 9;
    let fast = Shape {
        egress: Some(class(40_000)),
        ingress: None,
    };
    let ours = |net: u8, guard: Guard, means: Means| {
        let container = Container::with_veth(&format!("cost-{net}"), net);
        apply(&container.target(), &fast, &guard, &means).unwrap();
        container
    };
    let plain = |net: u8, command: &str| {
        let container = Container::with_veth(&format!("cost-{net}"), net);
        sh(&command.replace("VETH", &format!("veth{net}")));
        container
    };
    let redirect = Means {
        nf_tables: false,
        ..Means::default()
    };
    let police = Means {
        ifb: false,
        ..Means::default()
    };
    let cni = "ip link add bwpVETH type ifb && ip link set bwpVETH up
        tc qdisc add dev VETH ingress
        tc filter add dev VETH parent ffff: protocol all u32 match u32 0 0 \
            action mirred egress redirect dev bwpVETH
        tc qdisc add dev bwpVETH root tbf rate 30gbit burst 2gb latency 25ms";
    let inner = plain(46, "true");
    inner.sh("tc qdisc add dev eth0 root handle 1: htb default 1
        tc class add dev eth0 parent 1: classid 1:1 htb rate 30gbit burst 2gb");
    let variants = [
        ("no shaping", plain(40, "true")),
        (
            "packrank: nf_tables forward, ifb, htb",
            ours(41, NO_GUARD, Means::default()),
        ),
        ("the same with the guard", ours(42, GUARD, Means::default())),
        (
            "packrank without nf_tables: u32, ifb, htb",
            ours(43, NO_GUARD, redirect),
        ),
        ("CNI bandwidth plugin: u32, ifb, tbf", plain(44, cni)),
        ("policer, no ifb", ours(45, NO_GUARD, police)),
        ("htb inside the container", inner),
    ];
    let mut least = vec![(f64::MAX, f64::MAX); variants.len()];
    for _ in 0..ROUNDS {
        for (index, (_, container)) in variants.iter().enumerate() {
            let net = 40 + u8::try_from(index).unwrap();
            least[index].0 = least[index].0.min(cost_of_stream(host, container, net));
            least[index].1 = least[index].1.min(cost_of_datagram(host, container, net));
        }
    }
    println!("TCP: ms CPU per Gbit  UDP: µs CPU per datagram");
    for ((name, _), (stream, datagram)) in variants.iter().zip(least) {
        println!("{stream:20.1}  {datagram:24.2}  {name}");
    }
}

/// Milliseconds per gigabit, at the sender and the receiver together.
fn cost_of_stream(host: &Host, container: &Container, net: u8) -> f64 {
    const BYTES: usize = 400_000_000;
    let address = format!("10.{net}.0.1:5001");
    let listener = inside(&host.namespace, || TcpListener::bind(&address).unwrap());
    let before = cpu_seconds();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = inside(&container.namespace, || {
                TcpStream::connect(&address).unwrap()
            });
            let block = [0; 64 * 1024];
            let mut left = BYTES;
            while left > 0 {
                left -= stream.write(&block[..left.min(block.len())]).unwrap();
            }
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut block = vec![0; 1 << 20];
        while stream.read(&mut block).unwrap() > 0 {}
    });
    (cpu_seconds() - before) * 1e3 / (BYTES as f64 * 8.0 / 1e9)
}

/// Microseconds per datagram of 1400 bytes, at the sender alone: nobody reads.
fn cost_of_datagram(host: &Host, container: &Container, net: u8) -> f64 {
    const DATAGRAMS: u32 = 100_000;
    let address = format!("10.{net}.0.1:5002");
    let _receiver = inside(&host.namespace, || UdpSocket::bind(&address).unwrap());
    let sender = inside(&container.namespace, || {
        UdpSocket::bind("0.0.0.0:0").unwrap()
    });
    sender.connect(&address).unwrap();
    let before = cpu_seconds();
    for _ in 0..DATAGRAMS {
        let _ = sender.send(&[0; 1400]);
    }
    (cpu_seconds() - before) * 1e6 / f64::from(DATAGRAMS)
}

/// How long apply takes: medians in microseconds, with the processor time of
/// this process beside them.
fn time(_: &Host) {
    const RUNS: u8 = 60;
    let shape = both(class(10));
    let guard = Guard {
        packets: Some(833),
        ..GUARD
    };
    println!("median µs  p90 µs  CPU µs");
    let containers: Vec<_> = (100..100 + RUNS)
        .map(|net| Container::with_veth(&format!("time-{net}"), net))
        .collect();
    measure("shape, first time", &containers, |container| {
        container.apply(&shape, &NO_GUARD);
    });
    measure("guard added to the shape", &containers, |container| {
        container.apply(&shape, &guard);
    });
    measure("nothing to change", &containers, |container| {
        container.apply(&shape, &guard);
    });
    measure("other rates", &containers, |container| {
        container.apply(&both(class(11)), &guard);
    });
    measure("all off again", &containers, |container| {
        container.apply(&Shape::default(), &NO_GUARD);
    });
    measure("shape and guard, first time", &containers, |container| {
        container.apply(&shape, &guard);
    });
    measure("removal", &containers, |container| {
        remove(&container.id).unwrap();
    });
}

fn measure(name: &str, containers: &[Container], work: impl Fn(&Container)) {
    let cpu = cpu_seconds();
    let mut times: Vec<_> = containers
        .iter()
        .map(|container| {
            let begin = Instant::now();
            work(container);
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let cpu = (cpu_seconds() - cpu) * 1e6 / containers.len() as f64;
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[times.len() / 2], times[times.len() * 9 / 10]);
    println!("{median:9.0}  {most:6.0}  {cpu:6.0}  {name}");
}

fn cpu_seconds() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// What a new connection costs while many are open: microseconds of this
/// process's processor time, both ends of the connection together.
fn connections(host: &Host) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    println!("open  without guard  with guard");
    let costs: Vec<Vec<f64>> = [(60, NO_GUARD), (61, GUARD)]
        .into_iter()
        .map(|(net, guard)| {
            let guard = Guard {
                new_connections: guard.new_connections.map(|_| 1_000_000),
                ..guard
            };
            let container = Container::with_veth(&format!("connections-{net}"), net);
            container.apply(&Shape::default(), &guard);
            let address = format!("10.{net}.0.1:5001");
            let listener = inside(&host.namespace, || TcpListener::bind(&address).unwrap());
            let mut open = Vec::new();
            inside(&container.namespace, || {
                (0..9)
                    .map(|_| {
                        let before = cpu_seconds();
                        for _ in 0..1000 {
                            open.push(TcpStream::connect(&address).unwrap());
                            open.push(listener.accept().unwrap().0);
                        }
                        (cpu_seconds() - before) * 1e3
                    })
                    .collect()
            })
        })
        .collect();
    for (thousand, (without, with)) in costs[0].iter().zip(&costs[1]).enumerate() {
        println!("{:4}  {without:13.0}  {with:10.0}", thousand * 1000);
    }
}
