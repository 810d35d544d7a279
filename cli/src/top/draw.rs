//! The screen.
//!
//! In: a [`View`] and the screen's size. Out: its lines.

use std::time::UNIX_EPOCH;

use packrank_monitor::Snapshot;
use packrank_monitor::ask::Levels;
use packrank_monitor::event::Event;
use packrank_monitor::snapshot::float;
use ratatui::text::{Line, Span};

use super::gauge::{BOLD, DIM, PLAIN, bar, colour, fit, level, short};
use super::view::{Sort, View};
use super::{detail, list};

/// Lines above the packs, and the last one.
const HEAD: usize = 6;

/// The fewest lines for packs; only then are events shown.
const LEAST: usize = 6;

/// The most events.
const MOST_EVENTS: usize = 6;

/// What fits on a screen; the lines around the chosen pack.
pub(crate) fn screen(view: &mut View, width: usize, height: usize) -> Vec<Line<'static>> {
    let packs = view.packs().len();
    let room = height.saturating_sub(HEAD + 2);
    let events = room
        .saturating_sub(packs.max(LEAST) + 1)
        .clamp(0, MOST_EVENTS);
    let events = events.max(if room > LEAST + 4 { 3 } else { 0 });
    let body = room.saturating_sub(if events > 0 { events + 1 } else { 0 });
    let mut lines = head(view, width);
    if view.detail {
        let all = detail::lines(view, width);
        let room = height.saturating_sub(HEAD + 1);
        view.scroll = view.scroll.min(all.len().saturating_sub(room));
        lines.truncate(HEAD - 1);
        lines.push(Line::default());
        lines.extend(all.into_iter().skip(view.scroll).take(room));
    } else {
        let place = view.place();
        let from = place
            .saturating_sub(body.saturating_sub(2))
            .min(packs.saturating_sub(body));
        lines.extend(rows(view, width).into_iter().skip(from).take(body));
        if events > 0 {
            lines.resize_with(HEAD + body, Line::default);
            lines.extend(doing(view, width, events));
        }
    }
    lines.resize_with(height.saturating_sub(1), Line::default);
    lines.push(foot(view, width));
    lines
}

/// All of it, however long: for `--once`.
pub(crate) fn whole(view: &View, width: usize) -> Vec<Line<'static>> {
    let mut lines = head(view, width);
    lines.extend(rows(view, width));
    if view.packs().is_empty() {
        lines.push(Line::raw("  no ranked container runs here"));
    }
    lines.push(Line::default());
    lines.extend(doing(view, width, MOST_EVENTS));
    lines
}

fn head(view: &View, width: usize) -> Vec<Line<'static>> {
    let Some(snapshot) = &view.snapshot else {
        return vec![Line::default(); HEAD];
    };
    let node = &snapshot.node;
    let watcher = match &snapshot.watcher {
        None => Span::styled("no watcher", level("high")),
        Some(told) if told.paused => Span::styled("watcher paused", level("medium")),
        Some(_) => Span::styled("watching", DIM),
    };
    let time = clock(snapshot);
    let count = snapshot.packs.len();
    let title = format!(" {count} pack{}  ", if count == 1 { "" } else { "s" });
    let used =
        " packrank ".len() + view.host.len() + title.len() + watcher.content.len() + time.len();
    let gap = width.saturating_sub(used + 2);
    let top = Line::from(vec![
        Span::styled(" packrank ", BOLD),
        Span::styled(fit(&view.host, view.host.len().min(24)), PLAIN),
        Span::styled(title, DIM),
        watcher,
        Span::raw(" ".repeat(gap)),
        Span::styled(time, DIM),
    ]);
    let none = Levels::default();
    let levels = snapshot
        .watcher
        .as_ref()
        .map_or(&none, |told| &told.pressure);
    let cpu = node.cpu_used.zip(node.cpu_capacity);
    let cpus = node.cpu_capacity.map_or(0.0, |n| float(n) / 1e5);
    let share = |(used, all): (u64, u64)| float(used) / float(all.max(1)) * 100.0;
    let total = node.memory_total.unwrap_or(0);
    let memory = node
        .memory_available
        .map(|free| (total.saturating_sub(free), total));
    let resources = [
        (
            "cpu",
            cpu.map(share),
            format!("of {cpus:.0} CPUs"),
            0,
            &levels.cpu,
        ),
        (
            "memory",
            memory.map(share),
            format!("of {}", short(float(total), 1024.0)),
            1,
            &levels.memory,
        ),
        ("disk", None, String::new(), 2, &levels.io),
    ];
    let mut lines = vec![top, Line::default()];
    for (name, share, of, at, now) in resources {
        let mut spans = vec![Span::styled(format!("  {name:<7}"), DIM)];
        match share {
            Some(share) => {
                spans.extend(bar(share, 18));
                spans.push(Span::raw(format!(" {share:>3.0}% ")));
            }
            None => spans.push(Span::raw(" ".repeat(24))),
        }
        spans.push(Span::styled(format!("{of:<12}"), DIM));
        let stalls = snapshot.pressure[at].and_then(|p| p.some);
        let waits = stalls.map_or("-".to_owned(), |s| {
            format!("{:.0}%", f64::from(s.avg10) / 100.0)
        });
        spans.push(Span::styled("tasks wait ", DIM));
        spans.push(Span::raw(format!("{waits:>4}  ")));
        let word = if now.is_empty() { "-" } else { now };
        spans.push(Span::styled("pressure ", DIM));
        spans.push(Span::styled(fit(word, 8), level(now)));
        lines.push(Line::from(spans));
    }
    lines.push(list::heading(view, width));
    lines
}

fn rows(view: &View, width: usize) -> Vec<Line<'static>> {
    let Some(snapshot) = &view.snapshot else {
        return Vec::new();
    };
    let packs = view.packs();
    let chosen = view.chosen.as_deref();
    let mut above = None;
    packs
        .iter()
        .map(|pack| {
            let class = pack.record.priority;
            let said = view.sort != Sort::Class || above.replace(class) != Some(class);
            let marked = chosen == Some(pack.record.id.as_str());
            list::row(snapshot, pack, said, marked, width)
        })
        .collect()
}

/// What the watcher did last, the newest first.
fn doing(view: &View, width: usize, most: usize) -> Vec<Line<'static>> {
    let title = " what the watcher does ";
    let rest = width.saturating_sub(title.len() + 2);
    let mut lines = vec![Line::from(vec![
        Span::styled("──", DIM),
        Span::styled(title, DIM),
        Span::styled("─".repeat(rest), DIM),
    ])];
    for event in view.events.iter().rev().take(most) {
        lines.push(told(view, event, width));
    }
    if view.events.is_empty() {
        lines.push(Line::styled("  nothing yet", DIM));
    }
    lines
}

pub(crate) fn told(view: &View, event: &Event, width: usize) -> Line<'static> {
    let packs = view.snapshot.as_ref().map(|s| &s.packs);
    let known = packs.and_then(|packs| {
        let id = event.id.as_deref()?;
        packs.iter().find(|pack| pack.record.id == id)
    });
    let who = known.map_or_else(
        || event.id.clone().unwrap_or_else(|| "node".to_owned()),
        |pack| {
            pack.record
                .names
                .name
                .clone()
                .unwrap_or_else(|| pack.record.id.clone())
        },
    );
    let class = event.class.as_deref().and_then(|c| c.parse().ok());
    Line::from(vec![
        Span::styled(format!("  {} ", of_day(event.at / 1_000)), DIM),
        Span::styled(fit(&who, 14), class.map_or(PLAIN, colour)),
        Span::raw(format!(
            " {}",
            fit(&event.words(), width.saturating_sub(27)).trim_end()
        )),
    ])
}

fn foot(view: &View, width: usize) -> Line<'static> {
    if view.typing {
        return Line::from(vec![
            Span::styled(" filter ", BOLD),
            Span::raw(
                fit(&view.filter, width.saturating_sub(40))
                    .trim_end()
                    .to_owned(),
            ),
            Span::styled("▏  Enter keeps it, Esc drops it", DIM),
        ]);
    }
    let keys: &[(&str, &str)] = match view.detail {
        true => &[
            ("Esc", "back"),
            ("↑↓", "scroll"),
            ("space", "hold"),
            ("q", "quit"),
        ],
        false => &[
            ("↑↓", "choose"),
            ("Enter", "open"),
            ("/", "filter"),
            ("space", "hold"),
            ("q", "quit"),
        ],
    };
    let mut spans = vec![Span::raw(" ")];
    for (key, what) in keys {
        spans.push(Span::styled(*key, BOLD));
        spans.push(Span::styled(format!(" {what}  "), DIM));
    }
    if !view.detail {
        spans.push(Span::styled("sort ", DIM));
        for key in ["k", "c", "m", "n", "d", "h", "a"] {
            spans.push(Span::styled(key, BOLD));
        }
        spans.push(Span::styled(format!(" {}", view.sort.name()), DIM));
    }
    if view.held {
        spans.push(Span::styled("  held", level("medium")));
    } else if !view.filter.is_empty() {
        spans.push(Span::styled(
            format!("  /{}", fit(&view.filter, 8).trim_end()),
            level("low"),
        ));
    }
    Line::from(spans)
}

fn clock(snapshot: &Snapshot) -> String {
    let since = snapshot.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    of_day(since.as_secs())
}

/// The time of the day, UTC.
fn of_day(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}
