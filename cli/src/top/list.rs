//! The list of packs.
//!
//! In: the packs in order. Out: a heading and a line of 80 columns or more for
//! each; a wider screen gives the names more room.

use packrank_core::key::Key;
use packrank_core::record::Amount;
use packrank_monitor::snapshot::{RESOURCES, float};
use packrank_monitor::{Pack, Snapshot};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use textwrap::core::display_width;

use super::gauge::{BOLD, DIM, FROZEN, PLAIN, bar, colour, fit, heat, percent, short};
use super::view::{Sort, View};
use crate::terminal::plain;

/// Everything but the name.
const FIXED: usize = 66;

/// What stands for the classes.
const CLASS: usize = 5;

pub(crate) fn heading(view: &View, width: usize) -> Line<'static> {
    let name = width.saturating_sub(FIXED);
    let text = format!(
        "  {:<CLASS$}{:<name$} CPU{:>12}  MEMORY{:>9}   {:>5} {:>5} {:>5} {:>5}",
        "RANK", "PACK", "of", "of", "NET/s", "IO/s", "HELD", "WAIT"
    );
    // Which column the order comes from.
    let sorted = match view.sort {
        Sort::Class => "RANK",
        Sort::Cpu => "CPU",
        Sort::Memory => "MEMORY",
        Sort::Network => "NET/s",
        Sort::Disk => "IO/s",
        Sort::Held => "HELD",
        Sort::Name => "PACK",
    };
    match text.split_once(sorted) {
        Some((before, after)) => Line::from(vec![
            Span::styled(before.to_owned(), DIM),
            Span::styled(sorted, BOLD),
            Span::styled(after.to_owned(), DIM),
        ]),
        None => Line::styled(text, DIM),
    }
}

/// A pack's line; `class`: its class is said, for it is another than above.
pub(crate) fn row(
    snapshot: &Snapshot,
    pack: &Pack,
    class: bool,
    chosen: bool,
    width: usize,
) -> Line<'static> {
    let priority = pack.record.priority;
    let name = width.saturating_sub(FIXED);
    let class = match class {
        true => priority.name().get(..4).unwrap_or(priority.name()),
        false => "",
    };
    let rates = pack.rates.unwrap_or_default();
    let mut spans = vec![
        Span::styled(if chosen { "▸ " } else { "  " }, colour(priority)),
        Span::styled(format!("{class:<CLASS$}"), colour(priority)),
    ];
    spans.extend(names(pack, name));
    spans.push(Span::raw(" "));
    let cpu = pack.cpu_percent(&snapshot.node);
    let quota = pack.cpu_limit.and_then(Amount::number);
    let quota = quota.map_or("-".to_owned(), |n| cpus(float(n) / 1e5));
    use_of(&mut spans, cpu, &quota, mark(pack, &[Key::CpuQuota]));
    let memory = pack.memory_percent(&snapshot.node);
    let total = snapshot.node.memory_total.unwrap_or(u64::MAX);
    let limit = pack
        .memory_limit
        .and_then(Amount::number)
        .filter(|n| *n <= total);
    let limit = limit.map_or("-".to_owned(), |n| short(float(n), 1024.0));
    use_of(&mut spans, memory, &limit, mark(pack, &MEMORY));
    let network = match pack.network {
        Some(_) => short(rates.network.iter().sum::<f64>() * 8.0, 1000.0),
        None => "-".to_owned(),
    };
    let disk = short(rates.io[0] + rates.io[1], 1024.0);
    spans.push(quiet(format!(" {network:>5}")));
    spans.push(mark(pack, &NETWORK));
    spans.push(quiet(format!("{disk:>5}")));
    spans.push(mark(pack, &DISK));
    spans.extend(held_and_waits(pack, rates.throttled));
    let line = Line::from(spans);
    match chosen {
        true => line.patch_style(ratatui::style::Style::new().add_modifier(Modifier::BOLD)),
        false => line,
    }
}

/// Of the time, its quota held it back, and some task of it waited; who is
/// frozen does neither.
fn held_and_waits(pack: &Pack, held: f64) -> Vec<Span<'static>> {
    if pack.frozen {
        return vec![Span::styled(format!("{:>11}", "frozen"), FROZEN)];
    }
    let (wait, of) = waits(pack);
    let text = match wait < 0.5 {
        true => "·".to_owned(),
        false => format!("{wait:.0}%{of}"),
    };
    vec![
        alarm(format!("{:>5}", percent(held)), held, 5.0),
        alarm(format!(" {text:>5}"), wait, 10.0),
    ]
}

/// What it is called, and in which pod where there is room for that.
fn names(pack: &Pack, width: usize) -> Vec<Span<'static>> {
    let record = &pack.record;
    let own = record.names.name.as_deref().unwrap_or(&record.id);
    let parts = [&record.names.namespace, &record.names.pod];
    let pod: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    let used = display_width(&plain(own)) + 2;
    if pod.is_empty() || used + 8 > width {
        return vec![Span::styled(fit(own, width), PLAIN)];
    }
    vec![
        Span::raw(format!("{}  ", plain(own))),
        Span::styled(fit(&pod.join("/"), width - used), DIM),
    ]
}

/// CPUs: two places where one would say nothing.
fn cpus(number: f64) -> String {
    match number {
        n if n < 1.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// A bar, the share, and what it is a share of: seventeen columns.
fn use_of(spans: &mut Vec<Span<'static>>, share: Option<f64>, limit: &str, mark: Span<'static>) {
    match share {
        Some(share) => {
            spans.extend(bar(share, 5));
            let text = if share < 0.5 {
                "0%".to_owned()
            } else {
                format!("{:.0}%", share.min(999.0))
            };
            spans.push(Span::styled(format!("{text:>5}"), heat(share)));
        }
        None => spans.push(Span::styled(format!("{:>10}", "-"), DIM)),
    }
    spans.push(Span::styled(format!("{limit:>5}"), DIM));
    spans.push(mark);
    spans.push(Span::raw(" "));
}

/// The settings behind the columns that have more than one.
const MEMORY: [Key; 2] = [Key::MemoryHigh, Key::MemoryLimit];
const NETWORK: [Key; 2] = [Key::NetworkEgress, Key::NetworkIngress];
const DISK: [Key; 4] = [
    Key::IoReadBps,
    Key::IoWriteBps,
    Key::IoReadIops,
    Key::IoWriteIops,
];

/// What became of limits: `▼` pressure took of one, `=` a person set one, `≈`
/// one follows use.
fn mark(pack: &Pack, keys: &[Key]) -> Span<'static> {
    let fate = |key: &Key| {
        let pinned = pack
            .record
            .pinned
            .iter()
            .any(|(name, _)| name == key.name());
        let taken = pack.deeds.taken.get(key.name());
        match taken {
            _ if pinned => Fate::Pinned,
            Some(taken) if taken.pressed.is_some() => Fate::Pressed,
            Some(_) => Fate::Adapted,
            None => Fate::Planned,
        }
    };
    match keys.iter().map(fate).max().unwrap_or(Fate::Planned) {
        Fate::Planned => Span::raw(" "),
        Fate::Adapted => Span::styled("≈", heat(85.0)),
        Fate::Pinned => Span::styled("=", BOLD),
        Fate::Pressed => Span::styled("▼", heat(100.0)),
    }
}

/// What became of a limit, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Planned,
    Adapted,
    Pinned,
    Pressed,
}

/// The resource that some task of it waits for longest, by its first letter.
fn waits(pack: &Pack) -> (f64, &'static str) {
    let of = |at: usize| {
        pack.pressure[at]
            .and_then(|p| p.some)
            .map_or(0, |s| s.avg10)
    };
    let most = (0..RESOURCES.len()).max_by_key(|at| of(*at)).unwrap_or(0);
    (f64::from(of(most)) / 100.0, &RESOURCES[most][..1])
}

fn quiet(text: String) -> Span<'static> {
    let nothing = matches!(text.trim(), "0" | "-");
    Span::styled(text, if nothing { DIM } else { PLAIN })
}

fn alarm(text: String, value: f64, from: f64) -> Span<'static> {
    match value {
        v if v < 0.5 => Span::styled(text, DIM),
        v if v < from => Span::styled(text, PLAIN),
        v => Span::styled(text, heat(if v < 3.0 * from { 85.0 } else { 100.0 })),
    }
}
