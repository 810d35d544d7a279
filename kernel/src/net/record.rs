//! In: a record, and what was done to its pack since. Out: the limits in
//! force, in this module's terms, and its network made so again.

use std::os::fd::BorrowedFd;

use packrank_core::key::Key;
use packrank_core::record::{Deeds, Record};
use packrank_core::value::{Dscp, Value};

use super::error::Error;
use super::{Applied, Guard, Means, Rate, Shape, Target, apply};

/// The member of a record's network that names its namespace's entry; none
/// there, and the network is the host's or not ours to touch.
pub const NAMESPACE: &str = "namespace";

/// The member that says whether the guard is kept out of the container's
/// reach.
pub const NET_ADMIN: &str = "net-admin";

/// The member that says whether the container can send what its own namespace
/// does not see.
pub const NET_RAW: &str = "net-raw";

/// The member that says whose the network is: the id that its objects carry.
pub const OWNER: &str = "owner";

/// Limits from whatever knows the numbers: bits, packets and connections per
/// second, connections.
pub fn limits(number: impl Fn(Key) -> Option<u64>, dscp: Option<Dscp>) -> (Shape, Guard) {
    let rate = |key| {
        let bits_per_second = number(key)?;
        let burst = number(Key::NetworkBurst);
        Some(Rate {
            bits_per_second,
            // Two seconds of rate, as the built-in policy has it.
            burst_bits: burst.unwrap_or(bits_per_second.saturating_mul(2)),
        })
    };
    let shape = Shape {
        egress: rate(Key::NetworkEgress),
        ingress: rate(Key::NetworkIngress),
    };
    let guard = Guard {
        connections: number(Key::NetworkConnections),
        new_connections: number(Key::NetworkNewConnections),
        packets: number(Key::NetworkPackets),
        dscp: dscp.map(|dscp| dscp.0),
    };
    (shape, guard)
}

/// Whose the record's network is; `None` for the host's own.
#[must_use]
pub fn owner(record: &Record) -> Option<&str> {
    record.network.get(NAMESPACE)?;
    let owner = record.network.get(OWNER).and_then(|owner| owner.as_str());
    Some(owner.unwrap_or(&record.id))
}

/// Shapes and guards the network of the record's container as it is to be
/// now, but for one setting that is to be another.
///
/// # Errors
/// As [`apply`].
pub fn apply_record(
    record: &Record,
    deeds: &Deeds,
    id: &str,
    netns: BorrowedFd<'_>,
    change: Option<(Key, &Value)>,
) -> Result<Applied, Error> {
    let number = |key: Key| match change {
        Some((changed, value)) if changed == key => value.number(),
        _ => record.in_force(deeds, key)?.number(),
    };
    let dscp = match change {
        Some((_, Value::Dscp(dscp))) => Some(*dscp),
        _ => written_dscp(record),
    };
    let (shape, guard) = limits(number, dscp);
    let target = Target {
        id,
        netns,
        net_admin: record.network.get(NET_ADMIN) == Some(&true.into()),
        net_raw: record.network.get(NET_RAW) == Some(&true.into()),
    };
    apply(&target, &shape, &guard, &Means::default())
}

fn written_dscp(record: &Record) -> Option<Dscp> {
    let name = Key::NetworkDscp.name();
    let mut figures = record.pinned.iter().chain(record.settings.iter());
    let (_, text) = figures.find(|(key, _)| *key == name)?;
    match Value::parse(Key::NetworkDscp, text.as_str()?) {
        Ok(Value::Dscp(dscp)) => Some(dscp),
        _ => None,
    }
}
