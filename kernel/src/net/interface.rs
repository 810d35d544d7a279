//! In: the container's and the host's route sockets. Out: each interface of
//! the container and the place where its traffic can be shaped.
//!
//! A veth's other end counts as the container's only when both ends say so:
//! the container's end names an index in the host's namespace, and the
//! interface with that index names the container's end in the container's
//! namespace. Anything less is left alone.

use std::os::fd::BorrowedFd;

use super::error::Error;
use super::link::{self, Link};
use super::socket::Socket;

/// Where one interface of the container can be shaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the host's end of a veth, out of the container's reach.
    Host { inside: Link, host: Link },
    /// On the interface itself, in the container's namespace: macvlan, ipvlan,
    /// hardware moved inside and the like have no end of their own on the host.
    Inside(Link),
    /// A veth whose other end is in a third namespace.
    Elsewhere(Link),
    /// A tap or tun fed by a process (pasta, slirp4netns).
    Process(Link),
}

/// Finds the place for every interface that leads out of the container.
pub(crate) fn places(
    container: &Socket,
    container_namespace: BorrowedFd<'_>,
    host: &Socket,
    host_namespace: BorrowedFd<'_>,
) -> Result<Vec<Place>, Error> {
    let links = link::all(container)?;
    // Asked for after the list: listing is what makes the kernel number the
    // namespaces that the listed interfaces point to.
    let host_number = link::namespace_number(container, host_namespace)?;
    let mut places = Vec::new();
    for inside in links.into_iter().filter(|link| !link.loopback) {
        let leads_out = inside.below_namespace.is_some();
        let to_host = leads_out && inside.below_namespace == host_number;
        places.push(match inside.kind.as_deref() {
            Some("veth") if to_host => match peer(&inside, container_namespace, host)? {
                Some(host) => Place::Host { inside, host },
                None => Place::Elsewhere(inside),
            },
            Some("veth") if leads_out => Place::Elsewhere(inside),
            Some("tun") => Place::Process(inside),
            Some(_) if leads_out => Place::Inside(inside),
            // Bridges, dummies, vlans, tunnels and veth pairs that begin and
            // end inside: what passes them also passes an interface above.
            Some(_) => continue,
            None => Place::Inside(inside),
        });
    }
    Ok(places)
}

/// The host's end of a veth, if it answers to the container's end.
fn peer(
    inside: &Link,
    container_namespace: BorrowedFd<'_>,
    host: &Socket,
) -> Result<Option<Link>, Error> {
    let Some(index) = inside.below else {
        return Ok(None);
    };
    let Some(candidate) = link::by_index(host, index)? else {
        return Ok(None);
    };
    let container_number = link::namespace_number(host, container_namespace)?;
    let answers = candidate.kind.as_deref() == Some("veth")
        && candidate.below == Some(inside.index)
        && candidate.below_namespace.is_some()
        && candidate.below_namespace == container_number;
    Ok(answers.then_some(candidate))
}
