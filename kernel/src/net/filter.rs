//! In: interfaces at one end and where their arrivals are to go. Out: the
//! netdev table that sends them there, or the tc filter that does it instead.

use super::Object;
use super::end::{End, Progress};
use super::error::Error;
use super::frame::{Arrivals, Frames};
use super::link::Link;
use super::nft::Family;
use super::note::Note;
use super::redirect::{self, Classifier, Redirected};
use super::settle::settle;
use super::table::{Change, Part};

/// Who sends the arrivals where they are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtered {
    /// The netdev table.
    Here,
    /// A tc filter must: nf_tables is there and cannot forward.
    ByTc,
    /// The same, and there is no nf_tables.
    Nowhere,
}

impl End<'_> {
    /// Sets up the netdev table.
    pub fn filter(&self, arrivals: Arrivals, progress: &mut Progress) -> Result<Filtered, Error> {
        let queued = matches!(arrivals, Arrivals::Queue(_));
        let mut needed = false;
        let build = |without: &[Part]| {
            let taken = queued && without.contains(&Part::Forward);
            let frames = Frames {
                arriving: self.arriving,
                arrivals: if taken { Arrivals::Taken } else { arrivals },
                packets: self.guard.packets,
                dscp: self.guard.dscp,
                mark: self.mark,
                links: self.links,
                without,
            };
            needed = frames.is_needed();
            needed.then(|| frames.table(self.owner))
        };
        let mut without = Vec::new();
        if queued && !self.means.forward {
            without.push(Part::Forward);
        }
        let name = (Family::Netdev, self.owner.table());
        let settled = settle(self.sockets, self.owner, &name, without, build)?;
        let Some((change, without)) = settled else {
            self.note(&[Part::Packets, Part::Dscp], progress);
            return Ok(Filtered::Nowhere);
        };
        progress.changed |= change != Change::None;
        if needed {
            progress.made.push(Object::Table(Family::Netdev, name.1));
        }
        self.note(&without, progress);
        if without.contains(&Part::Forward) {
            return Ok(Filtered::ByTc);
        }
        progress.marked |= self.mark.is_some();
        if change != Change::None {
            // Left by an earlier apply that had no better way.
            for link in self.links {
                redirect::remove(&self.sockets.route, link)?;
            }
        }
        if queued {
            for link in self.links {
                if redirect::is_foreign(&self.sockets.route, link)? {
                    progress.notes.push(foreign(link));
                }
            }
        }
        Ok(Filtered::Here)
    }

    /// Has tc send the arrivals to the ifb.
    pub fn redirect(&self, ifb: &Link, fresh: bool, progress: &mut Progress) -> Result<(), Error> {
        let mut classifiers = Vec::new();
        if self.means.matchall {
            classifiers.push(Classifier::MatchAll);
        }
        classifiers.push(Classifier::U32);
        for link in self.links {
            match redirect::apply(&self.sockets.route, link, ifb, fresh, &classifiers) {
                Ok(Redirected::Unchanged) => {}
                Ok(Redirected::Created) => progress.changed = true,
                Ok(Redirected::Foreign) => progress.notes.push(foreign(link)),
                Err(error) if error.is_lacking() => progress.notes.push(Note::Lacking {
                    feature: "way to redirect packets to an ifb",
                    settings: "network.egress",
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn note(&self, without: &[Part], progress: &mut Progress) {
        let lost = |part| without.contains(&part);
        let mut lacking = |feature, settings| {
            progress.notes.push(Note::Lacking { feature, settings });
        };
        if self.guard.dscp.is_some() && (lost(Part::Dscp) || lost(Part::Forward)) {
            lacking(
                "nf_tables that mark or forward at an interface",
                "network.dscp",
            );
        }
        if self.guard.packets.is_none() {
        } else if lost(Part::Packets) {
            lacking("nf_tables that limit at an interface", "network.packets");
        } else if lost(Part::Forward) {
            lacking(
                "nf_tables that forward between interfaces",
                "network.packets from the container",
            );
        } else if lost(Part::Departures) {
            lacking(
                "nf_tables hook on what an interface sends",
                "network.packets to the container",
            );
        }
    }
}

fn foreign(link: &Link) -> Note {
    Note::Foreign {
        interface: link.name.clone(),
        kind: "filter on arrivals".into(),
    }
}
