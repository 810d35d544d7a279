//! In: limits on connections. Out: the inet table that counts new connections,
//! refuses those above the limits with an answer, and keeps the rest counted.
//!
//! Inside the container's namespace its hooks see exactly the container's
//! connections, and the table goes with the namespace. For a container that
//! could undo it there (CAP_NET_ADMIN), the same rules sit on the host. For one
//! that could send what no hook inside sees (CAP_NET_RAW), they sit in both.
//!
//! A connection is an entry in the kernel's table of connections: whatever
//! makes one is counted, be it a SYN, an echo request, or a packet from the
//! middle of a connection that nobody opened.

use std::net::IpAddr;

use super::expression::{
    Connection, Expression, Header, Meta, Unit, Verdict, above, bits, compare, count, load,
    load_bytes, load_connection, more_connections_than, reset, set_mark, unreachable, verdict,
};
use super::nft::Family;
use super::table::{Chain, Hook, Part, Rule, Table};

/// Hooks of inet chains (`NF_INET_*`).
const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
/// `NF_IP_PRI_FILTER`: after connection tracking and destination NAT.
const FILTER: i32 = 0;
/// Right behind connection tracking (`NF_IP_PRI_CONNTRACK`, -200).
const AFTER_TRACKING: i32 = -199;
/// The loopback interface is the first of every namespace.
const LOOPBACK: u32 = 1;
/// `NF_CT_STATE_BIT(IP_CT_NEW)` and `IPS_CONFIRMED`.
const NEW: u32 = 1 << 3;
const CONFIRMED: u32 = 1 << 3;
const TCP: u8 = 6;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const ADMIT: &str = "admit";
const REFUSE: &str = "refuse";
pub(crate) const ADMITTED: &str = "connections-admitted";
const REFUSED: &str = "connections-refused";
const REFUSED_NEW: &str = "new-connections-refused";

/// Limits on connections, each direction counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Open at once.
    pub connections: Option<u32>,
    /// Opened per second; after a pause, one second's worth at once.
    pub new_connections: Option<u64>,
}

/// Where the table sits.
pub(crate) enum Reach {
    /// In the container's own namespace.
    Inside,
    /// On the host: packets from the container carry this mark, packets to it
    /// these addresses or these interfaces.
    Host {
        mark: u32,
        addresses: Vec<IpAddr>,
        interfaces: Vec<u32>,
    },
}

/// The table for these limits.
pub(crate) fn table(name: String, limits: Limits, reach: &Reach, without: &[Part]) -> Table {
    let mut chains = vec![refuse(), admit(limits, without)];
    match reach {
        Reach::Inside => {
            chains.push(inside("departures", OUTPUT, Meta::OutputInterface));
            chains.push(inside("arrivals", INPUT, Meta::InputInterface));
        }
        Reach::Host {
            mark,
            addresses,
            interfaces,
        } => {
            chains.push(from_marked(*mark));
            chains.push(to_known("forwarded", FORWARD, addresses, interfaces));
            chains.push(to_known("local", OUTPUT, addresses, interfaces));
        }
    }
    Table {
        family: Family::Inet,
        name,
        counters: vec![ADMITTED, REFUSED, REFUSED_NEW],
        chains,
    }
}

/// Lets a connection's first packet through, or not.
fn admit(limits: Limits, without: &[Part]) -> Chain {
    let back = || verdict(Verdict::Return);
    let mut rules = vec![
        rule(
            "not-new",
            vec![
                load_connection(Connection::State),
                bits(&NEW.to_ne_bytes(), &[0; 4]),
                compare(true, &[0; 4]),
                back(),
            ],
        ),
        // A UDP flow without answers stays "new", as does a repeated SYN:
        // only the first packet is not yet in the kernel's table.
        rule(
            "not-first",
            vec![
                load_connection(Connection::Status),
                bits(&CONFIRMED.to_ne_bytes(), &[0; 4]),
                compare(false, &[0; 4]),
                back(),
            ],
        ),
    ];
    // The rate before the count: what it refuses never enters the list, whose
    // length is what a count costs.
    if let Some(rate) = limits.new_connections
        && !without.contains(&Part::NewConnections)
    {
        let burst = u32::try_from(rate).unwrap_or(u32::MAX);
        rules.push(Rule {
            label: format!("new-connections={rate}"),
            expressions: vec![
                above(rate, burst, Unit::Packets),
                count(REFUSED_NEW),
                verdict(Verdict::Goto(REFUSE)),
            ],
            part: Some(Part::NewConnections),
        });
    }
    if let Some(limit) = limits.connections
        && !without.contains(&Part::Connections)
    {
        rules.push(Rule {
            label: format!("connections={limit}"),
            expressions: vec![
                more_connections_than(limit),
                count(REFUSED),
                verdict(Verdict::Goto(REFUSE)),
            ],
            part: Some(Part::Connections),
        });
    }
    rules.push(rule("admitted", vec![count(ADMITTED)]));
    chain(ADMIT, None, rules)
}

/// Never silence: a RST for TCP, ICMP for everything else.
fn refuse() -> Chain {
    let tcp = vec![load(Meta::Transport), compare(true, &[TCP]), reset()];
    let mut chain = chain(
        REFUSE,
        None,
        vec![rule("reset", tcp), rule("unreachable", vec![unreachable()])],
    );
    chain.part = Some(Part::Refusal);
    chain
}

/// All the container's packets but those it sends to itself.
fn inside(name: &str, hook: u32, interface: Meta) -> Chain {
    let rules = vec![rule(
        "outside",
        vec![
            load(interface),
            compare(false, &LOOPBACK.to_ne_bytes()),
            verdict(Verdict::Jump(ADMIT)),
        ],
    )];
    chain(name, Some((hook, FILTER)), rules)
}

/// The packets that the netdev table marked as the container's. The mark has
/// done its work then, and is taken off before anybody else could read it.
fn from_marked(mark: u32) -> Chain {
    let marked = || vec![load(Meta::Mark), compare(true, &mark.to_ne_bytes())];
    let mut admit = marked();
    admit.push(verdict(Verdict::Jump(ADMIT)));
    let mut clear = marked();
    clear.extend(set_mark(0));
    let rules = vec![
        rule(&format!("marked={mark}"), admit),
        rule(&format!("unmark={mark}"), clear),
    ];
    chain("from", Some((PREROUTING, AFTER_TRACKING)), rules)
}

/// The packets on their way to the container.
fn to_known(name: &str, hook: u32, addresses: &[IpAddr], interfaces: &[u32]) -> Chain {
    let mut rules = Vec::new();
    for interface in interfaces {
        rules.push(rule(
            &format!("interface={interface}"),
            vec![
                load(Meta::OutputInterface),
                compare(true, &interface.to_ne_bytes()),
                verdict(Verdict::Goto(ADMIT)),
            ],
        ));
    }
    for address in addresses {
        // Destination address: byte 16 of an IPv4 header, 24 of an IPv6 one.
        let (family, offset, bytes) = match address {
            IpAddr::V4(address) => (IPV4, 16, address.octets().to_vec()),
            IpAddr::V6(address) => (IPV6, 24, address.octets().to_vec()),
        };
        let length = u32::try_from(bytes.len()).unwrap_or(4);
        rules.push(rule(
            &format!("address={address}"),
            vec![
                load(Meta::Family),
                compare(true, &[family]),
                load_bytes(Header::Network, offset, length),
                compare(true, &bytes),
                verdict(Verdict::Goto(ADMIT)),
            ],
        ));
    }
    chain(name, Some((hook, FILTER)), rules)
}

fn rule(label: &str, expressions: Vec<Expression>) -> Rule {
    Rule {
        label: label.to_owned(),
        expressions,
        part: None,
    }
}

fn chain(name: &str, hook: Option<(u32, i32)>, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.to_owned(),
        hook: hook.map(|(number, priority)| Hook {
            number,
            priority,
            device: None,
        }),
        part: None,
        rules,
    }
}
