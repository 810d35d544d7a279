//! In: the kernel's announcements of interfaces. Out: which containers may
//! have got another one since.
//!
//! An engine that connects a running container to one more network
//! (`docker network connect`) tells no runtime and calls no hook. The kernel
//! does: the host's end of a veth is announced with the number of the
//! namespace at its other end.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NetlinkBuffer;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket as RawSocket, SocketAddr};

use super::error::Error;
use super::link::{self, Link};
use super::socket::{Reply, Socket};

/// `RTMGRP_LINK`.
const LINKS: u32 = 1;
const HEADER: usize = 16;
/// The kernel announces one interface at a time, in below 4 KiB.
const RECEIVE: usize = 32 * 1024;

/// A socket that hears of interfaces in the network namespace in which it was
/// opened.
pub struct News {
    raw: RawSocket,
    /// A question must not be answered among the news.
    ask: Socket,
    buffer: Vec<u8>,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// This host's numbers of the namespaces to which veths lead that came or
    /// changed.
    pub numbers: BTreeSet<u32>,
    /// There was more than the kernel could keep: any may have changed.
    pub lost: bool,
}

impl Heard {
    /// Whether this namespace, by [`News::number`], was spoken of.
    #[must_use]
    pub fn of(&self, number: Option<u32>) -> bool {
        self.lost || number.is_some_and(|number| self.numbers.contains(&number))
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.lost && self.numbers.is_empty()
    }
}

impl News {
    /// Listens in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn listen() -> Result<News, Error> {
        let failed = |step| move |source| Error::Socket { step, source };
        let mut raw = RawSocket::new(NETLINK_ROUTE).map_err(failed("open"))?;
        raw.bind(&SocketAddr::new(0, LINKS))
            .map_err(failed("subscribe"))?;
        raw.set_non_blocking(true).map_err(failed("unblock"))?;
        Ok(News {
            raw,
            ask: Socket::route()?,
            buffer: Vec::with_capacity(RECEIVE),
        })
    }

    /// Adds what was announced since the last call. Never waits.
    pub fn hear(&mut self, heard: &mut Heard) {
        loop {
            self.buffer.clear();
            match self.raw.recv(&mut self.buffer, 0) {
                Ok(_) => announced(&self.buffer, heard),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    heard.lost |= error.raw_os_error() == Some(libc::ENOBUFS);
                    if error.raw_os_error() != Some(libc::ENOBUFS) {
                        return;
                    }
                }
            }
        }
    }

    /// This host's number for a network namespace; none where no interface
    /// here leads to it.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn number(&self, netns: BorrowedFd<'_>) -> Result<Option<u32>, Error> {
        link::namespace_number(&self.ask, netns)
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }
}

/// The numbers in one datagram.
fn announced(datagram: &[u8], heard: &mut Heard) {
    let mut rest = datagram;
    while rest.len() >= HEADER {
        let Ok(message) = NetlinkBuffer::new_checked(rest) else {
            return;
        };
        let reply = Reply {
            kind: message.message_type(),
            body: message.payload().to_vec(),
        };
        let link = Link::announced(&reply).filter(|link| link.kind.as_deref() == Some("veth"));
        heard
            .numbers
            .extend(link.and_then(|link| link.below_namespace));
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
