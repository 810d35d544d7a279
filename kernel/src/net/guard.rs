//! In: a guard. Out: its limits checked, and the limits on connections set up
//! where they are to sit, or taken away.

use super::Guard;
use super::Object;
use super::connection::{self, Limits, Reach};
use super::end::{Progress, Sockets};
use super::error::Error;
use super::nft::Family;
use super::note::Note;
use super::owner::Owner;
use super::settle;
use super::table::{Change, Part};

/// The limits on connections, if there are any, once every limit is in range.
pub(crate) fn limits(guard: &Guard) -> Result<Option<Limits>, Error> {
    let out_of_range = |setting, value| Error::Range { setting, value };
    if let Some(dscp) = guard.dscp.filter(|&dscp| dscp > 63) {
        return Err(out_of_range("network.dscp", dscp.into()));
    }
    for (setting, value) in [
        ("network.packets", guard.packets),
        ("network.new-connections", guard.new_connections),
    ] {
        // The kernel divides a second's nanoseconds by the rate.
        if let Some(value) = value.filter(|value| !(1..=1_000_000_000).contains(value)) {
            return Err(out_of_range(setting, value));
        }
    }
    if guard.connections.is_none() && guard.new_connections.is_none() {
        return Ok(None);
    }
    let connections = guard
        .connections
        .map(|value| u32::try_from(value).map_err(|_| out_of_range("network.connections", value)))
        .transpose()?;
    Ok(Some(Limits {
        connections,
        new_connections: guard.new_connections,
    }))
}

/// Sets up the inet table for these limits, or takes it away where there are
/// none.
pub(crate) fn connections(
    sockets: &Sockets,
    owner: &Owner,
    name: &(Family, String),
    limits: Option<Limits>,
    reach: &Reach,
    progress: &mut Progress,
) -> Result<(), Error> {
    let build = |without: &[Part]| {
        let limits = limits.filter(|limits| {
            let connections = limits.connections.is_some() && !without.contains(&Part::Connections);
            let new = limits.new_connections.is_some() && !without.contains(&Part::NewConnections);
            // Refusing in silence would be worse than not refusing.
            (connections || new) && !without.contains(&Part::Refusal)
        })?;
        Some(connection::table(name.1.clone(), limits, reach, without))
    };
    let settled = settle::settle(sockets, owner, name, Vec::new(), build)?;
    let Some(limits) = limits else {
        return Ok(());
    };
    let (change, without) =
        settled.unwrap_or((Change::None, vec![Part::Connections, Part::NewConnections]));
    progress.changed |= change != Change::None;
    let lost = |part| without.contains(&part) || without.contains(&Part::Refusal);
    let mut left = false;
    for (part, wanted, settings) in [
        (
            Part::Connections,
            limits.connections.is_some(),
            "network.connections",
        ),
        (
            Part::NewConnections,
            limits.new_connections.is_some(),
            "network.new-connections",
        ),
    ] {
        if wanted && lost(part) {
            progress.notes.push(Note::Lacking {
                feature: "nf_tables with connection tracking and reject",
                settings,
            });
        }
        left |= wanted && !lost(part);
    }
    if left {
        progress.made.push(Object::Table(name.0, name.1.clone()));
    }
    if limits.connections.is_some() && matches!(change, Change::Rules | Change::Recreated) {
        progress.notes.push(Note::CountsAnew);
    }
    Ok(())
}
