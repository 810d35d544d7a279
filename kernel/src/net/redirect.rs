//! In: an interface and an ifb. Out: what arrives on the interface queues on
//! the ifb first, by a tc filter.
//!
//! This is the second choice, for kernels whose nf_tables cannot forward
//! between interfaces: a packet redirected here never reaches the nf_tables
//! hooks of the interface, so packet limits and marks are lost with it.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcActionType, TcAttribute,
    TcFilterMatchAllOption, TcFilterU32Option, TcHandle, TcMessage, TcMirror, TcMirrorActionType,
    TcOption, TcU32Key, TcU32Selector, TcU32SelectorFlags,
};

use super::attribute::{find, text, u32_at};
use super::error::Error;
use super::htb::{RTM_DELQDISC, RTM_NEWQDISC, TC_HEADER, TCA_KIND};
use super::link::Link;
use super::socket::{Reply, Request, Socket};

const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
/// linux/rtnetlink.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h.
const TCA_OPTIONS: u16 = 2;
const TCA_MATCHALL_ACT: u16 = 2;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
/// "pr": the filter priority by which a filter is known as ours.
const PRIORITY: u32 = 0x7072;
const ETH_P_ALL: u16 = 3;
/// `ffff:fff2`: arrivals, under an ingress and under a clsact qdisc alike.
const ARRIVALS: TcHandle = TcHandle {
    major: u16::MAX,
    minor: TcHandle::MIN_INGRESS,
};
const INGRESS: TcHandle = TcHandle {
    major: u16::MAX,
    minor: 0,
};

/// A classifier that lets every packet through to its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Classifier {
    MatchAll,
    U32,
}

/// What `apply` found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirected {
    Unchanged,
    Created,
    /// Somebody else filters arrivals here; they were left alone.
    Foreign,
}

/// Sends what arrives on `link` through `ifb`. A `fresh` ifb cannot be what
/// an existing filter points to.
pub(crate) fn apply(
    socket: &Socket,
    link: &Link,
    ifb: &Link,
    fresh: bool,
    classifiers: &[Classifier],
) -> Result<Redirected, Error> {
    let filters = filters(socket, link)?;
    if filters.contains(&PRIORITY) {
        if !fresh {
            return Ok(Redirected::Unchanged);
        }
        delete_filter(socket, link)?;
    }
    if filters.iter().any(|&priority| priority != PRIORITY) {
        return Ok(Redirected::Foreign);
    }
    let ingress = qdisc(link);
    match socket.call(&Request::new(
        RTM_NEWQDISC,
        NLM_F_CREATE | NLM_F_EXCL,
        &ingress,
    )) {
        Ok(_) => {}
        // There already, with nothing in it.
        Err(refusal) if refusal.source.raw_os_error() == Some(libc::EEXIST) => {}
        Err(refusal) => return Err(refusal.during("watch arrivals on", &link.name)),
    }
    let mut lacking = None;
    for &classifier in classifiers {
        let filter = Request::new(
            RTM_NEWTFILTER,
            NLM_F_CREATE | NLM_F_EXCL,
            &filter(link, ifb, classifier),
        );
        match socket.call(&filter) {
            Ok(_) => return Ok(Redirected::Created),
            Err(refusal) => match refusal.during("redirect arrivals on", &link.name) {
                error if error.is_lacking() => lacking = Some(error),
                error => return Err(error),
            },
        }
    }
    Err(lacking.unwrap_or(Error::Refused {
        action: "redirect arrivals on",
        object: link.name.clone(),
        detail: None,
        source: std::io::Error::from_raw_os_error(libc::EOPNOTSUPP),
    }))
}

/// Whether somebody else filters arrivals here.
pub(crate) fn is_foreign(socket: &Socket, link: &Link) -> Result<bool, Error> {
    let filters = filters(socket, link)?;
    Ok(filters.iter().any(|&priority| priority != PRIORITY))
}

/// Takes our filter away, and the qdisc that held it if nothing else is in it.
pub(crate) fn remove(socket: &Socket, link: &Link) -> Result<bool, Error> {
    let filters = filters(socket, link)?;
    if !filters.contains(&PRIORITY) {
        return Ok(false);
    }
    delete_filter(socket, link)?;
    if filters.iter().all(|&priority| priority == PRIORITY) {
        match socket.call(&Request::new(RTM_DELQDISC, 0, &qdisc(link))) {
            Ok(_) => {}
            Err(refusal) => match refusal.during("stop watching arrivals on", &link.name) {
                error if error.is_absent() => {}
                error => return Err(error),
            },
        }
    }
    Ok(true)
}

/// Whether a filter of ours sends what arrives on `link` to `ifb`.
pub(crate) fn feeds(socket: &Socket, link: &Link, ifb: &Link) -> Result<bool, Error> {
    let replies = listed(socket, link)?;
    let mut targets = replies.iter().filter_map(target);
    Ok(targets.any(|index| index == ifb.index))
}

/// The interface that a filter redirects to, by its first action.
fn target(reply: &Reply) -> Option<u32> {
    let attributes = reply.body.get(TC_HEADER..)?;
    let options = find(attributes, TCA_OPTIONS)?;
    let actions = match text(find(attributes, TCA_KIND)?).as_str() {
        "matchall" => find(options, TCA_MATCHALL_ACT)?,
        "u32" => find(options, TCA_U32_ACT)?,
        _ => return None,
    };
    let mirror = find(find(find(actions, 1)?, TCA_ACT_OPTIONS)?, TCA_MIRRED_PARMS)?;
    // `struct tc_mirred`: five numbers of every action, what to do, and where.
    u32_at(mirror, 24)
}

/// The priorities of the filters on arrivals.
fn filters(socket: &Socket, link: &Link) -> Result<Vec<u32>, Error> {
    let replies = listed(socket, link)?;
    let priorities = replies.iter().filter_map(|reply| {
        let kind = find(reply.body.get(TC_HEADER..)?, TCA_KIND)?;
        // A u32 table lists its hash tables as filters of their own.
        (!text(kind).is_empty()).then_some(u32_at(&reply.body, 16)? >> 16)
    });
    Ok(priorities.collect())
}

/// The filters on arrivals as the kernel lists them.
fn listed(socket: &Socket, link: &Link) -> Result<Vec<Reply>, Error> {
    let mut ask = TcMessage::with_index(link.index.cast_signed());
    ask.header.parent = ARRIVALS;
    match socket.dump(&Request::new(
        RTM_GETTFILTER,
        netlink_packet_core::NLM_F_DUMP,
        &ask,
    )) {
        Ok(mut replies) => {
            replies.retain(|reply| reply.kind == RTM_NEWTFILTER);
            Ok(replies)
        }
        // No ingress qdisc, hence no filters.
        Err(refusal)
            if matches!(
                refusal.source.raw_os_error(),
                Some(libc::EINVAL | libc::ENOENT)
            ) =>
        {
            Ok(Vec::new())
        }
        Err(refusal) => Err(refusal.during("list filters on", &link.name)),
    }
}

fn delete_filter(socket: &Socket, link: &Link) -> Result<(), Error> {
    let mut ours = TcMessage::with_index(link.index.cast_signed());
    ours.header.parent = ARRIVALS;
    ours.header.info = PRIORITY << 16 | u32::from(ETH_P_ALL.to_be());
    match socket.call(&Request::new(RTM_DELTFILTER, 0, &ours)) {
        Ok(_) => Ok(()),
        Err(refusal) => match refusal.during("delete the filter on", &link.name) {
            error if error.is_absent() => Ok(()),
            error => Err(error),
        },
    }
}

fn qdisc(link: &Link) -> TcMessage {
    let mut message = TcMessage::with_index(link.index.cast_signed());
    message.header.handle = INGRESS;
    message.header.parent = TcHandle::INGRESS;
    message.attributes = vec![TcAttribute::Kind("ingress".into())];
    message
}

fn filter(link: &Link, ifb: &Link, classifier: Classifier) -> TcMessage {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = ifb.index;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind("mirred".into()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
            mirror,
        ))]),
    ];
    let (kind, options) = match classifier {
        Classifier::MatchAll => (
            "matchall",
            vec![TcOption::MatchAll(TcFilterMatchAllOption::Action(vec![
                action,
            ]))],
        ),
        Classifier::U32 => {
            let mut selector = TcU32Selector::default();
            selector.flags = TcU32SelectorFlags::Terminal;
            // One key with an empty mask matches every packet.
            selector.keys = vec![TcU32Key::default()];
            selector.nkeys = 1;
            (
                "u32",
                vec![
                    TcOption::U32(TcFilterU32Option::Selector(selector)),
                    TcOption::U32(TcFilterU32Option::Action(vec![action])),
                ],
            )
        }
    };
    let mut message = TcMessage::with_index(link.index.cast_signed());
    message.header.parent = ARRIVALS;
    message.header.info = PRIORITY << 16 | u32::from(ETH_P_ALL.to_be());
    message.attributes = vec![
        TcAttribute::Kind(kind.into()),
        TcAttribute::Options(options),
    ];
    message
}
