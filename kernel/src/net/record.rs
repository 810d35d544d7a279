//! In: a record, and what was done to its pack since. Out: the limits in
//! force, in this module's terms, and its network made so again.

use std::os::fd::BorrowedFd;

use packrank_core::key::Key;
use packrank_core::record::{Amount, Deeds, Record};
use packrank_core::value::{Dscp, Value};

use super::error::Error;
use super::{Applied, Guard, Means, Rate, Shape, Target, apply};

/// The member of a record's network that names its namespace's entry; none
/// there, and the network is the host's or not ours to touch.
pub const NAMESPACE: &str = "namespace";

/// The member that says whether the guard is kept out of the container's
/// reach.
pub const NET_ADMIN: &str = "net-admin";

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
        _ => in_force(record, deeds, key)?.number(),
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
    };
    apply(&target, &shape, &guard, &Means::default())
}

/// What a person pinned, else what use or pressure brought about, else the
/// plan's. Deeds are written before they are done: this is what the kernel has
/// or is about to get.
fn in_force(record: &Record, deeds: &Deeds, key: Key) -> Option<Amount> {
    let taken = deeds.taken.get(key.name()).map(|taken| {
        let number = taken.pressed.or(taken.adapted);
        number.map_or(Amount::Unlimited, Amount::At)
    });
    let pinned = record.pinned.amount(key);
    pinned.or(taken).or_else(|| record.settings.amount(key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use packrank_core::record::Taken;

    #[test]
    fn what_a_person_pinned_comes_before_use_and_use_before_the_plan() {
        let mut record: Record = serde_json::from_value(serde_json::json!({
            "version": 1, "id": "a", "priority": "low", "pid": 1, "started": 1, "cgroups": {},
            "bundle": "/", "engine": "/", "settings": { "network.egress": 5 },
        }))
        .unwrap();
        let mut deeds = Deeds::default();
        let now = |record: &Record, deeds: &Deeds| in_force(record, deeds, Key::NetworkEgress);
        assert_eq!(now(&record, &deeds), Some(Amount::At(5)));
        let mut taken = Taken {
            original: Some(5),
            adapted: Some(3),
            pressed: Some(2),
        };
        let name = Key::NetworkEgress.name();
        deeds.taken.insert(name.to_owned(), taken);
        assert_eq!(now(&record, &deeds), Some(Amount::At(2)));
        taken.pressed = None;
        deeds.taken.insert(name.to_owned(), taken);
        assert_eq!(now(&record, &deeds), Some(Amount::At(3)));
        record.pinned.put_amount(Key::NetworkEgress, Amount::At(4));
        assert_eq!(now(&record, &deeds), Some(Amount::At(4)));
        assert_eq!(in_force(&record, &deeds, Key::NetworkIngress), None);
    }
}
