//! In: an interface and a bucket. Out: the messages that put a queue under the
//! class: what waits for the bucket waits there.
//!
//! TCP and receive offload hand down pieces of up to 64 KB, which at 1 Mbit/s
//! take half a second each, and no queue behind the class can let a ping pass
//! in the middle of one. So a tbf that holds nothing back comes first: it
//! splits what is longer than its burst into packets (`tbf_segment`).

use netlink_packet_route::tc::TcHandle;

use super::attribute::Attributes;
use super::htb::{self, CLASS, MAJOR, Qdisc, RTM_NEWQDISC, message};
use super::link::Link;
use super::rate::Bucket;
use super::socket::Request;

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TCA_FQ_CODEL_TARGET: u16 = 1;
const TCA_FQ_CODEL_INTERVAL: u16 = 3;

const LEAF: TcHandle = TcHandle {
    major: MAJOR + 1,
    minor: 0,
};
const SPLITTER: TcHandle = TcHandle {
    major: MAJOR + 2,
    minor: 0,
};
/// The one class of every tbf.
const SPLIT: TcHandle = TcHandle {
    major: MAJOR + 2,
    minor: 1,
};
/// Bytes per second that hold nothing back: a byte takes less than the kernel's
/// nanosecond.
const ENDLESS: u64 = 1 << 40;
/// CoDel's own defaults (RFC 8289): 5 ms of standing queue over 100 ms.
const TARGET_MICROSECONDS: u32 = 5_000;
const INTERVAL_MICROSECONDS: u32 = 100_000;

/// The queue under the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Every flow its own queue, each kept short: pings pass a full class.
    Fair,
    /// One short queue for all: where the kernel has no fq_codel.
    Fifo,
}

impl Queue {
    /// Which of them the qdisc is.
    pub fn of(found: &Qdisc) -> Option<Self> {
        match found.kind.as_str() {
            "fq_codel" => Some(Self::Fair),
            "bfifo" => Some(Self::Fifo),
            _ => None,
        }
    }
}

/// Where the queue sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    /// Below the splitter.
    Splitter,
    /// Right below the class: where the kernel has no tbf.
    Class,
}

impl Below {
    fn handle(self) -> TcHandle {
        match self {
            Self::Splitter => SPLIT,
            Self::Class => CLASS,
        }
    }
}

pub(crate) fn ask(link: &Link) -> Request {
    htb::ask_qdisc(link, |header| header.handle = LEAF)
}

pub(crate) fn ask_splitter(link: &Link) -> Request {
    htb::ask_qdisc(link, |header| header.handle = SPLITTER)
}

pub(crate) fn splitter(link: &Link, bucket: Bucket, flags: u16) -> Request {
    let mut parameters = htb::rate(ENDLESS);
    // struct tc_tbf_qopt: rate, peakrate, limit, buffer, mtu. The limit is that
    // of a plain queue below; the buffer's place is taken by TCA_TBF_BURST.
    parameters.extend([0; 12]);
    for word in [bucket.queue(), 0, 0] {
        parameters.extend(word.to_ne_bytes());
    }
    let options = Attributes::default()
        .bytes(TCA_TBF_PARMS, &parameters)
        .u64(TCA_TBF_RATE64, ENDLESS)
        .u32(TCA_TBF_BURST, bucket.piece(link.mtu));
    let message = message(link, SPLITTER, CLASS, "tbf", options.finish());
    Request::new(RTM_NEWQDISC, flags, &message)
}

pub(crate) fn queue(
    link: &Link,
    below: Below,
    bucket: Bucket,
    queue: Queue,
    flags: u16,
) -> Request {
    let (kind, options) = match queue {
        Queue::Fair => {
            // Below 4 Mbit/s one packet alone takes longer than CoDel's target.
            let packet = bucket.microseconds(link.mtu.saturating_add(14));
            let target = TARGET_MICROSECONDS.max(packet.saturating_add(packet / 2));
            let interval = INTERVAL_MICROSECONDS.max(target.saturating_mul(2));
            let options = Attributes::default()
                .u32(TCA_FQ_CODEL_TARGET, target)
                .u32(TCA_FQ_CODEL_INTERVAL, interval);
            ("fq_codel", options.finish())
        }
        Queue::Fifo => ("bfifo", bucket.queue().to_ne_bytes().to_vec()),
    };
    let message = message(link, LEAF, below.handle(), kind, options);
    Request::new(RTM_NEWQDISC, flags, &message)
}
