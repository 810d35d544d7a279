//! Charts over time, as SVG.
//!
//! In: moments and numbers. Out: markup; colours are classes of the page's
//! style sheet, so that it follows light and dark.

use maud::{Markup, html};

/// The drawing's size, in its own units; the page scales it. Two charts stand
/// side by side.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 190.0;
/// The strips' width: they stand alone.
const WHOLE: f64 = 1180.0;
/// Room for the numbers on the left and the times below.
const LEFT: f64 = 52.0;
const BELOW: f64 = 22.0;
const TOP: f64 = 8.0;

/// What a chart spans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Milliseconds since the epoch.
    pub from: u64,
    pub to: u64,
    /// Two moments further apart than this have a gap between them.
    pub gap: u64,
    /// How wide it is drawn.
    width: f64,
}

/// What numbers are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Tens,
    Bytes,
}

/// One series: its class in the style sheet, its name, its numbers; what is not
/// a number is a gap.
pub(crate) struct Series {
    pub class: String,
    pub name: String,
    pub values: Vec<f64>,
}

/// A line that use is measured by, with its name on it.
pub(crate) enum Limit {
    /// What the node has: always on the chart, dashed.
    Node(f64, String),
    /// What limits allow: a thin line, at the edge where it is far above all
    /// use, which would be flat beside it.
    Allowed(Vec<f64>, String),
}

/// So many times the use a limit may be, and be on the chart.
const FAR: f64 = 4.0;

impl Span {
    pub(crate) fn new(from: u64, to: u64, gap: u64) -> Span {
        Span {
            from,
            to,
            gap,
            width: WIDTH,
        }
    }

    fn x(self, at: u64) -> f64 {
        let long = float(self.to.saturating_sub(self.from).max(1));
        LEFT + float(at.saturating_sub(self.from)) / long * (self.width - LEFT)
    }

    /// The beginnings and ends of what is not interrupted.
    fn pieces(self, times: &[u64]) -> Vec<std::ops::Range<usize>> {
        let mut pieces = Vec::new();
        let mut begin = 0;
        for at in 1..=times.len() {
            let ends = at == times.len() || times[at].saturating_sub(times[at - 1]) > self.gap;
            if ends {
                pieces.push(begin..at);
                begin = at;
            }
        }
        pieces
    }
}

/// Stacked areas, the first at the bottom, under limits.
pub(crate) fn stacked(
    span: Span,
    times: &[u64],
    series: &[Series],
    limits: &[Limit],
    count: Count,
    say: &dyn Fn(f64) -> String,
) -> Markup {
    let mut sums = vec![0.0; times.len()];
    let mut layers = Vec::new();
    for one in series {
        let below = sums.clone();
        for (sum, value) in sums.iter_mut().zip(&one.values) {
            *sum += value;
        }
        layers.push((one, below, sums.clone()));
    }
    let most = shown(largest(&sums), limits);
    let top = match count {
        Count::Tens => nice(most),
        // A mebibyte is 4 times 256 KiB: powers of two divide well.
        Count::Bytes => 2f64.powf(most.max(1_048_576.0).log2().ceil()),
    };
    let y = |value: f64| scale(value, top);
    html! {
        (frame(span, top, say, html! {
            @for (one, below, above) in &layers {
                @for piece in span.pieces(times) {
                    @let there = piece.clone().map(|at| point(span.x(times[at]), y(above[at])));
                    @let back = piece.rev().map(|at| point(span.x(times[at]), y(below[at])));
                    @let all: Vec<String> = there.chain(back).collect();
                    polygon class={"area " (one.class)} points=(all.join(" ")) { title { (one.name) } }
                }
            }
            @for limit in limits { (drawn(span, times, limit, top)) }
        }))
        (legend(series))
    }
}

/// The most that is to be on the chart.
fn shown(used: f64, limits: &[Limit]) -> f64 {
    let node = |limit: &Limit| match limit {
        Limit::Node(all, _) => *all,
        Limit::Allowed(..) => 0.0,
    };
    let anchor = limits.iter().map(node).fold(used, f64::max);
    let near = |limit: &Limit| match limit {
        Limit::Allowed(values, _) => Some(largest(values)).filter(|most| *most <= anchor * FAR),
        Limit::Node(..) => None,
    };
    limits.iter().filter_map(near).fold(anchor, f64::max)
}

/// The node's name stands on the left, that of limits on the right: they do not
/// meet where both lines do.
fn drawn(span: Span, times: &[u64], limit: &Limit, top: f64) -> Markup {
    let (x, anchor, name, last) = match limit {
        Limit::Node(all, name) => (LEFT + 6.0, "start", name, *all),
        Limit::Allowed(values, name) => {
            let last = values.last().copied().unwrap_or(0.0);
            (span.width - 4.0, "end", name, last)
        }
    };
    let y = scale(last, top);
    // Below its line where there is no room above.
    let text = if y < TOP + 16.0 { y + 14.0 } else { y - 5.0 };
    html! {
        @match limit {
            Limit::Node(all, _) => line class="limit node" x1=(LEFT) x2=(span.width) y1=(number(scale(*all, top))) y2=(number(scale(*all, top))) {},
            Limit::Allowed(values, name) => {
                @for piece in span.pieces(times) {
                    @for piece in numbers(values, piece, top) {
                        @let points: Vec<String> = piece.map(|at| point(span.x(times[at]), scale(values[at], top))).collect();
                        polyline class="limit allowed" points=(points.join(" ")) { title { (name) } }
                    }
                }
            },
        }
        text class="limit-name" x=(number(x)) y=(number(text)) text-anchor=(anchor) { (name) @if last > top { " ↑" } }
    }
}

/// The parts of a piece in which there are numbers, no larger than `top`.
fn numbers(values: &[f64], piece: std::ops::Range<usize>, top: f64) -> Vec<std::ops::Range<usize>> {
    let mut parts: Vec<std::ops::Range<usize>> = Vec::new();
    for at in piece.filter(|at| values[*at] <= top) {
        match parts.last_mut() {
            Some(part) if part.end == at => part.end = at + 1,
            _ => parts.push(at..at + 1),
        }
    }
    parts
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Lines, under what is whole where there is such a number.
pub(crate) fn lines(
    span: Span,
    times: &[u64],
    series: &[Series],
    whole: Option<f64>,
    say: &dyn Fn(f64) -> String,
) -> Markup {
    let all = series.iter().map(|one| largest(&one.values));
    let top = nice(all.fold(whole.unwrap_or(10.0), f64::max));
    html! {
        (frame(span, top, say, html! {
            @if let Some(whole) = whole {
                @let y = number(scale(whole, top));
                line class="limit node" x1=(LEFT) x2=(span.width) y1=(y) y2=(y) {}
            }
            @for one in series {
                @for piece in span.pieces(times) {
                    @for piece in numbers(&one.values, piece, f64::INFINITY) {
                        @let points: Vec<String> = piece.map(|at| point(span.x(times[at]), scale(one.values[at], top))).collect();
                        polyline class={"line " (one.class)} points=(points.join(" ")) { title { (one.name) } }
                    }
                }
            }
        }))
        (legend(series))
    }
}

/// Strips of levels, 0 to 4, one a resource, with marks for what was done.
pub(crate) fn strips(
    span: Span,
    times: &[u64],
    strips: &[(&str, Vec<u8>)],
    marks: &[(u64, String, String)],
) -> Markup {
    let span = Span {
        width: WHOLE,
        ..span
    };
    const STRIP: f64 = 26.0;
    let names = ["none", "low", "medium", "high", "critical"];
    let height = TOP + STRIP * float(strips.len() as u64 + 1) + BELOW;
    html! {
        svg.strips viewBox=(format!("0 0 {WHOLE} {height}")) role="img" aria-label="pressure levels and actions" {
            @for (row, (name, levels)) in (0..).zip(strips) {
                @let y = TOP + float(row) * STRIP;
                text class="axis" x=(LEFT - 8.0) y=(y + 15.0) text-anchor="end" { (name) }
                @for piece in span.pieces(times) {
                    @for run in runs(levels, piece.clone()) {
                        @let from = span.x(times[run.start]);
                        @let to = if run.end < piece.end { span.x(times[run.end]) } else { span.x(times[run.end - 1]).max(from + 2.0) };
                        rect class={"level" (levels[run.start])} x=(number(from)) y=(y) width=(number(to - from)) height=(STRIP - 5.0) {
                            title { (name) ": " (names[usize::from(levels[run.start].min(4))]) }
                        }
                    }
                }
            }
            @let y = TOP + float(strips.len() as u64) * STRIP + 10.0;
            text class="axis" x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { "done" }
            @for (at, class, text) in marks {
                circle class={"mark " (class)} cx=(number(span.x(*at))) cy=(y) r="4.5" { title { (text) } }
            }
            (times_axis(span, height - BELOW))
        }
        p.legend {
            @for (level, name) in (0..).zip(names) { span { i class={"level" (level)} {} (name) } }
            span { i.killed {} "a kill" }
        }
    }
}

/// Moments of one level after another.
fn runs(levels: &[u8], piece: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::new();
    let mut begin = piece.start;
    for at in piece.start + 1..=piece.end {
        if at == piece.end || levels[at] != levels[begin] {
            runs.push(begin..at);
            begin = at;
        }
    }
    runs
}

fn frame(span: Span, top: f64, say: &dyn Fn(f64) -> String, inside: Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            @for step in 0..=4u8 {
                @let value = top * f64::from(step) / 4.0;
                @let y = scale(value, top);
                line class="grid" x1=(LEFT) x2=(WIDTH) y1=(number(y)) y2=(number(y)) {}
                text class="axis" x=(LEFT - 8.0) y=(number(y + 4.0)) text-anchor="end" { (say(value)) }
            }
            (inside)
            (times_axis(span, HEIGHT - BELOW))
        }
    }
}

/// Four to nine marks at times that people count by.
fn times_axis(span: Span, y: f64) -> Markup {
    const STEPS: [u64; 10] = [5, 15, 30, 60, 300, 600, 1_800, 3_600, 7_200, 21_600];
    let long = span.to.saturating_sub(span.from) / 1_000;
    let step = STEPS
        .into_iter()
        .find(|step| long / step <= 8)
        .unwrap_or(86_400)
        * 1_000;
    let first = span.from.div_ceil(step) * step;
    let marks = (0..9).map(|n| first + n * step).filter(|at| *at <= span.to);
    html! {
        @for at in marks {
            @let x = span.x(at);
            line class="tick" x1=(number(x)) x2=(number(x)) y1=(y) y2=(y + 4.0) {}
            text class="axis" x=(number(x.min(span.width - 26.0))) y=(y + 17.0) text-anchor="middle" { (time(at, step < 60_000)) }
        }
    }
}

fn legend(series: &[Series]) -> Markup {
    html! {
        p.legend {
            @for one in series.iter().rev() { span { i class={"area " (one.class)} {} (one.name) } }
        }
    }
}

/// The time of the day, UTC.
pub(crate) fn time(at: u64, seconds: bool) -> String {
    let at = at / 1_000;
    let minutes = format!("{:02}:{:02}", at / 3_600 % 24, at / 60 % 60);
    match seconds {
        true => format!("{minutes}:{:02}", at % 60),
        false => minutes,
    }
}

fn scale(value: f64, top: f64) -> f64 {
    let high = HEIGHT - BELOW - TOP;
    TOP + high - (value / top).clamp(0.0, 1.0) * high
}

/// The next number above that divides well by four.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(most.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    steps
        .into_iter()
        .map(|s| s * power)
        .find(|top| *top >= most * 0.999)
        .unwrap_or(most)
}

fn point(x: f64, y: f64) -> String {
    format!("{x:.1},{y:.1}")
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

pub(crate) fn float(n: u64) -> f64 {
    packrank_monitor::snapshot::float(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_gap() {
        let span = Span::new(0, 100, 20);
        assert_eq!(span.pieces(&[0, 10, 20, 60, 70]), [0..3, 3..5]);
        assert!(span.pieces(&[]).is_empty());
        assert_eq!(runs(&[1, 1, 2, 2, 1], 1..5), [1..2, 2..4, 4..5]);
    }

    #[test]
    fn what_is_no_number_or_too_large_is_not_drawn() {
        let values = [1.0, f64::NAN, 2.0, 3.0, 9.0, 1.0];
        assert_eq!(numbers(&values, 0..6, 5.0), [0..1, 2..4, 5..6]);
        assert!(numbers(&values, 1..2, 5.0).is_empty());
    }

    #[test]
    fn a_limit_far_above_all_use_does_not_flatten_it() {
        let allowed = |most: f64| Limit::Allowed(vec![1.0, most], String::new());
        assert_eq!(shown(10.0, &[allowed(40.0)]), 40.0);
        assert_eq!(shown(10.0, &[allowed(41.0)]), 10.0);
        let node = Limit::Node(20.0, String::new());
        assert_eq!(shown(10.0, &[node, allowed(41.0)]), 41.0);
        let times = [0, 10];
        let at = |most| drawn(Span::new(0, 10, 5), &times, &allowed(most), 10.0).into_string();
        assert!(at(99.0).contains("↑") && !at(9.0).contains("↑"));
    }

    #[test]
    fn scales_end_above_what_they_show() {
        for most in [0.0, 0.003, 1.0, 1.9, 7.0, 25.0, 99.0, 101.0, 1e9] {
            let top = nice(most);
            assert!(
                top >= most * 0.999 && (most == 0.0 || top <= most * 2.0),
                "{most}: {top}"
            );
        }
    }
}
