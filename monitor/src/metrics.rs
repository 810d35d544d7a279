//! A snapshot as OpenMetrics text.
//!
//! In: a [`Snapshot`] and what was done. Out: one text with every family of
//! [`PACK`] and [`NODE`], each with help, type and unit. Only packs that run
//! have samples; counts of actions outlive them by ten minutes.

mod node;
mod pack;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

pub use node::NODE;
pub use pack::PACK;

use crate::latency::Source;
use crate::snapshot::Snapshot;
use crate::tally::{Kind, Tally, Who, names};

/// What HTTP says it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One family: what a scrape has of it, and what it means.
#[derive(Debug)]
pub struct Family<F: 'static> {
    /// Its name without the unit.
    pub name: &'static str,
    /// Its unit, which ends the name; empty for plain counts.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
    /// How it behaves.
    pub kind: MetricType,
    /// Its samples; `F` tells the number.
    pub samples: &'static [Sample<F>],
}

/// One sample of a family: labels beside the pack's own, and its number.
pub type Sample<F> = (&'static [(&'static str, &'static str)], F);

/// Everything that one text is made of.
#[derive(Debug)]
struct View {
    snapshot: Arc<Snapshot>,
    names: Vec<Who>,
    actions: Vec<(Who, Kind, u64)>,
    missed: u64,
}

/// The whole text.
///
/// # Errors
/// Never: a string takes everything.
pub fn encode(snapshot: &Arc<Snapshot>, tally: &Tally) -> Result<String, fmt::Error> {
    let counts = tally.counts();
    let view = View {
        names: names(snapshot),
        snapshot: snapshot.clone(),
        actions: counts
            .map(|(who, kind, n)| (who.clone(), kind, n))
            .collect(),
        missed: tally.missed,
    };
    let mut registry = Registry::default();
    // Forty families, a hundred bytes a sample.
    let mut out = String::with_capacity(8_192 + view.names.len() * 8_192);
    registry.register_collector(Box::new(view));
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in NODE {
            let unit = unit(family.unit);
            let mut to =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind)?;
            for (labels, number) in family.samples {
                let Some(number) = number(&self.snapshot) else {
                    continue;
                };
                let labels = Labels {
                    who: None,
                    more: labels,
                };
                write(to.encode_family(&labels)?, family.kind, number)?;
            }
        }
        self.about_itself(&mut encoder)?;
        self.actions(&mut encoder)?;
        for family in PACK {
            let unit = unit(family.unit);
            let mut to =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind)?;
            for (pack, who) in self.snapshot.packs.iter().zip(&self.names) {
                for (labels, number) in family.samples {
                    let Some(number) = number(pack, &self.snapshot.node) else {
                        continue;
                    };
                    let labels = Labels {
                        who: Some(who),
                        more: labels,
                    };
                    write(to.encode_family(&labels)?, family.kind, number)?;
                }
            }
        }
        self.latency(&mut encoder)
    }
}

/// The family whose samples are not numbers.
pub const LATENCY: &str = "pack_io_latency";

/// What it means where every request is timed.
const OF_REQUESTS: &str = "Time of each request to a disk, from when the block layer made it, through the scheduler's queue, to the disk's answer (BPF at block_rq_complete). Time for which a limit held the operation back before that (io.max) is not in it; flushes without data are not counted.";

/// What it means elsewhere; the reason follows.
const OF_MEANS: &str = "Time of disk operations, an estimate. From io.latency's own accounting (avg_lat in io.stat) where it is on; else the time some task of the pack waited for the disk (io.pressure) over the operations completed (io.stat), so below the device's own where operations overlap, and with the time for which a limit held them back (io.max). Each operation counts at its interval's mean; packs whose kernel tells neither are left out. Requests are not timed here: ";

/// The family of what the watcher did.
pub const ACTIONS: (&str, &str) = (
    "pack_actions",
    "What the watcher did, since whoever exports this began to look and in the ten minutes before; kept for ten minutes after the pack is gone. pack is empty for the node itself.",
);

/// The families about whoever exports.
pub const ITSELF: [(&str, &str, &str, MetricType); 2] = [
    (
        "packrank_events_missed",
        "",
        "Events that the watcher had dropped before they were counted in pack_actions.",
        MetricType::Counter,
    ),
    (
        "packrank_build_info",
        "",
        "The version of whoever exports this; always 1.",
        MetricType::Gauge,
    ),
];

impl View {
    fn about_itself(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let [(missed, _, help, kind), (build, _, about, gauge)] = ITSELF;
        let none = Labels {
            who: None,
            more: &[],
        };
        let mut to = encoder.encode_descriptor(missed, help, None, kind)?;
        write(
            to.encode_family(&none)?,
            kind,
            crate::snapshot::float(self.missed),
        )?;
        let version = Labels {
            who: None,
            more: &[("version", env!("CARGO_PKG_VERSION"))],
        };
        let mut to = encoder.encode_descriptor(build, about, None, gauge)?;
        write(to.encode_family(&version)?, gauge, 1.0)
    }

    fn actions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ACTIONS;
        let mut to = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (who, (action, reason, result), count) in &self.actions {
            let labels = Labels {
                who: Some(who),
                more: &[("action", action), ("reason", reason), ("result", result)],
            };
            to.encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }

    fn latency(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = match &self.snapshot.latency {
            Source::Requests => OF_REQUESTS.to_owned(),
            Source::Means(why) => format!("{OF_MEANS}{}.", why.replace(['\n', '\\'], " ")),
        };
        let unit = Some(&Unit::Seconds);
        let mut to = encoder.encode_descriptor(LATENCY, &help, unit, MetricType::Histogram)?;
        for (pack, who) in self.snapshot.packs.iter().zip(&self.names) {
            let histogram = &pack.latency;
            if histogram.count() == 0 {
                continue;
            }
            let labels = Labels {
                who: Some(who),
                more: &[],
            };
            to.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                histogram.sum,
                histogram.count(),
                &histogram.buckets(),
                None,
            )?;
        }
        Ok(())
    }
}

fn unit(name: &str) -> Option<Unit> {
    match name {
        "" => None,
        "bytes" => Some(Unit::Bytes),
        "seconds" => Some(Unit::Seconds),
        other => Some(Unit::Other(other.to_owned())),
    }
}

fn write(
    mut to: prometheus_client::encoding::MetricEncoder<'_>,
    kind: MetricType,
    number: f64,
) -> fmt::Result {
    match kind {
        MetricType::Counter => to.encode_counter::<NoLabelSet, _, u64>(&number, None),
        _ => to.encode_gauge(&number),
    }
}

/// A pack's labels, and those of one sample.
struct Labels<'l> {
    who: Option<&'l Who>,
    more: &'l [(&'l str, &'l str)],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if let Some(who) = self.who {
            for label in [
                ("pack", who.pack.as_str()),
                ("pod", &who.pod),
                ("namespace", &who.namespace),
                ("class", &who.class),
            ] {
                label.encode(encoder.encode_label())?;
            }
        }
        for label in self.more {
            label.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
