//! In: one netlink request. Out: the kernel's answers to it, or its refusal.
//!
//! The kernel answers route and nf_tables requests inside `send` itself: when
//! the call returns, the acknowledgement or the first part of a dump is
//! already queued. Reading without blocking is therefore enough, and a hook
//! that uses this socket cannot hang on it.

use std::cell::{Cell, RefCell};
use std::io;

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NetlinkBuffer, NetlinkHeader,
};
use netlink_sys::Socket as RawSocket;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};

use super::attribute;
use super::error::Error;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Bytes of a netlink header.
const HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG`: the extended acknowledgement's text.
const ERROR_TEXT: u16 = 1;
/// The kernel fills dumps at most 32 KiB at a time (`netlink_dump`).
const RECEIVE: usize = 32 * 1024;
/// How often a dump that changed under our eyes is asked for again.
const DUMP_ATTEMPTS: u32 = 8;

/// A request: message type, flags beside `NLM_F_REQUEST`, and body.
pub(crate) struct Request {
    pub kind: u16,
    pub flags: u16,
    pub body: Vec<u8>,
}

impl Request {
    /// A request whose body is one of netlink-packet-route's messages.
    pub fn new(kind: u16, flags: u16, message: &impl Emitable) -> Self {
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        Self { kind, flags, body }
    }
}

/// One message of an answer.
pub(crate) struct Reply {
    pub kind: u16,
    pub body: Vec<u8>,
}

/// The kernel's "no": which request of the batch, the errno, its words.
pub(crate) struct Refusal {
    pub index: usize,
    pub source: io::Error,
    pub detail: Option<String>,
}

impl Refusal {
    pub fn during(self, action: &'static str, object: impl Into<String>) -> Error {
        Error::Refused {
            action,
            object: object.into(),
            detail: self.detail,
            source: self.source,
        }
    }
}

/// A netlink socket in the network namespace in which it was opened.
pub(crate) struct Socket {
    raw: RawSocket,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

impl Socket {
    /// Opens a route socket in the calling thread's network namespace.
    pub fn route() -> Result<Self, Error> {
        Self::open(NETLINK_ROUTE)
    }

    /// Opens a netfilter socket in the calling thread's network namespace.
    pub fn netfilter() -> Result<Self, Error> {
        Self::open(NETLINK_NETFILTER)
    }

    fn open(protocol: isize) -> Result<Self, Error> {
        let raw = RawSocket::new(protocol).map_err(|source| Error::Socket {
            step: "open",
            source,
        })?;
        // Both only shape the answer: an old kernel without them still answers.
        let _ = raw.set_ext_ack(true);
        let _ = raw.set_cap_ack(true);
        Ok(Self {
            raw,
            sequence: Cell::new(1),
            buffer: RefCell::new(Vec::with_capacity(RECEIVE)),
        })
    }

    /// Sends one request and collects its answers up to the acknowledgement.
    pub fn call(&self, request: &Request) -> Result<Vec<Reply>, Refusal> {
        self.exchange(std::slice::from_ref(request), Some(0))
    }

    /// Asks for a dump, again where the kernel says it changed meanwhile.
    pub fn dump(&self, request: &Request) -> Result<Vec<Reply>, Refusal> {
        let mut attempt = 1;
        loop {
            match self.exchange(std::slice::from_ref(request), None) {
                Err(refusal)
                    if refusal.source.kind() == io::ErrorKind::Interrupted
                        && attempt < DUMP_ATTEMPTS =>
                {
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Sends requests in one datagram; the kernel works through all of them
    /// in that one system call, so that no signal can come between two.
    pub fn batch(&self, requests: &[Request]) -> Result<Vec<Reply>, Refusal> {
        self.exchange(requests, Some(requests.len() - 1))
    }

    /// The same where the last request with an answer is `acknowledged`.
    pub fn transact(
        &self,
        requests: &[Request],
        acknowledged: usize,
    ) -> Result<Vec<Reply>, Refusal> {
        self.exchange(requests, Some(acknowledged))
    }

    fn exchange(
        &self,
        requests: &[Request],
        acknowledged: Option<usize>,
    ) -> Result<Vec<Reply>, Refusal> {
        let first = self.sequence.get();
        let last = first.wrapping_add(u32::try_from(requests.len()).unwrap_or(0));
        self.sequence.set(last);
        self.send(requests, first, acknowledged)?;
        let end = acknowledged.and_then(|index| u32::try_from(index).ok());
        let end = end.map(|index| first.wrapping_add(index));
        let index_of = |sequence: u32| {
            usize::try_from(sequence.wrapping_sub(first))
                .unwrap_or(0)
                .min(requests.len().saturating_sub(1))
        };

        let mut replies = Vec::new();
        let mut refusal: Option<Refusal> = None;
        let mut interrupted = false;
        let mut buffer = self.buffer.borrow_mut();
        loop {
            buffer.clear();
            match self.raw.recv(&mut *buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Everything the kernel had to say was queued before `send`
                // returned: an error for an early message may be the last word.
                Err(error) => {
                    return Err(refusal.unwrap_or(Refusal {
                        index: 0,
                        source: error,
                        detail: None,
                    }));
                }
            }
            let mut rest = buffer.as_slice();
            while rest.len() >= HEADER {
                let Ok(message) = NetlinkBuffer::new_checked(rest) else {
                    break;
                };
                let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
                let sequence = message.sequence_number();
                if sequence.wrapping_sub(first) < last.wrapping_sub(first) {
                    interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                    match message.message_type() {
                        NLMSG_DONE if interrupted => {
                            return Err(Refusal {
                                index: 0,
                                source: io::ErrorKind::Interrupted.into(),
                                detail: None,
                            });
                        }
                        NLMSG_DONE => return refusal.map_or(Ok(replies), Err),
                        NLMSG_ERROR => {
                            let (code, detail) = verdict(message.payload(), message.flags());
                            if code != 0 && refusal.is_none() {
                                refusal = Some(Refusal {
                                    index: index_of(sequence),
                                    source: io::Error::from_raw_os_error(code),
                                    detail,
                                });
                            }
                            if end.is_none_or(|end| sequence == end) {
                                return refusal.map_or(Ok(replies), Err);
                            }
                        }
                        kind => replies.push(Reply {
                            kind,
                            body: message.payload().to_vec(),
                        }),
                    }
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn send(
        &self,
        requests: &[Request],
        first: u32,
        acknowledged: Option<usize>,
    ) -> Result<(), Refusal> {
        let mut datagram = Vec::new();
        for (sequence, (index, request)) in (first..).zip(requests.iter().enumerate()) {
            let mut header = NetlinkHeader::default();
            let length = HEADER + request.body.len();
            header.length = u32::try_from(length).unwrap_or(u32::MAX);
            header.message_type = request.kind;
            header.flags = request.flags | NLM_F_REQUEST;
            if acknowledged == Some(index) {
                header.flags |= NLM_F_ACK;
            }
            header.sequence_number = sequence;
            let start = datagram.len();
            datagram.resize(start + length.next_multiple_of(4), 0);
            header.emit(&mut datagram[start..start + HEADER]);
            datagram[start + HEADER..start + length].copy_from_slice(&request.body);
        }
        let sent = self.raw.send(&datagram, 0);
        sent.map(drop).map_err(|source| Refusal {
            index: 0,
            source,
            detail: None,
        })
    }
}

/// The errno (positive, 0 for success) and text of an `NLMSG_ERROR`.
fn verdict(payload: &[u8], flags: u16) -> (i32, Option<String>) {
    let Ok(error) = ErrorBuffer::new_checked(payload) else {
        return (libc::EBADMSG, None);
    };
    let code = error.code().map_or(0, |code| code.get().saturating_abs());
    // With NETLINK_CAP_ACK only the request's header precedes the attributes.
    let detail = (flags & NLM_F_ACK_TLVS != 0)
        .then(|| error.payload().get(HEADER..))
        .flatten()
        .and_then(|attributes| attribute::find(attributes, ERROR_TEXT))
        .map(attribute::text);
    (code, detail)
}
