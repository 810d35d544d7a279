//! In: a container, its shape and its guard. Out: the kernel made so, with
//! what had to be left out.

use std::os::fd::AsFd;

use super::address;
use super::connection::Reach;
use super::end::{End, Progress, Sockets};
use super::error::Error;
use super::frame::{self, Direction};
use super::guard;
use super::interface::{self, Place};
use super::link::{self, Link};
use super::namespace;
use super::nft::{self, Family};
use super::note::Note;
use super::owner::Owner;
use super::{Applied, Guard, Interface, Means, Shape, Target};

/// The table's name inside the container, where it has no neighbours.
pub(crate) const INSIDE: &str = "packrank";

const ATTEMPTS: u32 = 4;

/// Shapes and guards the container's network. Call it again with other values
/// to change them in place; with the same ones, it only looks.
///
/// The host is the calling thread's network namespace. Nothing is touched but
/// the container's own interfaces and what was made for it here.
///
/// # Errors
///
/// When the kernel refuses what it is able to do, when a value is out of
/// range, or when something by the same name belongs to another container.
/// What the kernel lacks is no error but a note in [`Applied`].
pub fn apply(
    target: &Target<'_>,
    shape: &Shape,
    guard: &Guard,
    means: &Means,
) -> Result<Applied, Error> {
    // The containers of a pod start side by side and share one network.
    // Whatever another one did meanwhile, the next attempt builds on it.
    let mut attempt = 1;
    loop {
        match attempt_to_apply(target, shape, guard, means) {
            Err(error) if error.may_be_a_race() && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn attempt_to_apply(
    target: &Target<'_>,
    shape: &Shape,
    guard: &Guard,
    means: &Means,
) -> Result<Applied, Error> {
    let owner = Owner::new(target.id)?;
    let limits = guard::limits(guard)?;
    let own = namespace::own()?;
    let mut progress = Progress::default();
    if namespace::same(own.as_fd(), target.netns)? {
        progress.notes.push(Note::HostNetwork);
        return Ok(applied(progress, Vec::new()));
    }
    let inside = namespace::inside(own.as_fd(), target.netns, || Sockets::open(means))?;
    let host = Sockets::open(means)?;
    let places = interface::places(&inside.route, target.netns, &host.route, own.as_fd())?;
    let (interfaces, at_host, within) = sort(places, &mut progress.notes);
    refuse_others(&owner, &host, target)?;

    // A container that could undo its own table, or go round it, is counted on
    // the host, by a mark that its packets get where they leave the veth.
    let evasive = target.net_admin || target.net_raw;
    let mark = at_host
        .first()
        .map(|link| link.index)
        .filter(|_| evasive && limits.is_some());
    if !at_host.is_empty() {
        let end = End {
            owner: &owner,
            sockets: &host,
            links: &at_host,
            arriving: Direction::From,
            shape,
            guard,
            mark,
            means,
        };
        end.apply(&mut progress)?;
        if at_host.len() > 1 && shape.ingress.is_some() {
            progress.notes.push(Note::EachInterface {
                interfaces: at_host.len(),
            });
        }
    }
    if !within.is_empty() {
        let end = End {
            owner: &owner,
            sockets: &inside,
            links: &within,
            arriving: Direction::To,
            shape,
            guard,
            mark: None,
            means,
        };
        end.apply(&mut progress)?;
    }

    // Without the mark the host could not tell whose packets they are.
    let mark = mark.filter(|_| progress.marked);
    let limits = limits.filter(|_| !interfaces.is_empty());
    let reach = match mark {
        Some(mark) => Reach::Host {
            mark,
            addresses: address::all(&inside.route)?,
            interfaces: at_host.iter().map(|link| link.index).collect(),
        },
        None => Reach::Inside,
    };
    let in_container = limits.filter(|_| mark.is_none() || !target.net_admin);
    let on_host = limits.filter(|_| mark.is_some());
    let inside_name = (Family::Inet, INSIDE.to_owned());
    guard::connections(
        &inside,
        &owner,
        &inside_name,
        in_container,
        &Reach::Inside,
        &mut progress,
    )?;
    let host_name = (Family::Inet, owner.table());
    guard::connections(&host, &owner, &host_name, on_host, &reach, &mut progress)?;
    if limits.is_some() && mark.is_none() && evasive {
        progress.notes.push(Note::WithinReach);
    }
    if on_host.is_some() && in_container.is_none() {
        progress.notes.push(Note::BridgedUncounted);
    }
    Ok(applied(progress, interfaces))
}

/// Refuses objects that hold another network namespace's interfaces, and none
/// of this one's.
fn refuse_others(owner: &Owner, host: &Sockets, target: &Target<'_>) -> Result<(), Error> {
    let Some(socket) = &host.filter else {
        return Ok(());
    };
    let bound = match nft::table(socket, Family::Netdev, &owner.table()) {
        Ok(Some(_)) => frame::bound(socket, Family::Netdev, &owner.table())?,
        Ok(None) => return Ok(()),
        Err(error) if error.is_lacking() => return Ok(()),
        Err(error) => return Err(error),
    };
    let own = link::namespace_number(&host.route, target.netns)?;
    let links = link::all(&host.route)?;
    let mut held = links.iter().filter(|link| bound.contains(&link.chain()));
    let others = |link: &&Link| link.below_namespace.is_some() && link.below_namespace != own;
    match held.next() {
        Some(first) if others(&first) && held.all(|link| others(&link)) => Err(Error::Elsewhere {
            id: owner.id.clone(),
            interface: first.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// The interfaces by the place where they are shaped.
fn sort(places: Vec<Place>, notes: &mut Vec<Note>) -> (Vec<Interface>, Vec<Link>, Vec<Link>) {
    let mut interfaces = Vec::new();
    let mut at_host = Vec::new();
    let mut within = Vec::new();
    for place in places {
        match place {
            Place::Host { inside, host } => {
                interfaces.push(Interface {
                    name: inside.name,
                    host: Some(host.name.clone()),
                });
                at_host.push(host);
            }
            Place::Inside(link) => {
                notes.push(Note::ShapedInside {
                    interface: link.name.clone(),
                    kind: link.kind.clone().unwrap_or_else(|| "hardware".into()),
                });
                interfaces.push(Interface {
                    name: link.name.clone(),
                    host: None,
                });
                within.push(link);
            }
            Place::Elsewhere(link) => notes.push(Note::PeerElsewhere {
                interface: link.name,
            }),
            Place::Process(link) => notes.push(Note::UserMode {
                interface: link.name,
            }),
        }
    }
    if interfaces.is_empty() && notes.is_empty() {
        notes.push(Note::NoInterface);
    }
    (interfaces, at_host, within)
}

fn applied(progress: Progress, interfaces: Vec<Interface>) -> Applied {
    let mut applied = Applied {
        changed: progress.changed,
        interfaces,
        made: progress.made,
        notes: progress.notes,
    };
    applied.notes.sort();
    applied.notes.dedup();
    applied
}
