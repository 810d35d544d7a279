//! In: an interface and a bucket. Out: everything the interface sends is held
//! to it: htb with one class, and under it the best queue the kernel has.
//!
//! htb rather than tbf: changing a tbf's rate fills its bucket again
//! (`tbf_change`), so that every live change would give away a burst; an htb
//! class keeps its tokens. The class is changed in place and never deleted
//! while it is wanted, so no packet passes unshaped.

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::tc::TcHandle;

use super::error::Error;
use super::htb::{self, Class, MAJOR, Queue};
use super::link::Link;
use super::rate::Bucket;
use super::socket::{Request, Socket};

/// What `apply` found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shaped {
    /// It was so already.
    Unchanged(Queue),
    /// A rate was changed in place.
    Changed(Queue),
    Created(Queue),
    /// Somebody else's qdisc of this kind is at the root; it was left alone.
    Foreign(String),
}

/// Holds what `link` sends to `bucket`.
pub(crate) fn apply(
    socket: &Socket,
    link: &Link,
    bucket: Bucket,
    fair: bool,
) -> Result<Shaped, Error> {
    let Some(present) = read(socket, link)? else {
        return create(socket, link, bucket, fair);
    };
    let same = present.bucket == bucket;
    if !same {
        let class = htb::class(link, bucket, 0);
        send(socket, link, "set the rate of", &class)?;
    }
    match queue(socket, link)? {
        Some(queue) if same => Ok(Shaped::Unchanged(queue)),
        Some(queue) => {
            let change = htb::queue(link, bucket, queue, 0);
            send(socket, link, "set the queue of", &change)?;
            Ok(Shaped::Changed(queue))
        }
        // Somebody took it away.
        None => Ok(Shaped::Created(add_queue(socket, link, bucket, fair)?)),
    }
}

fn create(socket: &Socket, link: &Link, bucket: Bucket, fair: bool) -> Result<Shaped, Error> {
    let mut requests = Vec::with_capacity(3);
    match root(socket, link)? {
        Some((handle, _)) if handle.major == MAJOR => {}
        Some((handle, kind)) if handle.major != 0 => return Ok(Shaped::Foreign(kind)),
        _ => requests.push(htb::root(link)),
    }
    let queue = if fair { Queue::Fair } else { Queue::Fifo };
    requests.push(htb::class(link, bucket, NLM_F_CREATE));
    requests.push(htb::queue(link, bucket, queue, NLM_F_CREATE));
    match socket.batch(&requests) {
        Ok(_) => Ok(Shaped::Created(queue)),
        Err(refusal) => {
            let only_queue = refusal.index + 1 == requests.len();
            match refusal.during("shape", &link.name) {
                error if only_queue && fair && error.is_lacking() => {
                    Ok(Shaped::Created(add_queue(socket, link, bucket, false)?))
                }
                error => Err(error),
            }
        }
    }
}

fn add_queue(socket: &Socket, link: &Link, bucket: Bucket, fair: bool) -> Result<Queue, Error> {
    let put = |queue| {
        let request = htb::queue(link, bucket, queue, NLM_F_CREATE);
        send(socket, link, "put a queue on", &request).map(|()| queue)
    };
    if fair {
        match put(Queue::Fair) {
            Err(error) if error.is_lacking() => {}
            done => return done,
        }
    }
    put(Queue::Fifo)
}

/// Takes our qdisc off the interface; whether there was one.
pub(crate) fn remove(socket: &Socket, link: &Link) -> Result<bool, Error> {
    match root(socket, link)? {
        Some((handle, _)) if handle.major == MAJOR => {}
        _ => return Ok(false),
    }
    match send(socket, link, "take htb off", &htb::delete_root(link)) {
        Ok(()) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Our class on the interface, if it is there.
pub(crate) fn read(socket: &Socket, link: &Link) -> Result<Option<Class>, Error> {
    match socket.call(&htb::ask_class(link)) {
        Ok(replies) => Ok(replies.first().and_then(Class::read)),
        // ENOENT: no such class; EINVAL: the qdisc there has no classes at all.
        Err(refusal) => match refusal.source.raw_os_error() {
            Some(libc::ENOENT | libc::EINVAL | libc::ENODEV) => Ok(None),
            _ => Err(refusal.during("read the class of", &link.name)),
        },
    }
}

/// The queue under our class, if it is there.
fn queue(socket: &Socket, link: &Link) -> Result<Option<Queue>, Error> {
    let found = qdisc(socket, link, &htb::ask_queue(link))?;
    Ok(found.and_then(|(_, kind)| match kind.as_str() {
        "fq_codel" => Some(Queue::Fair),
        "bfifo" => Some(Queue::Fifo),
        _ => None,
    }))
}

/// Handle and kind of the root qdisc; the kernel's own have handle 0.
fn root(socket: &Socket, link: &Link) -> Result<Option<(TcHandle, String)>, Error> {
    qdisc(socket, link, &htb::ask_root(link))
}

fn qdisc(socket: &Socket, link: &Link, ask: &Request) -> Result<Option<(TcHandle, String)>, Error> {
    match socket.call(ask) {
        Ok(replies) => Ok(replies.first().and_then(htb::read_qdisc)),
        Err(refusal) => match refusal.source.raw_os_error() {
            Some(libc::ENOENT | libc::EINVAL) => Ok(None),
            _ => Err(refusal.during("read the qdisc of", &link.name)),
        },
    }
}

fn send(
    socket: &Socket,
    link: &Link,
    action: &'static str,
    request: &Request,
) -> Result<(), Error> {
    match socket.call(request) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(refusal.during(action, &link.name)),
    }
}
