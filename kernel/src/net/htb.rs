//! In: an interface and a bucket. Out: the traffic control messages that hold
//! one to the other, and a class read back from the kernel's answer.
//!
//! Numbers are from the kernel's `linux/rtnetlink.h` and `linux/pkt_sched.h`.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_ECHO, NLM_F_REPLACE};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcHeader, TcMessage};

use super::attribute::{Attributes, find, text, u32_at, u64_at};
use super::link::Link;
use super::rate::Bucket;
use super::socket::{Reply, Request};

pub(crate) const RTM_NEWQDISC: u16 = 36;
pub(crate) const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const RTM_GETTCLASS: u16 = 42;
pub(crate) const TC_HEADER: usize = 20;
pub(crate) const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;
const TC_LINKLAYER_ETHERNET: u8 = 1;
/// `HTB_VER >> 16`.
const HTB_VERSION: u32 = 3;

/// "pr": the handle by which a qdisc is known as ours.
pub(crate) const MAJOR: u16 = 0x7072;
const QDISC: TcHandle = TcHandle {
    major: MAJOR,
    minor: 0,
};
pub(crate) const CLASS: TcHandle = TcHandle {
    major: MAJOR,
    minor: 1,
};

/// Counters of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes of frames let through.
    pub bytes: u64,
    /// Packets let through; an unsplit segment counts as its packets.
    pub packets: u64,
    /// Packets dropped because the queue was full.
    pub dropped: u64,
}

/// The class on an interface, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub bucket: Bucket,
    pub passed: Passed,
}

impl Class {
    pub fn read(reply: &Reply) -> Option<Self> {
        let attributes = reply.body.get(TC_HEADER..)?;
        if text(find(attributes, TCA_KIND)?) != "htb" {
            return None;
        }
        let options = find(attributes, TCA_OPTIONS)?;
        let parameters = find(options, TCA_HTB_PARMS)?;
        let rate = match find(options, TCA_HTB_RATE64) {
            Some(wide) => u64_at(wide, 0)?,
            None => u64::from(u32_at(parameters, 8)?),
        };
        Some(Self {
            bucket: Bucket {
                bytes_per_second: rate,
                ticks: u32_at(parameters, 24)?,
            },
            passed: passed(attributes).unwrap_or_default(),
        })
    }
}

fn passed(attributes: &[u8]) -> Option<Passed> {
    let statistics = find(attributes, TCA_STATS2)?;
    let basic = find(statistics, TCA_STATS_BASIC)?;
    let narrow = u64::from(u32_at(basic, 8)?);
    let packets = find(statistics, TCA_STATS_PKT64).and_then(|wide| u64_at(wide, 0));
    let queue = find(statistics, TCA_STATS_QUEUE);
    Some(Passed {
        bytes: u64_at(basic, 0)?,
        packets: packets.unwrap_or(narrow),
        dropped: queue
            .and_then(|queue| u32_at(queue, 8))
            .map_or(0, u64::from),
    })
}

/// A qdisc as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Qdisc {
    pub handle: TcHandle,
    pub kind: String,
}

impl Qdisc {
    pub fn read(reply: &Reply) -> Option<Self> {
        let kind = find(reply.body.get(TC_HEADER..)?, TCA_KIND)?;
        Some(Self {
            handle: TcHandle::from(u32_at(&reply.body, 8)?),
            kind: text(kind),
        })
    }
}

/// Traffic control answers a single query only as an echo.
pub(crate) fn ask_class(link: &Link) -> Request {
    let mut ask = TcMessage::with_index(link.index.cast_signed());
    ask.header.handle = CLASS;
    Request::new(RTM_GETTCLASS, NLM_F_ECHO, &ask)
}

pub(crate) fn ask_root(link: &Link) -> Request {
    ask_qdisc(link, |header| header.parent = TcHandle::ROOT)
}

pub(crate) fn ask_qdisc(link: &Link, which: impl FnOnce(&mut TcHeader)) -> Request {
    let mut ask = TcMessage::with_index(link.index.cast_signed());
    which(&mut ask.header);
    Request::new(RTM_GETQDISC, NLM_F_ECHO, &ask)
}

pub(crate) fn delete_root(link: &Link) -> Request {
    let ours = message(link, QDISC, TcHandle::ROOT, "htb", Vec::new());
    Request::new(RTM_DELQDISC, 0, &ours)
}

pub(crate) fn root(link: &Link) -> Request {
    // struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts.
    let glob = [HTB_VERSION, 10, u32::from(CLASS.minor), 0, 0];
    let options = Attributes::default().bytes(TCA_HTB_INIT, &words(&glob));
    let message = message(link, QDISC, TcHandle::ROOT, "htb", options.finish());
    Request::new(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &message)
}

pub(crate) fn class(link: &Link, bucket: Bucket, flags: u16) -> Request {
    let specification = rate(bucket.bytes_per_second);
    // One class alone never shares by quantum; named only because the kernel
    // warns about the one it would derive from a high rate.
    let quantum = link.mtu.saturating_add(14).min(60_000);
    // struct tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, prio.
    let mut parameters = specification.repeat(2);
    parameters.extend(words(&[bucket.ticks, bucket.ticks, quantum, 0, 0]));
    let mut options = Attributes::default().bytes(TCA_HTB_PARMS, &parameters);
    if bucket.bytes_per_second > u64::from(u32::MAX) {
        options = options
            .u64(TCA_HTB_RATE64, bucket.bytes_per_second)
            .u64(TCA_HTB_CEIL64, bucket.bytes_per_second);
    }
    let message = message(link, CLASS, QDISC, "htb", options.finish());
    Request::new(RTM_NEWTCLASS, flags, &message)
}

/// `struct tc_ratespec`: cell_log, linklayer, overhead, cell_align, mpu, and
/// the rate in bytes per second, as much of it as fits.
pub(crate) fn rate(bytes_per_second: u64) -> Vec<u8> {
    let mut specification = vec![0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    let rate = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
    specification.extend(rate.to_ne_bytes());
    specification
}

pub(crate) fn message(
    link: &Link,
    handle: TcHandle,
    parent: TcHandle,
    kind: &str,
    options: Vec<u8>,
) -> TcMessage {
    let mut message = TcMessage::with_index(link.index.cast_signed());
    message.header.handle = handle;
    message.header.parent = parent;
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    if !options.is_empty() {
        message
            .attributes
            .push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)));
    }
    message
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
