//! In: interfaces, their limits and where their traffic queues. Out: the
//! netdev table that counts, limits and marks packets right at those
//! interfaces, and hands arrivals to the ifb that shapes them.
//!
//! On the host's end of a veth, what arrives was sent by the container. No
//! capability inside the container reaches this table, and raw sockets cannot
//! go round it.

use super::error::Error;
use super::expression::{
    Expression, Header, Meta, Unit, Verdict, above, bits, compare, count, forward, load,
    load_bytes, set_mark, store_bytes, verdict,
};
use super::link::Link;
use super::nft::{self, Family};
use super::owner::Owner;
use super::rate::Bucket;
use super::socket::Socket;
use super::table::{Chain, Hook, Part, Rule, Table};

/// Packets of this many seconds may pass at once, as the built-in bursts let
/// two seconds' bits pass: a tighter limit would cut into those bursts.
const PACKET_BURST_SECONDS: u64 = 2;
/// Hooks of netdev chains (`NF_NETDEV_INGRESS`, `NF_NETDEV_EGRESS`).
const ARRIVALS: u32 = 0;
const DEPARTURES: u32 = 1;
/// After everybody else's chain on the interface: a forwarded packet comes
/// back behind this hook.
const LAST: i32 = i32::MAX;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Seen from the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    From,
    To,
}

impl Direction {
    fn opposite(self) -> Self {
        match self {
            Self::From => Self::To,
            Self::To => Self::From,
        }
    }

    fn chain(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }

    /// The counter of everything that came by.
    fn counter(self) -> &'static str {
        match self {
            Self::From => "from-container",
            Self::To => "to-container",
        }
    }

    /// The counter of what exceeded a limit.
    fn dropped(self) -> &'static str {
        match self {
            Self::From => "from-container-dropped",
            Self::To => "to-container-dropped",
        }
    }
}

/// What happens to arrivals that are to be shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// They are not shaped.
    Pass,
    /// A tc filter takes them away before this table could see them.
    Taken,
    /// They queue on this ifb.
    Queue(u32),
    /// No ifb: what exceeds the rate is dropped.
    Police(Bucket),
}

/// What one table says about the interfaces at one end.
pub(crate) struct Frames<'a> {
    /// Which direction arrives at these interfaces.
    pub arriving: Direction,
    pub arrivals: Arrivals,
    /// Packets per second, for each direction.
    pub packets: Option<u64>,
    pub dscp: Option<u8>,
    /// For an inet table behind this one that counts connections.
    pub mark: Option<u32>,
    pub links: &'a [Link],
    /// What this kernel turned down.
    pub without: &'a [Part],
}

impl Frames<'_> {
    /// Whether a table is needed at all.
    pub fn is_needed(&self) -> bool {
        self.sees_arrivals() || self.sees_departures()
    }

    fn sees_arrivals(&self) -> bool {
        self.arrivals != Arrivals::Taken
            && (self.arrivals != Arrivals::Pass || self.has_rules(self.arriving))
    }

    fn sees_departures(&self) -> bool {
        !self.without.contains(&Part::Departures) && self.has_rules(self.arriving.opposite())
    }

    fn has_rules(&self, direction: Direction) -> bool {
        let sent = direction == Direction::From && (self.dscp.is_some() || self.mark.is_some());
        sent || self.packets.is_some()
    }

    pub fn table(&self, owner: &Owner) -> Table {
        let mut chains = Vec::new();
        let mut counters = Vec::new();
        let mut see = |direction: Direction, hook| {
            counters.extend([direction.counter(), direction.dropped()]);
            chains.push(self.traffic(direction));
            chains.extend(self.links.iter().map(|link| entry(link, hook, direction)));
        };
        if self.sees_arrivals() {
            see(self.arriving, ARRIVALS);
        }
        if self.sees_departures() {
            see(self.arriving.opposite(), DEPARTURES);
        }
        Table {
            family: Family::Netdev,
            name: owner.table(),
            counters,
            chains,
        }
    }

    fn traffic(&self, direction: Direction) -> Chain {
        let dropped = direction.dropped();
        let mut rules = vec![rule("count", vec![count(direction.counter())], None)];
        if let Some(packets) = self.allowed(self.packets, Part::Packets) {
            let burst = packets.saturating_mul(PACKET_BURST_SECONDS);
            let burst = u32::try_from(burst).unwrap_or(u32::MAX);
            rules.push(rule(
                &format!("packets={packets}"),
                vec![
                    above(packets, burst, Unit::Packets),
                    count(dropped),
                    verdict(Verdict::Drop),
                ],
                Some(Part::Packets),
            ));
        }
        if direction == Direction::From {
            if let Some(dscp) = self.allowed(self.dscp, Part::Dscp) {
                let label = |family: u8| format!("dscp-ipv{family}={dscp}");
                rules.push(rule(&label(4), mark_ipv4(dscp), Some(Part::Dscp)));
                rules.push(rule(&label(6), mark_ipv6(dscp), Some(Part::Dscp)));
            }
            if let Some(mark) = self.mark {
                rules.push(rule(&format!("mark={mark}"), set_mark(mark), None));
            }
        }
        if direction == self.arriving {
            rules.extend(self.shaped(dropped));
        }
        Chain {
            name: direction.chain().to_owned(),
            hook: None,
            part: None,
            rules,
        }
    }

    fn shaped(&self, dropped: &'static str) -> Option<Rule> {
        match self.arrivals {
            Arrivals::Pass | Arrivals::Taken => None,
            Arrivals::Queue(ifb) => Some(rule(
                &format!("forward={ifb}"),
                forward(ifb),
                Some(Part::Forward),
            )),
            Arrivals::Police(bucket) => {
                let rate = bucket.bytes_per_second;
                // The kernel adds one second of rate to the burst it is given
                // (`nft_limit_init`).
                let given = bucket.bytes().saturating_sub(rate);
                let burst = u32::try_from(given).unwrap_or(u32::MAX);
                let expressions = vec![
                    above(rate, burst, Unit::Bytes),
                    count(dropped),
                    verdict(Verdict::Drop),
                ];
                Some(rule(&format!("police={rate}/{burst}"), expressions, None))
            }
        }
    }

    fn allowed<T>(&self, setting: Option<T>, part: Part) -> Option<T> {
        setting.filter(|_| !self.without.contains(&part))
    }
}

/// The chain in which an interface's packets enter. Its one rule holds it to
/// the interface that was proven to be the container's: since Linux 6.16 such
/// chains are bound by name, and names are given out again. A chain is named
/// for both, so that one that lost its renamed interface is another chain.
fn entry(link: &Link, hook: u32, direction: Direction) -> Chain {
    let (prefix, meta) = match hook {
        ARRIVALS => ("arrivals", Meta::InputInterface),
        _ => ("departures", Meta::OutputInterface),
    };
    let expressions = vec![
        load(meta),
        compare(true, &link.index.to_ne_bytes()),
        verdict(Verdict::Jump(direction.chain())),
    ];
    let part = (hook == DEPARTURES).then_some(Part::Departures);
    Chain {
        name: format!("{prefix}-{}", link.chain()),
        hook: Some(Hook {
            number: hook,
            priority: LAST,
            device: Some(link.name.clone()),
        }),
        part,
        rules: vec![rule(
            &format!("interface={}", link.index),
            expressions,
            None,
        )],
    }
}

/// The interfaces that a table of ours is bound to, as [`Link::chain`] has them.
/// They may be gone.
pub(crate) fn bound(socket: &Socket, family: Family, name: &str) -> Result<Vec<String>, Error> {
    if family != Family::Netdev {
        return Ok(Vec::new());
    }
    let rules = nft::rules(socket, family, name)?.into_iter();
    let chains = rules.filter_map(|rule| Some(rule.chain.split_once('-')?.1.to_owned()));
    Ok(chains.collect())
}

/// Sets the six bits of the second byte and mends the header checksum, which
/// lies at byte 10.
fn mark_ipv4(dscp: u8) -> Vec<Expression> {
    vec![
        load(Meta::Protocol),
        compare(true, &IPV4),
        load_bytes(Header::Network, 0, 2),
        bits(&[0xff, 0x03], &[0, dscp << 2]),
        store_bytes(2, Some(10)),
    ]
}

/// Sets the six bits that straddle the first two bytes.
fn mark_ipv6(dscp: u8) -> Vec<Expression> {
    vec![
        load(Meta::Protocol),
        compare(true, &IPV6),
        load_bytes(Header::Network, 0, 2),
        bits(&[0xf0, 0x3f], &[dscp >> 2, dscp << 6]),
        store_bytes(2, None),
    ]
}

fn rule(label: &str, expressions: Vec<Expression>, part: Option<Part>) -> Rule {
    Rule {
        label: label.to_owned(),
        expressions,
        part,
    }
}
