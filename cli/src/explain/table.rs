//! The plan for people.
//!
//! In: what was explained. Out: a heading and a table, in the terminal's width
//! (80 columns where there is no terminal). A setting that is left out has a
//! dash for its value.

use std::io::{self, Write};

use anstyle::Style;
use packrank_core::annotation::Quoted;
use packrank_core::place::Role;
use packrank_core::plan::Setting;
use packrank_shim::planning::Planned;
use textwrap::core::display_width;

use super::Explained;
use crate::terminal::{BOLD, Cell, DIM, YELLOW, item, plain, row, width};

/// Longer values (lists of CPUs) go on below.
const WIDEST_VALUE: usize = 16;

const LEFT_OUT: &str = "-";

/// The note above once more.
const DITTO: &str = "\"";

/// Writes it all.
pub(super) fn write(out: &mut dyn Write, explained: &Explained) -> io::Result<()> {
    let planned = match &explained.outcome {
        Err(reason) => return item(out, "", reason),
        Ok(planned) => planned,
    };
    heading(out, explained, planned)?;
    writeln!(out)?;
    settings(out, &planned.plan.settings)?;
    if !explained.notes.is_empty() {
        writeln!(out)?;
    }
    for note in &explained.notes {
        item(out, "note: ", note)?;
    }
    Ok(())
}

fn heading(out: &mut dyn Write, explained: &Explained, planned: &Planned) -> io::Result<()> {
    let rank = &planned.plan.rank;
    let (major, minor) = planned.host.kernel();
    let by = match rank.claimed.contains('/') {
        true => Quoted(rank.claimed.clone()).to_string(),
        false => rank.claimed.clone(),
    };
    let engine = match &explained.engine {
        Some(engine) => engine.display().to_string(),
        None => "not known".to_owned(),
    };
    let layout = planned.host.cgroups.layout.name();
    let mut line = |name: &str, text: &str| {
        write!(out, "{BOLD}{name:<8}{BOLD:#}")?;
        writeln!(out, "{}", plain(text))
    };
    line("class", &format!("{}, claimed by {by}", rank.priority))?;
    if let Some(place) = place(planned) {
        line("place", &place)?;
    }
    line("mode", rank.mode.name())?;
    line("engine", &engine)?;
    let whose = match planned.host.cgroups.delegated {
        true => "; without root, as an engine of this user's own",
        false => "",
    };
    line(
        "host",
        &format!("cgroup {layout}, Linux {major}.{minor}{whose}"),
    )
}

/// Which container of which pod; nothing outside Kubernetes.
fn place(planned: &Planned) -> Option<String> {
    let place = &planned.place;
    let what = match (place.role, &place.container) {
        (Role::Alone, _) => return None,
        (Role::Sandbox, _) => "sandbox".to_owned(),
        (Role::Container, Some(name)) => format!("container {name}"),
        (Role::Container, None) => "a container".to_owned(),
    };
    let pod = place.pod.as_deref().unwrap_or("of no name");
    let namespace = place.namespace.as_deref().unwrap_or_default();
    Some(format!("{what}, pod {pod}, namespace {namespace:?}"))
}

fn settings(out: &mut dyn Write, settings: &[Setting]) -> io::Result<()> {
    let shown = |setting: &Setting| match &setting.value {
        Some(value) => value.show(setting.key),
        None => LEFT_OUT.to_owned(),
    };
    let values: Vec<String> = settings.iter().map(shown).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>, heading: &str| {
        texts.max().unwrap_or(0).max(heading.len())
    };
    let keys = widest(&mut settings.iter().map(|s| s.key.name().len()), "KEY");
    let value = widest(&mut values.iter().map(|v| display_width(v)), "VALUE").min(WIDEST_VALUE);
    let origin = widest(&mut settings.iter().map(|s| s.origin.name().len()), "FROM");
    let note = width() - keys - value - origin - 6;
    let widths = [keys, value, origin, note];
    line(out, widths, ["KEY", "VALUE", "FROM", "NOTE"], [BOLD; 4])?;
    let mut above = "";
    for (setting, value) in settings.iter().zip(&values) {
        let plain = Style::new();
        let styles = match setting.value {
            Some(_) => [plain, plain, DIM, DIM],
            None => [YELLOW; 4],
        };
        let full = setting.note.as_deref().unwrap_or_default();
        let note = match std::mem::replace(&mut above, full) {
            above if above == full && !full.is_empty() => DITTO,
            _ => full,
        };
        let texts = [setting.key.name(), value, setting.origin.name(), note];
        line(out, widths, texts, styles)?;
    }
    Ok(())
}

fn line(
    out: &mut dyn Write,
    widths: [usize; 4],
    texts: [&str; 4],
    styles: [Style; 4],
) -> io::Result<()> {
    let cells: Vec<Cell<'_>> = widths
        .into_iter()
        .zip(texts)
        .zip(styles)
        .map(|((width, text), style)| Cell { text, width, style })
        .collect();
    row(out, &cells)
}
