//! The page.
//!
//! In: everything that is known. Out: HTML. Texts from a container's side are
//! escaped by maud, and made plain first.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use packrank_core::Priority;
use packrank_core::record::Amount;
use packrank_monitor::ask::level_number;
use packrank_monitor::event::Event;
use packrank_monitor::{Pack, Snapshot};
use packrank_watcher::history::{Class, Row};

use super::chart::{self, Count, Limit, Series, Span, float, time};
use crate::terminal::plain;

const STYLE: &str = include_str!("style.css");

/// The most events in the list; the strip above has all.
const MOST: usize = 150;

/// The classes, lowest first, as the history has them.
const CLASSES: [Priority; 5] = [
    Priority::Scavenger,
    Priority::Low,
    Priority::Normal,
    Priority::High,
    Priority::Critical,
];

pub(crate) struct Story {
    pub host: String,
    pub wall: u64,
    pub rows: Vec<Row>,
    pub events: Vec<Event>,
    pub snapshot: Snapshot,
}

pub(crate) fn draw(story: &Story) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "packrank: " (plain(&story.host)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (plain(&story.host)) }
                    p { (summary(story)) }
                }
                main {
                    (tiles(story))
                    (history(story))
                    (packs(&story.snapshot))
                    (events(story))
                    (notes(&story.snapshot))
                }
                footer { "packrank " (env!("CARGO_PKG_VERSION")) ", times in UTC" }
            }
        }
    };
    page.into_string()
}

fn summary(story: &Story) -> String {
    let end = time(story.wall, false);
    match story.rows.first() {
        Some(first) => format!("{} to {end} UTC", time(first.at, false)),
        None => format!("{end} UTC; no history: no watcher has run here"),
    }
}

/// The numbers to read first.
fn tiles(story: &Story) -> Markup {
    let node = &story.snapshot.node;
    let total = node.memory_total.unwrap_or(0);
    let used = total.saturating_sub(node.memory_available.unwrap_or(0));
    let count = |action: &str| {
        let done = story
            .events
            .iter()
            .filter(|e| e.action() == Some(action) && !e.audit);
        done.count()
    };
    let told = story.snapshot.watcher.as_ref();
    let worst = told.and_then(|told| {
        let levels = told.pressure.all();
        levels
            .into_iter()
            .max_by_key(|(_, level)| level_number(level))
            .map(|(name, level)| {
                let name = if level_number(level) == 0 { "" } else { name };
                (name.to_owned(), level.to_owned())
            })
    });
    let watcher = match told {
        None => "not running",
        Some(told) if told.paused => "paused",
        Some(_) => "watching",
    };
    html! {
        section.tiles {
            (tile("packs", &story.snapshot.packs.len().to_string(), ""))
            (tile("CPU", &node.cpu_used.zip(node.cpu_capacity).map_or("-".to_owned(), |(u, c)| format!("{:.0} %", float(u) / float(c.max(1)) * 100.0)),
                &node.cpu_capacity.map_or(String::new(), |c| format!("of {:.0} CPUs", float(c) / 1e5))))
            (tile("memory", &format!("{:.0} %", float(used) / float(total.max(1)) * 100.0), &format!("of {}", bytes(float(total)))))
            @if let Some((name, level)) = &worst { (tile("pressure", level, name)) }
            (tile("kills", &count("kill").to_string(), ""))
            (tile("limits changed", &count("set").to_string(), ""))
            (tile("watcher", watcher, ""))
        }
    }
}

fn tile(name: &str, value: &str, of: &str) -> Markup {
    html! { div { small { (name) } b { (value) } @if !of.is_empty() { small { (of) } } } }
}

fn history(story: &Story) -> Markup {
    let rows = &story.rows;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return html! {};
    };
    let times: Vec<u64> = rows.iter().map(|row| row.at).collect();
    let mut steps: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(30_000);
    let span = Span::new(first.at, story.wall.max(last.at), usual * 3);
    let by_class = |of: &dyn Fn(&Class) -> f64| -> Vec<Series> {
        let one = |class: Priority| Series {
            class: class.name().to_owned(),
            name: class.name().to_owned(),
            values: rows
                .iter()
                .map(|row| of(&row.classes[class as usize]))
                .collect(),
        };
        CLASSES.into_iter().rev().map(one).collect()
    };
    let allowed = |of: &dyn Fn(&Class) -> u64| -> Vec<f64> {
        let all = |row: &Row| row.classes.iter().map(of).map(float).sum();
        rows.iter().map(all).collect()
    };
    let cpus = |n: f64| format!("{n:.1} CPUs");
    let quotas = allowed(&|c| c.cpu_limit).iter().map(|n| n / 1e5).collect();
    let limits = allowed(&|c| c.memory_limit);
    let node = float(last.cpu[1]) / 1e5;
    let mut of_cpus = vec![Limit::Node(node, format!("the node: {}", cpus(node)))];
    of_cpus.extend(named("quotas", quotas, &cpus));
    let of_memory = Vec::from_iter(named("limits", limits, &bytes));
    let wait = |name: &str, at: usize| Series {
        class: name.to_owned(),
        name: name.to_owned(),
        values: rows
            .iter()
            .map(|row| f64::from(row.waits[at]) / 100.0)
            .collect(),
    };
    let level = |at: usize| rows.iter().map(|row| row.levels[at]).collect::<Vec<u8>>();
    let mut marks: Vec<(u64, String, String)> = story
        .events
        .iter()
        .filter(|event| event.at >= span.from && event.action().is_some_and(|a| a != "alert"))
        .map(|event| {
            let class = event.class.as_deref().unwrap_or_default();
            (
                event.at,
                format!("{class}{}", grave(event)),
                said(story, event),
            )
        })
        .collect();
    // A life is not to be hidden behind a limit.
    marks.sort_by_key(|(_, class, _)| class.ends_with(GRAVE));
    let strips = [("memory", level(0)), ("cpu", level(1)), ("disk", level(2))];
    html! {
        section {
            h2 { "Pressure, and what was done" }
            (chart::strips(span, &times, &strips, &marks))
        }
        div.two {
            section {
                h2 { "CPUs by class" }
                (chart::stacked(span, &times, &by_class(&|c| float(c.cpu) / 1e5),
                    &of_cpus,
                    Count::Tens, &|n| format!("{n:.1}")))
            }
            section {
                h2 { "Memory by class " small { "without page cache" } }
                (chart::stacked(span, &times, &by_class(&|c| float(c.memory)), &of_memory, Count::Bytes, &bytes))
            }
            section {
                h2 { "CPU of the quotas, by class " small { "%" } }
                (chart::lines(span, &times, &shares(by_class(&|c| share(c.cpu, c.cpu_limit))), Some(100.0), &|n| format!("{n:.0}")))
            }
            section {
                h2 { "Memory of the limits, by class " small { "%" } }
                (chart::lines(span, &times, &shares(by_class(&|c| share(c.memory, c.memory_limit))), Some(100.0), &|n| format!("{n:.0}")))
            }
            section {
                h2 { "Held back by CPU quotas " small { "CPUs" } }
                (chart::stacked(span, &times, &by_class(&|c| float(c.throttled) / 1e5), &[], Count::Tens, &|n| format!("{n:.2}")))
            }
            section {
                h2 { "Time in which some task waited " small { "%" } }
                (chart::lines(span, &times, &[wait("memory", 0), wait("cpu", 1), wait("disk", 2)], None, &|n| format!("{n:.0}")))
            }
        }
    }
}

/// What all limits of a kind allow together, with the last number; nothing
/// where there never was one.
fn named(kind: &str, values: Vec<f64>, say: &dyn Fn(f64) -> String) -> Option<Limit> {
    let last = values.last().copied().unwrap_or(0.0);
    let any = values.iter().any(|allowed| *allowed > 0.0);
    any.then(|| Limit::Allowed(values, format!("all {kind}: {}", say(last))))
}

/// In percent; no number where there is no limit.
fn share(used: u64, limit: u64) -> f64 {
    match limit {
        0 => f64::NAN,
        limit => float(used) / float(limit) * 100.0,
    }
}

/// Classes that have limits at all.
fn shares(mut series: Vec<Series>) -> Vec<Series> {
    series.retain(|one| one.values.iter().any(|share| share.is_finite()));
    series
}

fn packs(snapshot: &Snapshot) -> Markup {
    html! {
        section {
            h2 { "Packs " small { "now" } }
            @if snapshot.packs.is_empty() { p { "No ranked container runs here." } }
            @else {
                div.wide { table {
                    thead { tr {
                        th { "class" } th { "pack" } th.bar { "CPU of its quota" } th.bar { "memory of its limit" }
                        th.n { "held back" } th.n { "waits" } th.n { "network" } th.n { "disk" } th.n { "files" }
                    } }
                    tbody { @for pack in &snapshot.packs { (row(snapshot, pack)) } }
                } }
            }
        }
    }
}

fn row(snapshot: &Snapshot, pack: &Pack) -> Markup {
    let record = &pack.record;
    let name = record.names.name.as_deref().unwrap_or(&record.id);
    let place = [&record.names.namespace, &record.names.pod];
    let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
    let rates = pack.rates.unwrap_or_default();
    let limit = |amount: Option<Amount>| amount.and_then(Amount::number);
    let cpus = limit(pack.cpu_limit).map_or("no quota".to_owned(), |n| {
        format!("{:.2} CPUs", float(n) / 1e5)
    });
    let total = snapshot.node.memory_total.unwrap_or(u64::MAX);
    let most = limit(pack.memory_limit).filter(|n| *n <= total);
    let most = most.map_or("no limit".to_owned(), |n| bytes(float(n)));
    let worst = pack
        .pressure
        .iter()
        .flatten()
        .filter_map(|p| p.some)
        .map(|s| s.avg10)
        .max();
    let files = pack.files.map_or("-".to_owned(), |f| match f.limit {
        Some(limit) => format!("{} / {limit}", f.used),
        None => f.used.to_string(),
    });
    let network = pack.network.map_or("-".to_owned(), |_| {
        format!(
            "{}bit/s",
            short(rates.network.iter().sum::<f64>() * 8.0, 1000.0)
        )
    });
    html! {
        tr {
            td { span class={"chip " (record.priority.name())} { (record.priority.name()) } }
            td { b { (plain(name)) } @if !place.is_empty() { " " small { (plain(&place.join("/"))) } } }
            td { (bar(pack.cpu_percent(&snapshot.node), &cpus)) }
            td { (bar(pack.memory_percent(&snapshot.node), &most)) }
            td.n { (percent(rates.throttled)) }
            td.n { (worst.map_or("-".to_owned(), |w| percent(f64::from(w) / 100.0))) }
            td.n { (network) }
            td.n { (bytes(rates.io[0] + rates.io[1])) "/s" }
            td.n { (files) }
        }
    }
}

fn bar(share: Option<f64>, of: &str) -> Markup {
    let Some(share) = share else {
        return html! { "-" };
    };
    let heat = match share {
        s if s > 90.0 => "full",
        s if s > 80.0 => "near",
        _ => "room",
    };
    html! {
        div.use {
            div.track { i class=(heat) style=(format!("width:{:.1}%", share.clamp(0.0, 100.0))) {} }
            span { b { (format!("{share:.0} %")) } " " small { "of " (of) } }
        }
    }
}

fn events(story: &Story) -> Markup {
    let all = story.events.len();
    html! {
        section {
            h2 { "What was done, and why" @if all > MOST { small { (format!(" the last {MOST} of {all}")) } } }
            @if all == 0 { p { "Nothing." } }
            @else {
                div.wide { table.events { tbody {
                    @for event in story.events.iter().rev().take(MOST) {
                        tr class=(grave(event)) {
                            td.n { (time(event.at, true)) }
                            td { @if let Some(class) = event.class.as_deref().and_then(|c| c.parse::<Priority>().ok()) { span class={"chip " (class.name())} { (class.name()) } } }
                            td { (who(story, event)) }
                            td { (plain(&event.words())) }
                        }
                    }
                } } }
            }
        }
    }
}

fn notes(snapshot: &Snapshot) -> Markup {
    let Some(told) = &snapshot.watcher else {
        return html! {};
    };
    let all: Vec<&String> = told.notes.iter().chain(&told.incomparable).collect();
    html! {
        @if !all.is_empty() {
            section { h2 { "What this node does not allow" } ul { @for note in all { li { (plain(note)) } } } }
        }
    }
}

/// What a kill that was done is marked with.
const GRAVE: &str = " kill";

fn grave(event: &Event) -> &'static str {
    match event.action() == Some("kill") && event.result() == "done" {
        true => GRAVE,
        false => "",
    }
}

fn who(story: &Story, event: &Event) -> String {
    let Some(id) = event.id.as_deref() else {
        return "node".to_owned();
    };
    let packs = story.snapshot.packs.iter();
    let known = packs
        .filter(|pack| pack.record.id == id)
        .find_map(|pack| pack.record.names.name.clone());
    plain(&known.unwrap_or_else(|| id.to_owned()))
}

fn said(story: &Story, event: &Event) -> String {
    format!(
        "{} {}: {}",
        time(event.at, true),
        who(story, event),
        plain(&event.words())
    )
}

fn percent(percent: f64) -> String {
    match percent {
        p if p < 0.5 => "-".to_owned(),
        p => format!("{p:.0} %"),
    }
}

fn bytes(number: f64) -> String {
    let (text, letter) = parts(number, 1024.0);
    match letter {
        "" => format!("{text} B"),
        letter => format!("{text} {letter}iB"),
    }
}

fn short(number: f64, base: f64) -> String {
    let (text, letter) = parts(number, base);
    format!("{text} {letter}")
}

fn parts(number: f64, base: f64) -> (String, &'static str) {
    let mut rest = number.max(0.0);
    let mut name = "";
    for letter in ["K", "M", "G", "T"] {
        if rest < base {
            break;
        }
        rest /= base;
        name = letter;
    }
    let text = match rest {
        r if r >= 9.95 || name.is_empty() => format!("{r:.0}"),
        r => format!("{r:.1}"),
    };
    (text, name)
}
