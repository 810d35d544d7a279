//! One pack in full: its curves, every setting with who decided it, and what
//! was done to it.

use packrank_core::key::Key;
use packrank_core::record::{Amount, Taken};
use packrank_core::value::Value;
use packrank_monitor::Pack;
use packrank_monitor::snapshot::{RESOURCES, float};
use ratatui::text::{Line, Span};

use super::draw::told;
use super::gauge::{BOLD, DIM, FROZEN, PLAIN, colour, curve, fit, heat, short};
use super::view::View;

/// Columns of a curve.
const CURVE: usize = 40;

pub(crate) fn lines(view: &View, width: usize) -> Vec<Line<'static>> {
    let chosen = view.chosen.as_deref();
    let packs = view.snapshot.iter().flat_map(|s| &s.packs);
    let Some(pack) = packs
        .into_iter()
        .find(|p| Some(p.record.id.as_str()) == chosen)
    else {
        return vec![Line::styled("  it has ended", BOLD)];
    };
    let record = &pack.record;
    let mut lines = vec![Line::from(vec![
        Span::raw("  "),
        Span::styled(
            fit(
                &record.title(),
                record.title().chars().count().min(width / 2),
            ),
            BOLD,
        ),
        Span::styled(
            format!("  {}", record.priority.name()),
            colour(record.priority),
        ),
        Span::styled(frozen(pack), FROZEN),
        Span::styled(
            fit(
                &format!("  {}  process {}", record.id, record.pid),
                (width / 2).saturating_sub(frozen(pack).len()),
            ),
            DIM,
        ),
    ])];
    lines.extend(figures(view, pack));
    lines.push(Line::default());
    let title = format!(
        "  {:<24} {:>14} {:>14}  {}",
        "SETTING", "NOW", "PLANNED", "DECIDED BY"
    );
    lines.push(Line::styled(title, DIM));
    lines.extend(Key::all().filter_map(|key| setting(pack, key)));
    let own = |id: &Option<String>| id.as_deref() == chosen;
    let events: Vec<_> = view.events.iter().rev().filter(|e| own(&e.id)).collect();
    if !events.is_empty() {
        lines.push(Line::default());
        lines.push(Line::styled("  WHAT WAS DONE TO IT", DIM));
        lines.extend(events.into_iter().take(20).map(|e| told(view, e, width)));
    }
    lines
}

/// Who froze it; the freezer itself does not say.
fn frozen(pack: &Pack) -> &'static str {
    match (pack.frozen, pack.deeds.frozen) {
        (false, _) => "",
        (true, true) => "  frozen by the watcher",
        (true, false) => "  frozen",
    }
}

fn figures(view: &View, pack: &Pack) -> Vec<Line<'static>> {
    let empty = Default::default();
    let past = view.curves.get(&pack.record.id).unwrap_or(&empty);
    let label = |text: &str| Span::styled(format!("  {text:<9}"), DIM);
    let rates = pack.rates.unwrap_or_default();
    let cpu = past.back().map_or(0.0, |(cpu, _)| *cpu);
    let memory = past.back().map_or(0.0, |(_, memory)| *memory);
    let bytes = |n: Option<u64>| n.map_or("-".to_owned(), |n| short(float(n), 1024.0));
    let waits = |at: usize| {
        let stalls = pack.pressure[at].and_then(|p| p.some);
        stalls.map_or("-".to_owned(), |s| {
            format!("{:.0}%", f64::from(s.avg10) / 100.0)
        })
    };
    let waits: Vec<String> = (0..RESOURCES.len())
        .map(|at| format!("{} {}", RESOURCES[at], waits(at)))
        .collect();
    let of = |part: Option<packrank_monitor::Use>| match part {
        Some(part) => match part.limit {
            Some(limit) => format!("{} of {limit}", part.used),
            None => part.used.to_string(),
        },
        None => "-".to_owned(),
    };
    let network = match pack.network {
        Some(_) => format!(
            "{}bit/s out, {}bit/s in",
            short(rates.network[0] * 8.0, 1000.0),
            short(rates.network[1] * 8.0, 1000.0)
        ),
        None => "the host's own".to_owned(),
    };
    vec![
        Line::from(vec![
            label("cpu"),
            curve(past.iter().map(|(cpu, _)| *cpu), CURVE),
            Span::styled(format!(" {cpu:>4.0}%"), heat(cpu)),
            Span::styled(format!("  held {:.0}%", rates.throttled), DIM),
        ]),
        Line::from(vec![
            label("memory"),
            curve(past.iter().map(|(_, memory)| *memory), CURVE),
            Span::styled(format!(" {memory:>4.0}%"), heat(memory)),
            Span::styled(
                format!(
                    "  {} + {} cache",
                    bytes(pack.working_set()),
                    bytes(pack.sample.cache)
                ),
                DIM,
            ),
        ]),
        Line::from(vec![label("waits"), Span::styled(waits.join(", "), PLAIN)]),
        Line::from(vec![label("network"), Span::styled(network, PLAIN)]),
        Line::from(vec![
            label("disk"),
            Span::raw(format!(
                "{}/s read, {}/s written",
                short(rates.io[0], 1024.0),
                short(rates.io[1], 1024.0)
            )),
        ]),
        Line::from(vec![
            label("holds"),
            Span::raw(format!(
                "files {}, connections {}, processes {}",
                of(pack.files),
                of(pack.connections),
                of(pack.processes)
            )),
        ]),
    ]
}

/// A setting that is planned: its value, and who decided it: class, annotation,
/// spec, policy or host when it was made, a person or the watcher since.
fn setting(pack: &Pack, key: Key) -> Option<Line<'static>> {
    let record = &pack.record;
    let name = key.name();
    let written = |figures: &packrank_core::record::Figures| {
        let (_, json) = figures.iter().find(|(known, _)| *known == name)?;
        Some(show(key, figures.amount(key), json))
    };
    let planned = written(&record.settings);
    let pinned = written(&record.pinned);
    let taken = pack.deeds.taken.get(name);
    let told = match key {
        Key::CpuQuota => pack.cpu_limit,
        Key::MemoryLimit => pack.memory_limit,
        _ => None,
    };
    let now = told.or_else(|| record.in_force(&pack.deeds, key));
    let now = now.map(|amount| value(key, amount));
    let now = now.or_else(|| pinned.clone()).or_else(|| planned.clone())?;
    let origin = record.origins.get(name).map_or("-", String::as_str);
    let (who, style) = match taken {
        _ if pinned.is_some() => ("a person".to_owned(), BOLD),
        Some(Taken {
            pressed: Some(_), ..
        }) => (format!("{origin}; taken by pressure"), heat(100.0)),
        Some(_) => (format!("{origin}; follows use"), heat(85.0)),
        None => (origin.to_owned(), PLAIN),
    };
    Some(Line::from(vec![
        Span::raw(format!("  {name:<24} ")),
        Span::styled(format!("{now:>14}"), BOLD),
        Span::styled(
            format!(" {:>14}  ", planned.unwrap_or_else(|| "-".to_owned())),
            DIM,
        ),
        Span::styled(who, style),
    ]))
}

fn value(key: Key, amount: Amount) -> String {
    amount
        .number()
        .map_or(Value::Unlimited, Value::Number)
        .show(key)
}

fn show(key: Key, amount: Option<Amount>, json: &serde_json::Value) -> String {
    match (amount, json) {
        (Some(amount), _) => value(key, amount),
        (None, serde_json::Value::String(text)) => crate::terminal::plain(text),
        (None, serde_json::Value::Object(both)) => {
            // Open files: what a process has, and what it may raise that to.
            let parts = ["soft", "hard"].map(|name| both.get(name).map(ToString::to_string));
            parts.into_iter().flatten().collect::<Vec<_>>().join("/")
        }
        (None, other) => other.to_string(),
    }
}
