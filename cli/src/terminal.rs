//! A person's terminal: how wide, in which colours, and safe from what stands
//! in other people's files.
//!
//! In: texts and columns. Out: lines on stdout. Colours are for terminals
//! only, and never where NO_COLOR is set: anstream takes them out.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use packrank_core::plain::lines;
pub(crate) use packrank_core::plain::plain;
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// What most terminals have, and what a pipe gets.
const USUAL_WIDTH: usize = 80;

/// Longer lines are hard to read.
const WIDEST: usize = 120;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();

/// Columns of the terminal on stdout.
pub(crate) fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
        .clamp(USUAL_WIDTH, WIDEST)
}

/// One field of a row.
pub(crate) struct Cell<'t> {
    pub text: &'t str,
    pub width: usize,
    pub style: Style,
}

/// Writes a row; a text that does not fit its column goes on below.
pub(crate) fn row(out: &mut dyn Write, cells: &[Cell<'_>]) -> io::Result<()> {
    const GAP: usize = 2;
    let wrapped: Vec<Vec<String>> = cells.iter().map(|c| wrap(c.text, c.width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut gap = 0;
        for (cell, lines) in cells.iter().zip(&wrapped) {
            let text = lines.get(line).map_or("", String::as_str);
            if !text.is_empty() {
                write!(out, "{:gap$}{}{text}{:#}", "", cell.style, cell.style)?;
                gap = 0;
            }
            gap += GAP + cell.width - display_width(text).min(cell.width);
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Lines of at most `width` columns, with nothing hostile in them.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width).word_splitter(WordSplitter::NoHyphenation);
    let text = plain(text);
    let lines = textwrap::wrap(&text, options);
    lines.into_iter().map(|line| line.into_owned()).collect()
}

/// A paragraph, its first line behind `mark` and the others below its text.
pub(crate) fn item(out: &mut dyn Write, mark: &str, text: &str) -> io::Result<()> {
    let indent = display_width(mark);
    for (index, line) in wrap(text, width() - indent).iter().enumerate() {
        let mark = if index == 0 { mark } else { "" };
        writeln!(out, "{mark:indent$}{line}")?;
    }
    Ok(())
}

/// Writes the answer; a reader that has gone away (`| head`) is no error.
pub(crate) fn print(
    status: ExitCode,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> ExitCode {
    let mut out = anstream::stdout();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => status,
    }
}

/// Says what is wrong.
pub(crate) fn fail(error: &dyn Display) -> ExitCode {
    tell(error);
    ExitCode::FAILURE
}

/// A line of ours on stderr.
pub(crate) fn tell(what: &dyn Display) {
    // Nobody is left to hear of a stderr that cannot be written.
    let _ = writeln!(io::stderr(), "packrank: {}", lines(&what.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_stay_in_their_column() {
        let cell = |text, width| Cell {
            text,
            width,
            style: Style::new(),
        };
        let mut out = Vec::new();
        row(
            &mut out,
            &[cell("a", 3), cell("", 2), cell("one two three", 7)],
        )
        .unwrap();
        row(&mut out, &[cell("é", 3), cell("x", 2)]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a        one two\n         three\né    x\n");
    }
}
