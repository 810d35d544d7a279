//! In: route sockets and names. Out: the interfaces of the namespace in which
//! the socket was opened, and ifb interfaces made and deleted there.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::attribute::{find, text, u32_at};
use super::error::Error;
use super::owner::{self, Owner};
use super::socket::{Reply, Request, Socket};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_GETNSID: u16 = 90;
/// Bytes of `struct ifinfomsg` and `struct rtgenmsg` before the attributes.
const LINK_HEADER: usize = 16;
const NSID_HEADER: usize = 4;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_IFALIAS: u16 = 20;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const NETNSA_NSID: u16 = 1;
/// `RTEXT_FILTER_SKIP_STATS`: statistics are most of a link message.
const SKIP_STATISTICS: u32 = 1 << 3;
const IFF_LOOPBACK: u32 = 1 << 3;

/// An interface, as far as shaping needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub loopback: bool,
    /// The kind of virtual interface (`veth`, `macvlan`, …); none for hardware.
    pub kind: Option<String>,
    /// The interface at the other end (veth) or below (macvlan, vlan).
    pub below: Option<u32>,
    /// The socket's namespace's number for the namespace in which `below`
    /// lives; none where that is the same namespace.
    pub below_namespace: Option<u32>,
    pub alias: Option<String>,
}

impl Link {
    fn read(reply: &Reply) -> Option<Self> {
        let attributes = reply.body.get(LINK_HEADER..)?;
        let number = |kind| find(attributes, kind).and_then(|value| u32_at(value, 0));
        Some(Self {
            index: u32_at(&reply.body, 4)?,
            loopback: u32_at(&reply.body, 8)? & IFF_LOOPBACK != 0,
            name: text(find(attributes, IFLA_IFNAME)?),
            mtu: number(IFLA_MTU).unwrap_or(1500),
            kind: find(attributes, IFLA_LINKINFO)
                .and_then(|info| find(info, IFLA_INFO_KIND))
                .map(text),
            below: number(IFLA_LINK),
            below_namespace: number(IFLA_LINK_NETNSID),
            alias: find(attributes, IFLA_IFALIAS).map(text),
        })
    }
}

impl Link {
    /// How the chains at this interface are named: by its number and name.
    pub fn chain(&self) -> String {
        format!("{}-{}", self.index, self.name)
    }

    /// The interface that an announcement says came or changed.
    pub fn announced(message: &Reply) -> Option<Self> {
        (message.kind == RTM_NEWLINK).then(|| Self::read(message))?
    }
}

/// Every interface of the socket's namespace.
pub(crate) fn all(socket: &Socket) -> Result<Vec<Link>, Error> {
    let mut message = LinkMessage::default();
    message.attributes.push(skip_statistics());
    let request = Request::new(RTM_GETLINK, NLM_F_DUMP, &message);
    let replies = socket
        .dump(&request)
        .map_err(|refusal| refusal.during("list", "interfaces"))?;
    Ok(replies
        .iter()
        .filter(|reply| reply.kind == RTM_NEWLINK)
        .filter_map(Link::read)
        .collect())
}

/// The interface with this index, if there is one.
pub(crate) fn by_index(socket: &Socket, index: u32) -> Result<Option<Link>, Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    query(socket, message, || format!("interface {index}"))
}

/// The interface with this name, if there is one.
pub(crate) fn by_name(socket: &Socket, name: &str) -> Result<Option<Link>, Error> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.into()));
    query(socket, message, || format!("interface {name}"))
}

fn query(
    socket: &Socket,
    mut message: LinkMessage,
    object: impl Fn() -> String,
) -> Result<Option<Link>, Error> {
    message.attributes.push(skip_statistics());
    match socket.call(&Request::new(RTM_GETLINK, 0, &message)) {
        Ok(replies) => match replies.first().and_then(Link::read) {
            Some(link) => Ok(Some(link)),
            None => Err(Error::Malformed {
                action: "look up",
                object: object(),
            }),
        },
        Err(refusal) => match refusal.during("look up", object()) {
            error if error.is_absent() => Ok(None),
            error => Err(error),
        },
    }
}

fn skip_statistics() -> LinkAttribute {
    LinkAttribute::Other(DefaultNla::new(
        IFLA_EXT_MASK,
        SKIP_STATISTICS.to_ne_bytes().to_vec(),
    ))
}

/// The number that the socket's namespace gives to another one; none where it
/// has given none, which also says that no interface here points there.
pub(crate) fn namespace_number(
    socket: &Socket,
    namespace: BorrowedFd<'_>,
) -> Result<Option<u32>, Error> {
    let mut message = NsidMessage::default();
    let descriptor = u32::try_from(namespace.as_raw_fd()).unwrap_or(u32::MAX);
    message.attributes.push(NsidAttribute::Fd(descriptor));
    let replies = socket
        .call(&Request::new(RTM_GETNSID, 0, &message))
        .map_err(|refusal| refusal.during("number", "a network namespace"))?;
    Ok(replies
        .first()
        .and_then(|reply| find(reply.body.get(NSID_HEADER..)?, NETNSA_NSID))
        .and_then(|value| u32_at(value, 0))
        // NETNSA_NSID_NOT_ASSIGNED
        .filter(|&number| number != u32::MAX))
}

/// Makes the owner's ifb interface, or finds the one made before. The second
/// value says whether it is new.
pub(crate) fn make_ifb(socket: &Socket, owner: &Owner) -> Result<(Link, bool), Error> {
    let name = owner.link();
    if let Some(link) = by_name(socket, &name)? {
        check_owner(&link, owner)?;
        if link.alias.is_none() {
            socket
                .call(&label(owner))
                .map_err(|refusal| refusal.during("label ifb interface", &name))?;
        }
        return Ok((link, false));
    }
    let mut create = LinkMessage::default();
    create.header.flags = LinkFlags::Up;
    create.header.change_mask = LinkFlags::Up;
    create.attributes = vec![
        LinkAttribute::IfName(name.clone()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
    ];
    // One system call for both: killed in between, the interface would stay
    // behind without its owner's id.
    let requests = [
        Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &create),
        label(owner),
    ];
    socket
        .batch(&requests)
        .map_err(|refusal| refusal.during("create ifb interface", &name))?;
    match by_name(socket, &name)? {
        Some(link) => Ok((link, true)),
        None => Err(Error::Malformed {
            action: "create ifb interface",
            object: name,
        }),
    }
}

fn label(owner: &Owner) -> Request {
    let mut label = LinkMessage::default();
    label.attributes = vec![
        LinkAttribute::IfName(owner.link()),
        LinkAttribute::IfAlias(owner.mark()),
    ];
    Request::new(RTM_SETLINK, 0, &label)
}

/// Deletes the owner's ifb interface; whether there was one.
pub(crate) fn delete_ifb(socket: &Socket, owner: &Owner) -> Result<bool, Error> {
    match by_name(socket, &owner.link())? {
        Some(link) => {
            check_owner(&link, owner)?;
            delete(socket, link.index)
        }
        None => Ok(false),
    }
}

/// Deletes an interface; whether it was there.
pub(crate) fn delete(socket: &Socket, index: u32) -> Result<bool, Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    match socket.call(&Request::new(RTM_DELLINK, 0, &message)) {
        Ok(_) => Ok(true),
        Err(refusal) => match refusal.during("delete interface", index.to_string()) {
            error if error.is_absent() => Ok(false),
            error => Err(error),
        },
    }
}

/// Refuses an interface that has our name and is another's. One without an
/// alias was made a moment ago, by another process at work for this container.
fn check_owner(link: &Link, owner: &Owner) -> Result<(), Error> {
    let found = link.alias.as_deref().map(owner::id_in);
    let is_ifb = link.kind.as_deref() == Some("ifb");
    if is_ifb && found.is_none_or(|id| id == Some(&owner.id)) {
        return Ok(());
    }
    Err(Error::Taken {
        object: format!("interface {}", link.name),
        owner: found.flatten().unwrap_or("someone unknown").to_owned(),
        id: owner.id.clone(),
    })
}
