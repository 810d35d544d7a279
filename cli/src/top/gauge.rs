//! Small drawings and short numbers.
//!
//! In: a number. Out: spans of a known width.

use packrank_core::Priority;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use textwrap::core::display_width;

use crate::terminal::plain;

pub(crate) const DIM: Style = Style::new().fg(Color::DarkGray);
pub(crate) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(crate) const FROZEN: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
pub(crate) const PLAIN: Style = Style::new();

/// Green while there is room, yellow when it gets close, red at the end: the
/// shares at which the alerts are.
pub(crate) fn heat(percent: f64) -> Style {
    Style::new().fg(match percent {
        p if p > 90.0 => Color::Red,
        p if p > 80.0 => Color::Yellow,
        _ => Color::Green,
    })
}

/// A bar of `width` columns.
pub(crate) fn bar(percent: f64, width: usize) -> Vec<Span<'static>> {
    let halves = halves(percent, width);
    let filled = format!(
        "{}{}",
        "━".repeat(halves / 2),
        if halves % 2 == 1 { "╸" } else { "" }
    );
    let rest = width - halves.div_ceil(2);
    vec![
        Span::styled(filled, heat(percent)),
        Span::styled("─".repeat(rest), DIM),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 to twice the width of a terminal"
)]
fn halves(percent: f64, width: usize) -> usize {
    let share = (percent / 100.0).clamp(0.0, 1.0) * width as f64 * 2.0;
    // Anything at all is seen.
    (share.round() as usize).max(usize::from(percent > 0.5))
}

/// A curve of percentages, the newest on the right.
pub(crate) fn curve(values: impl DoubleEndedIterator<Item = f64>, width: usize) -> Span<'static> {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut text: Vec<char> = values
        .rev()
        .take(width)
        .map(|percent| STEPS[halves(percent, 4).min(8).saturating_sub(1)])
        .collect();
    text.reverse();
    let text: String = text.into_iter().collect();
    Span::styled(format!("{text:>width$}"), Style::new().fg(Color::Cyan))
}

/// A number in at most four columns and a letter of powers of `base`.
pub(crate) fn short(number: f64, base: f64) -> String {
    let mut rest = number.max(0.0);
    for letter in ["", "K", "M", "G", "T", "P"] {
        if rest < 999.5 {
            return match rest {
                r if letter.is_empty() || r >= 99.5 => format!("{r:.0}{letter}"),
                r if r >= 9.95 => format!("{r:.0}{letter}"),
                r => format!("{r:.1}{letter}"),
            };
        }
        rest /= base;
    }
    "much".to_owned()
}

/// Whole percent; a point where nothing is worth saying.
pub(crate) fn percent(percent: f64) -> String {
    match percent {
        p if p < 0.5 => "·".to_owned(),
        p => format!("{p:.0}%"),
    }
}

/// Exactly `width` columns, cut with a mark where it is longer.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let text = plain(text);
    if display_width(&text) <= width {
        let rest = width - display_width(&text);
        return format!("{text}{}", " ".repeat(rest));
    }
    let mut cut = String::new();
    for c in text.chars() {
        if display_width(&cut) + display_width(&c.to_string()) + 1 > width {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    let rest = width.saturating_sub(display_width(&cut));
    format!("{cut}{}", " ".repeat(rest))
}

/// A class's colour, the same as in the dashboard and the report.
pub(crate) fn colour(class: Priority) -> Style {
    Style::new().fg(match class {
        Priority::Critical => Color::Magenta,
        Priority::High => Color::LightRed,
        Priority::Normal => Color::LightBlue,
        Priority::Low => Color::Green,
        Priority::Scavenger => Color::Gray,
    })
}

/// A pressure level's colour.
pub(crate) fn level(name: &str) -> Style {
    match name {
        "critical" | "high" => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        "medium" => Style::new().fg(Color::Yellow),
        "low" => Style::new().fg(Color::LightBlue),
        _ => DIM,
    }
}
