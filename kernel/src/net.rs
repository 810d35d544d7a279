//! In: a container's network namespace, rates and limits. Out: its traffic
//! shaped in both directions and its connections guarded, and later all of
//! that read, changed in place, or gone.
//!
//! The host is always the calling thread's own network namespace. Both
//! directions are shaped at the host's end of every veth of the container,
//! where nothing inside the container can undo it; see `docs/network.md` for
//! what sits where, and what was measured.
//!
//! Everything goes through netlink sockets of our own, a few microseconds an
//! operation, without helper processes and without waiting: a hook between a
//! container's creation and its start calls [`apply`] and ends.

mod address;
mod apply;
mod attribute;
mod connection;
mod end;
mod error;
mod expression;
mod filter;
mod frame;
mod guard;
mod htb;
mod interface;
mod link;
mod namespace;
mod news;
mod nft;
mod note;
mod owner;
mod queue;
mod rate;
mod record;
mod redirect;
mod settle;
mod shaper;
mod socket;
mod status;
mod sweep;
mod table;

use std::os::fd::BorrowedFd;

pub use apply::apply;
pub use error::Error;
pub use htb::Passed;
pub use news::{Heard, News};
pub use nft::{Counter, Family};
pub use note::Note;
pub use rate::Rate;
pub use record::{NAMESPACE, NET_ADMIN, NET_RAW, OWNER, apply_record, limits, owner};
pub use status::{Direction, Status, read};
pub use sweep::{Ours, list_ours, remove, remove_nameless};

/// Whose network.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The container's id, or the sandbox's for a pod: the owner of all that
    /// is made. At most 118 bytes.
    pub id: &'a str,
    /// Its network namespace.
    pub netns: BorrowedFd<'a>,
    /// Whether it holds CAP_NET_ADMIN over that namespace: its connections
    /// are then counted on the host.
    pub net_admin: bool,
    /// Whether it holds CAP_NET_RAW: its connections are then counted on the
    /// host too.
    pub net_raw: bool,
}

/// Limits on bits. A direction without a rate is not shaped, and is freed
/// where it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// From the container.
    pub egress: Option<Rate>,
    /// To the container.
    pub ingress: Option<Rate>,
}

/// Limits on packets and connections, and the packets' marking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Connections open at once, made and accepted together.
    pub connections: Option<u64>,
    /// Connections opened per second, made and accepted together.
    pub new_connections: Option<u64>,
    /// Packets per second, in each direction. What is handed down unsplit
    /// (segmentation offload) is one packet.
    pub packets: Option<u64>,
    /// The differentiated services code point of what the container sends, 0
    /// to 63.
    pub dscp: Option<u8>,
}

/// Kernel features that may be tried. All of them, unless the caller knows
/// that one is missing (a failed attempt can cost the kernel a search for a
/// module) or wants to know how it would be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Firewall tables at all.
    pub nf_tables: bool,
    /// nf_tables that forward from one interface to another.
    pub forward: bool,
    /// Interfaces on which arrivals queue.
    pub ifb: bool,
    /// The tc filter for every packet.
    pub matchall: bool,
    /// fq_codel.
    pub fair_queue: bool,
}

impl Default for Means {
    fn default() -> Self {
        Self {
            nf_tables: true,
            forward: true,
            ifb: true,
            matchall: true,
            fair_queue: true,
        }
    }
}

/// What [`apply`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether anything had to be changed.
    pub changed: bool,
    /// The interfaces now shaped.
    pub interfaces: Vec<Interface>,
    /// What is there for this container now. [`remove`] needs only the id.
    pub made: Vec<Object>,
    /// What was left out or done differently, and why.
    pub notes: Vec<Note>,
}

/// An interface of the container that leads out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the container.
    pub name: String,
    /// The name of its other end on the host; none where it is shaped inside.
    pub host: Option<String>,
}

/// A thing made in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The qdisc at the root of this interface; goes with the interface.
    Qdisc(String),
    /// This ifb interface.
    Ifb(String),
    /// This nf_tables table.
    Table(Family, String),
}

impl Object {
    /// Whether its name is the one that this container's, or sandbox's,
    /// object has.
    #[must_use]
    pub fn is_named_for(&self, id: &str) -> bool {
        let owner = owner::Owner::new(id);
        owner.is_ok_and(|owner| match self {
            Object::Qdisc(_) => false,
            Object::Ifb(name) => *name == owner.link(),
            Object::Table(_, name) => *name == owner.table(),
        })
    }
}
