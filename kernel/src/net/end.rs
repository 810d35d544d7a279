//! In: interfaces at one end (the host's ends of the container's veths, or
//! interfaces inside it) and their limits. Out: both directions shaped there.
//!
//! What an interface sends is shaped by a qdisc on it. What arrives is handed
//! to an ifb, whose qdisc queues it, and comes back as if nothing had been.

use super::error::Error;
use super::filter::Filtered;
use super::frame::{Arrivals, Direction};
use super::link::{self, Link};
use super::note::Note;
use super::owner::Owner;
use super::queue::Queue;
use super::rate::{Bucket, Rate};
use super::redirect;
use super::shaper::{self, Shaped};
use super::socket::Socket;
use super::{Guard, Means, Object, Shape};

/// The sockets of one network namespace.
pub(crate) struct Sockets {
    pub route: Socket,
    /// None where the kernel has no netfilter netlink.
    pub filter: Option<Socket>,
}

impl Sockets {
    /// Opens both in the calling thread's network namespace.
    pub fn open(means: &Means) -> Result<Self, Error> {
        let filter = match Socket::netfilter() {
            _ if !means.nf_tables => None,
            Ok(socket) => Some(socket),
            Err(error) if error.is_lacking() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            route: Socket::route()?,
            filter,
        })
    }
}

/// What happened so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub changed: bool,
    /// Whether the container's packets carry the mark asked for.
    pub marked: bool,
    pub notes: Vec<Note>,
    pub made: Vec<Object>,
}

/// Interfaces and what they are to be held to.
pub(crate) struct End<'a> {
    pub owner: &'a Owner,
    pub sockets: &'a Sockets,
    pub links: &'a [Link],
    /// Seen from the container, which direction arrives at these interfaces.
    pub arriving: Direction,
    pub shape: &'a Shape,
    pub guard: &'a Guard,
    pub mark: Option<u32>,
    pub means: &'a Means,
}

const EGRESS: &str = "network.egress";
const INGRESS: &str = "network.ingress";

impl End<'_> {
    pub fn apply(&self, progress: &mut Progress) -> Result<(), Error> {
        let egress = (self.shape.egress, EGRESS);
        let ingress = (self.shape.ingress, INGRESS);
        let (arriving, departing) = match self.arriving {
            Direction::From => (egress, ingress),
            Direction::To => (ingress, egress),
        };
        for link in self.links {
            self.departures(link, departing, progress)?;
        }
        self.arrivals(arriving, progress)
    }

    fn departures(
        &self,
        link: &Link,
        (rate, setting): (Option<Rate>, &'static str),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        match rate {
            Some(rate) => {
                let bucket = Bucket::new(rate, link.mtu, setting)?;
                self.shape(link, bucket, setting, progress)?;
            }
            None => progress.changed |= shaper::remove(&self.sockets.route, link)?,
        }
        Ok(())
    }

    /// Whether the interface is held to the bucket now.
    fn shape(
        &self,
        link: &Link,
        bucket: Bucket,
        setting: &'static str,
        progress: &mut Progress,
    ) -> Result<bool, Error> {
        let shaped = shaper::apply(&self.sockets.route, link, bucket, self.means.fair_queue);
        let queue = match shaped {
            Ok(Shaped::Unchanged(queue)) => queue,
            Ok(Shaped::Changed(queue) | Shaped::Created(queue)) => {
                progress.changed = true;
                queue
            }
            Ok(Shaped::Foreign(kind)) => {
                let interface = link.name.clone();
                progress.notes.push(Note::Foreign { interface, kind });
                return Ok(false);
            }
            Err(error) if error.is_lacking() => {
                progress.notes.push(Note::Lacking {
                    feature: "htb",
                    settings: setting,
                });
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if queue == Queue::Fifo {
            progress.notes.push(Note::NoFairQueue);
        }
        progress.made.push(Object::Qdisc(link.name.clone()));
        Ok(true)
    }

    fn arrivals(
        &self,
        (rate, setting): (Option<Rate>, &'static str),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let route = &self.sockets.route;
        let Some(rate) = rate else {
            self.filter(Arrivals::Pass, progress)?;
            for link in self.links {
                progress.changed |= redirect::remove(route, link)?;
            }
            progress.changed |= link::delete_ifb(route, self.owner)?;
            return Ok(());
        };
        let mtu = self.links.iter().map(|link| link.mtu).max();
        let mtu = mtu.unwrap_or(1500);
        let bucket = Bucket::new(rate, mtu, setting)?;
        let made = match link::make_ifb(route, self.owner) {
            _ if !self.means.ifb => None,
            Ok(made) => Some(made),
            Err(error) if error.is_lacking() => None,
            Err(error) => return Err(error),
        };
        let Some((ifb, fresh)) = made else {
            let note = match self.filter(Arrivals::Police(bucket), progress)? {
                Filtered::Here => Note::Policed,
                Filtered::Nowhere | Filtered::ByTc => Note::Lacking {
                    feature: "ifb",
                    settings: setting,
                },
            };
            progress.notes.push(note);
            return Ok(());
        };
        // Its own says nothing about what passes it.
        let ifb = Link { mtu, ..ifb };
        progress.changed |= fresh;
        progress.made.push(Object::Ifb(ifb.name.clone()));
        if !self.shape(&ifb, bucket, setting, progress)? {
            self.filter(Arrivals::Pass, progress)?;
            return Ok(());
        }
        match self.filter(Arrivals::Queue(ifb.index), progress)? {
            Filtered::Here => Ok(()),
            Filtered::Nowhere | Filtered::ByTc => self.redirect(&ifb, fresh, progress),
        }
    }
}
