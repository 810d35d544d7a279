//! What was found, for people and for programs.
//!
//! In: findings by group. Out: lines with a mark, or one JSON object.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use super::{Group, Mark};
use crate::terminal::{BOLD, Cell, GREEN, RED, YELLOW, row, width};

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Note => "note",
            Mark::Lack => "lack",
        }
    }

    fn style(self) -> Style {
        match self {
            Mark::Ok => GREEN,
            Mark::Note => YELLOW,
            Mark::Lack => RED,
        }
    }
}

const MARK_WIDTH: usize = 4;

/// Writes a line for each finding, and the sum of them.
pub(super) fn table(out: &mut dyn Write, groups: &[Group], ready: bool) -> io::Result<()> {
    let all = || groups.iter().flat_map(|group| &group.findings);
    let names = all().map(|f| f.name.len()).max().unwrap_or(0);
    for group in groups.iter().filter(|g| !g.findings.is_empty()) {
        writeln!(out, "{BOLD}{}{BOLD:#}", group.name)?;
        for finding in &group.findings {
            let style = match finding.mark {
                Mark::Lack => RED,
                _ => Style::new(),
            };
            let cells = [
                Cell {
                    text: "",
                    width: 0,
                    style,
                },
                Cell {
                    text: finding.mark.name(),
                    width: MARK_WIDTH,
                    style: finding.mark.style(),
                },
                Cell {
                    text: finding.name,
                    width: names,
                    style,
                },
                Cell {
                    text: &finding.says,
                    width: width() - names - MARK_WIDTH - 6,
                    style: Style::new(),
                },
            ];
            row(out, &cells)?;
        }
        writeln!(out)?;
    }
    let count = |mark| all().filter(|f| f.mark == mark).count();
    let verdict = match ready {
        true => "containers can be ranked here",
        false => "no container can be created here",
    };
    let (ok, notes, lacks) = (count(Mark::Ok), count(Mark::Note), count(Mark::Lack));
    writeln!(out, "{verdict}: {ok} ok, {notes} note, {lacks} lack")
}

#[derive(Serialize)]
struct Answer<'f> {
    ready: bool,
    findings: Vec<FindingJson<'f>>,
}

#[derive(Serialize)]
struct FindingJson<'f> {
    group: &'static str,
    name: &'static str,
    mark: &'static str,
    says: &'f str,
}

/// Writes the object.
pub(super) fn json(out: &mut dyn Write, groups: &[Group], ready: bool) -> io::Result<()> {
    let findings = groups.iter().flat_map(|group| {
        group.findings.iter().map(|finding| FindingJson {
            group: group.name,
            name: finding.name,
            mark: finding.mark.name(),
            says: &finding.says,
        })
    });
    let findings = findings.collect();
    serde_json::to_writer_pretty(&mut *out, &Answer { ready, findings })?;
    writeln!(out)
}
