//! In: a container. Out: the rates and limits in force, and what they counted.

use std::os::fd::{AsFd, BorrowedFd};

use super::attribute::find;
use super::connection::ADMITTED;
use super::end::Sockets;
use super::error::Error;
use super::htb::Passed;
use super::interface::{self, Place};
use super::link::{self, Link};
use super::namespace;
use super::nft::{self, Counter, Family};
use super::owner::Owner;
use super::rate::Rate;
use super::shaper;
use super::socket::{Request, Socket};
use super::{Guard, Means};

/// `IPCTNL_MSG_CT_GET_STATS` of the connection tracking subsystem.
const GET_STATISTICS: u16 = 1 << 8 | 5;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;

/// The network of one container as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// From the container, all interfaces together.
    pub egress: Vec<Direction>,
    /// To the container, each interface by itself.
    pub ingress: Vec<Direction>,
    /// The guard's limits in force.
    pub guard: Guard,
    /// Connections tracked in the container's namespace: those open, loopback
    /// and closing ones included. None where the host counts them.
    pub connections: Option<u64>,
    /// The guard's named counters.
    pub counters: Vec<Counter>,
}

impl Status {
    /// Takes in a table's counter. Where connections are counted on the host
    /// and inside, each admitted one is seen by both, and a refused one by the
    /// first.
    fn count(&mut self, counter: Counter) {
        let mut counters = self.counters.iter_mut();
        match counters.find(|known| known.name == counter.name) {
            None => self.counters.push(counter),
            Some(known) if known.name == ADMITTED => {
                known.packets = known.packets.max(counter.packets);
                known.bytes = known.bytes.max(counter.bytes);
            }
            Some(known) => {
                known.packets += counter.packets;
                known.bytes += counter.bytes;
            }
        }
    }
}

/// One direction's rate and what passed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// The interface that shapes it.
    pub interface: String,
    /// The rate in force.
    pub rate: Rate,
    /// What passed.
    pub passed: Passed,
}

/// Reads back what [`apply`](super::apply) set up, from the kernel alone.
///
/// # Errors
///
/// When the container's namespace or the kernel cannot be asked.
pub fn read(id: &str, netns: BorrowedFd<'_>) -> Result<Status, Error> {
    let owner = Owner::new(id)?;
    let own = namespace::own()?;
    let mut status = Status::default();
    if namespace::same(own.as_fd(), netns)? {
        return Ok(status);
    }
    let means = Means::default();
    let inside = namespace::inside(own.as_fd(), netns, || Sockets::open(&means))?;
    let host = Sockets::open(&means)?;
    for place in interface::places(&inside.route, netns, &host.route, own.as_fd())? {
        match place {
            Place::Host { host: link, .. } => {
                status
                    .ingress
                    .extend(direction(&host.route, &link, link.mtu)?);
                if status.egress.is_empty() {
                    status.egress.extend(shared(&host.route, &owner, link.mtu)?);
                }
            }
            Place::Inside(link) => {
                status
                    .egress
                    .extend(direction(&inside.route, &link, link.mtu)?);
                if let Some(ifb) = shared(&inside.route, &owner, link.mtu)?
                    && !status.ingress.contains(&ifb)
                {
                    status.ingress.push(ifb);
                }
            }
            Place::Elsewhere(_) | Place::Process(_) => {}
        }
    }
    let table = owner.table();
    for (sockets, family, name) in [
        (&host, Family::Netdev, table.as_str()),
        (&host, Family::Inet, table.as_str()),
        (&inside, Family::Netdev, table.as_str()),
        (&inside, Family::Inet, super::apply::INSIDE),
    ] {
        if let Some(socket) = &sockets.filter {
            guard(socket, family, name, &mut status)?;
        }
    }
    if let Some(socket) = &inside.filter {
        status.connections = connections(socket);
    }
    Ok(status)
}

fn shared(socket: &Socket, owner: &Owner, mtu: u32) -> Result<Option<Direction>, Error> {
    match link::by_name(socket, &owner.link())? {
        Some(ifb) => direction(socket, &ifb, mtu),
        None => Ok(None),
    }
}

fn direction(socket: &Socket, link: &Link, mtu: u32) -> Result<Option<Direction>, Error> {
    let class = shaper::read(socket, link)?;
    Ok(class.map(|class| Direction {
        interface: link.name.clone(),
        rate: class.bucket.rate(mtu),
        passed: class.passed,
    }))
}

fn guard(socket: &Socket, family: Family, name: &str, status: &mut Status) -> Result<(), Error> {
    match nft::table(socket, family, name) {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(()),
        Err(error) if error.is_lacking() => return Ok(()),
        Err(error) => return Err(error),
    }
    for counter in nft::counters(socket, family, name)? {
        status.count(counter);
    }
    for rule in nft::rules(socket, family, name)? {
        let Some((key, value)) = rule.label.split_once('=') else {
            continue;
        };
        match key {
            "packets" => status.guard.packets = value.parse().ok(),
            "connections" => status.guard.connections = value.parse().ok(),
            "new-connections" => status.guard.new_connections = value.parse().ok(),
            "dscp-ipv4" => status.guard.dscp = value.parse().ok(),
            _ => {}
        }
    }
    Ok(())
}

/// None where the kernel tracks no connections or does not tell.
fn connections(socket: &Socket) -> Option<u64> {
    let request = Request {
        kind: GET_STATISTICS,
        flags: 0,
        body: vec![0; 4],
    };
    let replies = socket.call(&request).ok()?;
    let entries = find(replies.first()?.body.get(4..)?, CTA_STATS_GLOBAL_ENTRIES)?;
    Some(u64::from(u32::from_be_bytes(entries.try_into().ok()?)))
}
