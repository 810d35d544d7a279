//! Packets of a container's own making, by which it would get round its
//! limits on connections.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::net_lab::{Container, Host, NO_GUARD, both, inside, megabits, on_a_host, sh};
use packrank_kernel::net::{Guard, Means, Target, apply, read};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const PORT: u16 = 6000;

/// A container, and a server behind the host, one hop away.
fn with_a_router(name: &str, test: impl FnOnce(&Container, &Container) + Send) {
    let name = name.to_owned();
    on_a_host(move |_: &Host| {
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward
            echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        let container = Container::with_veth(&name, 10);
        let server = Container::with_veth("server", 11);
        for (one, net) in [(&container, 10), (&server, 11)] {
            one.sh(&format!(
                "ip route add default via 10.{net}.0.1
                 ip -6 route add default via fd00:{net}::1"
            ));
        }
        test(&container, &server);
    });
}

fn limit(container: &Container, connections: u64) {
    let target = Target {
        net_raw: true,
        ..container.target()
    };
    let guard = Guard {
        connections: Some(connections),
        ..NO_GUARD
    };
    apply(&target, &both(megabits(100)), &guard, &Means::default()).unwrap();
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum()
}

fn folded(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).unwrap().to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An IP packet; its payload's checksum is written at `checksum`. `fragment` is
/// what an IPv4 header says of it.
fn packet(
    (from, to): (IpAddr, IpAddr),
    (protocol, hops, fragment): (u8, u8, u16),
    mut payload: Vec<u8>,
    checksum: Option<usize>,
) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    if let Some(at) = checksum {
        let pseudo = match protocol {
            ICMP => 0,
            _ => sum(&octets(from)) + sum(&octets(to)) + u32::from(protocol) + u32::from(length),
        };
        let bytes = folded(pseudo + sum(&payload));
        payload[at..at + 2].copy_from_slice(&bytes);
    }
    let mut header = match from {
        IpAddr::V4(_) => {
            let [high, low] = (length + 20).to_be_bytes();
            let [flags, offset] = fragment.to_be_bytes();
            vec![
                0x45, 0, high, low, 7, 7, flags, offset, hops, protocol, 0, 0,
            ]
        }
        IpAddr::V6(_) => {
            let [high, low] = length.to_be_bytes();
            vec![0x60, 0, 0, 0, high, low, protocol, hops]
        }
    };
    header.extend(octets(from));
    header.extend(octets(to));
    if from.is_ipv4() {
        let bytes = folded(sum(&header));
        header[10..12].copy_from_slice(&bytes);
    }
    header.extend(payload);
    header
}

/// A TCP segment from the middle of a connection.
fn acknowledgement(way: (IpAddr, IpAddr), port: u16, hops: u8) -> Vec<u8> {
    let mut segment = port.to_be_bytes().to_vec();
    segment.extend(PORT.to_be_bytes());
    // Sequence numbers, five words of header, ACK, a window, no checksum yet.
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
    packet(way, (TCP, hops, 0), segment, Some(16))
}

fn datagram(port: u16) -> Vec<u8> {
    let mut datagram = port.to_be_bytes().to_vec();
    datagram.extend(PORT.to_be_bytes());
    datagram.extend([0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    datagram
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        done => Ok(done),
    }
}

fn socket(domain: i32, kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: a system call without pointers; the descriptor is nobody else's.
    unsafe { OwnedFd::from_raw_fd(checked(libc::socket(domain, kind, protocol)).unwrap()) }
}

/// `struct sockaddr_in` or `sockaddr_in6`, as bytes.
fn sockaddr(address: IpAddr, port: u16) -> Vec<u8> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let mut bytes = u16::try_from(family).unwrap().to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    match address {
        IpAddr::V4(address) => {
            bytes.extend(address.octets());
            bytes.extend([0; 8]);
        }
        IpAddr::V6(address) => {
            bytes.extend([0; 4]);
            bytes.extend(address.octets());
            bytes.extend([0; 4]);
        }
    }
    bytes
}

fn send(socket: &OwnedFd, packet: &[u8], to: &[u8]) -> io::Result<()> {
    let length = u32::try_from(to.len()).unwrap();
    // SAFETY: both buffers live through the call, with their own lengths.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            to.as_ptr().cast(),
            length,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Connects from a port of the caller's choice.
fn connect(from: (IpAddr, u16), to: (IpAddr, u16)) -> io::Result<OwnedFd> {
    let domain = if to.0.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let socket = socket(domain, libc::SOCK_STREAM, 0);
    let (own, other) = (sockaddr(from.0, from.1), sockaddr(to.0, to.1));
    let length = u32::try_from(own.len()).unwrap();
    // SAFETY: the addresses live through the calls, with their own lengths.
    unsafe {
        checked(libc::bind(socket.as_raw_fd(), own.as_ptr().cast(), length))?;
        checked(libc::connect(
            socket.as_raw_fd(),
            other.as_ptr().cast(),
            length,
        ))?;
    }
    Ok(socket)
}

/// A packet that dies on its way makes an entry; the connection that follows
/// has the same ports, and would be taken for a part of it.
#[test]
fn what_is_picked_up_counts() {
    for (family, from, to) in [
        ("four", "10.10.0.2", "10.11.0.2"),
        ("six", "fd00:10::2", "fd00:11::2"),
    ] {
        with_a_router(family, |container, server| {
            limit(container, 3);
            let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let _listener = inside(&server.namespace, || TcpListener::bind((to, PORT)).unwrap());
            let held = inside(&container.namespace, || {
                let domain = if to.is_ipv4() {
                    libc::AF_INET
                } else {
                    libc::AF_INET6
                };
                let raw = socket(domain, libc::SOCK_RAW, libc::IPPROTO_RAW);
                let mut held = Vec::new();
                for port in 20_000..20_040 {
                    let packet = acknowledgement((from, to), port, 1);
                    let _ = send(&raw, &packet, &sockaddr(to, 0));
                    held.extend(connect((from, port), (to, PORT)));
                }
                held
            });
            // The host may count one that died on its way a little longer.
            assert!((1..=3).contains(&held.len()), "{family}: {}", held.len());
        });
    }
}

/// What passes no rule inside passes the host, whose table of connections is
/// everybody's.
#[test]
fn the_hosts_table_holds_no_more_than_the_limit() {
    with_a_router("table", |container, _| {
        sh("nft -f - <<'END'
            table inet nat { chain in { type filter hook prerouting priority 0;
                ct state new counter; }; }
END");
        limit(container, 3);
        let count = || -> u64 {
            let text = sh("cat /proc/sys/net/netfilter/nf_conntrack_count");
            text.trim().parse().unwrap()
        };
        // struct sockaddr_ll: the host's end as the next hop.
        let link = sh("ip -o link show veth10");
        let mut words = link.split_whitespace();
        let mac = words
            .find(|word| *word == "link/ether")
            .and_then(|_| words.next());
        let mac = mac
            .unwrap()
            .split(':')
            .map(|b| u8::from_str_radix(b, 16).unwrap());
        let mac: Vec<u8> = mac.collect();
        let link = container.sh("ip -o link show eth0");
        let index: u32 = link.split(':').next().unwrap().parse().unwrap();
        let hop = |protocol: u16| {
            let mut bytes = u16::try_from(libc::AF_PACKET)
                .unwrap()
                .to_ne_bytes()
                .to_vec();
            bytes.extend(protocol.to_be_bytes());
            bytes.extend(index.to_ne_bytes());
            bytes.extend([0, 0, 0, 6]);
            bytes.extend(&mac);
            bytes.extend([0; 2]);
            bytes
        };
        let way = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        let four = way("10.10.0.2", "10.11.0.2");
        let six = way("fd00:10::2", "fd00:11::2");
        let before = count();
        inside(&container.namespace, || {
            let raw = socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0);
            for port in 20_000..20_300_u16 {
                let [high, low] = port.to_be_bytes();
                let echo = vec![8, 0, 0, 0, high, low, 0, 1];
                let whole = datagram(port);
                for (protocol, packet) in [
                    (0x0800, acknowledgement(four, port, 64)),
                    (0x86dd, acknowledgement(six, port, 64)),
                    (0x0800, packet(four, (UDP, 64, 0), whole.clone(), Some(6))),
                    (0x0800, packet(four, (ICMP, 64, 0), echo, Some(2))),
                    // More fragments follow; the last one, from byte 8 on.
                    (
                        0x0800,
                        packet(four, (UDP, 64, 0x2000), whole[..8].to_vec(), None),
                    ),
                    (
                        0x0800,
                        packet(four, (UDP, 64, 1), whole[8..].to_vec(), None),
                    ),
                ] {
                    let _ = send(&raw, &packet, &hop(protocol));
                }
            }
        });
        // Answers to what was refused hold an entry until they are sent.
        let until = Instant::now() + Duration::from_secs(5);
        while count() > before + 3 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let more = count() - before;
        assert!(more <= 3, "{more} entries by a container that may have 3");
        let status = read(&container.id, container.fd()).unwrap();
        let refused = status
            .counters
            .iter()
            .find(|c| c.name == "connections-refused");
        assert!(refused.unwrap().packets > 1_000, "{status:?}");
    });
}

/// A netdev chain is bound by its device's name since Linux 6.16.
#[test]
fn a_renamed_interface_is_bound_again() {
    on_a_host(|_: &Host| {
        let container = Container::with_veth("renamed", 10);
        let guard = Guard {
            packets: Some(500),
            ..NO_GUARD
        };
        container.apply(&both(megabits(100)), &guard);
        sh("ip link set veth10 down; ip link set veth10 name other10; ip link set other10 up");
        let applied = container.apply(&both(megabits(100)), &guard);
        assert!(applied.changed, "{applied:?}");
        let tables = sh("nft list ruleset");
        assert!(
            tables.contains("other10") && !tables.contains("veth10"),
            "{tables}"
        );
        assert!(!container.apply(&both(megabits(100)), &guard).changed);
    });
}
