//! In: an interface and a bucket. Out: everything the interface sends is held
//! to it: htb with one class, and under it the best queue the kernel has.
//!
//! htb rather than tbf: changing a tbf's rate fills its bucket again
//! (`tbf_change`), so that every live change would give away a burst; an htb
//! class keeps its tokens. The class is changed in place and never deleted
//! while it is wanted, so no packet passes unshaped.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use super::error::Error;
use super::htb::{self, Class, MAJOR, Qdisc};
use super::link::Link;
use super::queue::{self, Below, Queue};
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
    let found = qdisc(socket, link, &queue::ask(link))?;
    let shaped = match found.as_ref().and_then(Queue::of) {
        Some(queue) if same => Shaped::Unchanged(queue),
        Some(queue) => {
            change_queue(socket, link, bucket, queue)?;
            Shaped::Changed(queue)
        }
        // Somebody took it away.
        None => Shaped::Created(add_queue(socket, link, bucket, fair)?),
    };
    // Last, since it is what the next call goes by.
    if !same {
        let class = htb::class(link, bucket, 0);
        send(socket, link, "set the rate of", &class)?;
    }
    Ok(shaped)
}

/// Fits the queue that is there to another bucket.
fn change_queue(socket: &Socket, link: &Link, bucket: Bucket, queue: Queue) -> Result<(), Error> {
    // Asked for by its handle, a qdisc comes without its parent.
    let below = match qdisc(socket, link, &queue::ask_splitter(link))? {
        Some(_) => {
            let change = queue::splitter(link, bucket, 0);
            send(socket, link, "set the splitter of", &change)?;
            Below::Splitter
        }
        None => Below::Class,
    };
    let change = queue::queue(link, below, bucket, queue, 0);
    send(socket, link, "set the queue of", &change)
}

fn create(socket: &Socket, link: &Link, bucket: Bucket, fair: bool) -> Result<Shaped, Error> {
    let mut requests = Vec::with_capacity(2);
    match root(socket, link)? {
        Some(root) if root.handle.major == MAJOR => {}
        Some(root) if root.handle.major != 0 => return Ok(Shaped::Foreign(root.kind)),
        _ => requests.push(htb::root(link)),
    }
    requests.push(htb::class(link, bucket, NLM_F_CREATE));
    if let Err(refusal) = socket.batch(&requests) {
        return Err(refusal.during("shape", &link.name));
    }
    Ok(Shaped::Created(add_queue(socket, link, bucket, fair)?))
}

/// Puts the best queue there is under the class, in the place of any other.
fn add_queue(socket: &Socket, link: &Link, bucket: Bucket, fair: bool) -> Result<Queue, Error> {
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    let splitter = queue::splitter(link, bucket, flags);
    let below = match send(socket, link, "put a splitter on", &splitter) {
        Ok(()) => Below::Splitter,
        Err(error) if error.is_lacking() => Below::Class,
        Err(error) => return Err(error),
    };
    let put = |queue| {
        let request = queue::queue(link, below, bucket, queue, flags);
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
        Some(root) if root.handle.major == MAJOR => {}
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

/// The root qdisc; the kernel's own have handle 0.
fn root(socket: &Socket, link: &Link) -> Result<Option<Qdisc>, Error> {
    qdisc(socket, link, &htb::ask_root(link))
}

fn qdisc(socket: &Socket, link: &Link, ask: &Request) -> Result<Option<Qdisc>, Error> {
    match socket.call(ask) {
        Ok(replies) => Ok(replies.first().and_then(Qdisc::read)),
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
