//! The merged policy.
//!
//! In: a policy. Out: a policy file that says the same, with the place of
//! each value behind it. Reading it back gives the same policy.

use std::io::{self, Write};

use packrank_core::Priority;
use packrank_core::key::{Key, Unit};
use packrank_core::policy::{Location, Policy, Ruled};
use packrank_core::value::Value;

use crate::terminal::{BOLD, DIM};

/// Where the comments stand: behind the longest line but a few.
const COMMENT_COLUMN: usize = 40;

/// Writes it all, highest class first, as the built-in file has it.
pub(super) fn write(out: &mut dyn Write, policy: &Policy) -> io::Result<()> {
    writeln!(out, "mode = {:?}", policy.mode.name())?;
    writeln!(out, "strict = {}", policy.strict)?;
    match policy.default_class {
        Some(class) => writeln!(out, "default-class = {:?}", class.name())?,
        None => writeln!(out, "# default-class is not set")?,
    }
    if let Some(engine) = &policy.engine {
        heading(out, "[engine]")?;
        writeln!(out, "path = {}", quote(&engine.display().to_string()))?;
    }
    for class in Priority::ALL.into_iter().rev() {
        let file = policy.guarantee_file(class).name();
        let file = format!("memory.guarantee-file = {file:?}");
        profile(out, "class", class, &[file], |key| policy.class(class, key))?;
    }
    for class in Priority::ALL.into_iter().rev() {
        profile(out, "ceiling", class, &[], |key| policy.ceiling(class, key))?;
        profile(out, "floor", class, &[], |key| policy.floor(class, key))?;
    }
    for grant in policy.grants() {
        heading(out, "[[grant]]")?;
        place(out, "", Some(&grant.from))?;
        for (key, pattern) in grant.conditions() {
            match pattern {
                Some(pattern) => writeln!(out, "{key} = {}", quote(&pattern))?,
                None => writeln!(out, "{key} = true")?,
            }
        }
        writeln!(out, "highest = {:?}", grant.highest.name())?;
        if let Some(mode) = grant.mode {
            writeln!(out, "mode = {:?}", mode.name())?;
        }
    }
    for limits in policy.namespace_limits() {
        heading(out, "[[limits]]")?;
        writeln!(out, "namespace = {}", quote(&limits.namespace()))?;
        for (name, profile) in [("min", &limits.min), ("max", &limits.max)] {
            for (key, ruled) in profile {
                setting(out, &format!("{name}.{key}"), *key, ruled)?;
            }
        }
    }
    match policy.watch_texts().count() {
        0 => Ok(()),
        files => writeln!(
            out,
            "\n# [watch], which packrank-watcher reads, stands in {files} file(s)"
        ),
    }
}

fn profile<'p>(
    out: &mut dyn Write,
    kind: &str,
    class: Priority,
    more: &[String],
    ruled: impl Fn(Key) -> Option<&'p Ruled>,
) -> io::Result<()> {
    let settings: Vec<(Key, &Ruled)> = Key::all().filter_map(|k| Some((k, ruled(k)?))).collect();
    if settings.is_empty() {
        return Ok(());
    }
    heading(out, &format!("[{kind}.{class}]"))?;
    for (key, ruled) in settings {
        setting(out, key.name(), key, ruled)?;
    }
    more.iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn setting(out: &mut dyn Write, name: &str, key: Key, ruled: &Ruled) -> io::Result<()> {
    let text = format!("{name} = {}", toml(key, &ruled.value));
    place(out, &text, ruled.from.as_ref())
}

/// The value as policy files have it: numbers bare, all else in quotes.
fn toml(key: Key, value: &Value) -> String {
    let written = value.written(key);
    let number = matches!(value, Value::Number(_)) && key.unit() != Unit::PercentOfCpu;
    match value {
        Value::Switch(_) | Value::Score(_) => written,
        Value::Files { soft, hard } => format!("[{soft}, {hard}]"),
        _ if number && written.bytes().all(|b| b.is_ascii_digit()) => written,
        _ => quote(&written),
    }
}

/// A line and, where a file wrote it, its place.
fn place(out: &mut dyn Write, line: &str, from: Option<&Location>) -> io::Result<()> {
    match from {
        Some(from) if line.is_empty() => writeln!(out, "{DIM}# {from}{DIM:#}"),
        Some(from) => writeln!(out, "{line:COMMENT_COLUMN$} {DIM}# {from}{DIM:#}"),
        None => writeln!(out, "{line}"),
    }
}

fn heading(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "\n{BOLD}{text}{BOLD:#}")
}

/// A TOML basic string: JSON's escapes are among TOML's.
fn quote(text: &str) -> String {
    packrank_core::spec::quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(policy: &Policy) -> String {
        let mut out = Vec::new();
        write(&mut out, policy).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn the_listing_is_a_policy_file_that_says_the_same() {
        let mut policy = Policy::built_in().unwrap();
        let text = "mode = \"audit\"\nstrict = true\ndefault-class = \"low\"\n[engine]\npath = \"/x\"\n\
            [class.low]\nmemory.limit = 1000\ncpu.quota = \"12.5%\"\npids = \"unlimited\"\n\
            cpu.affinity = \"last 25%\"\nmemory.guarantee-file = \"memory.min\"\n\
            [ceiling.low]\nmemory.limit = \"1Gi\"\n[floor.high]\nmemory.high = \"80%\"\n\
            [[grant]]\nnamespace = \"a-*\"\npod-label.\"x/y\".z = \"\\\"q*\"\nannotation.k = \"v\"\nhighest = \"high\"\nmode = \"off\"\n\
            [[limits]]\nnamespace = \"t\"\nmin.memory.limit = \"8Mi\"\nmax.pids = 7\n";
        let text = text.replace("limit = 1000", "limit = 5000001");
        policy.merge("p.toml", &text).unwrap();
        let listed = listing(&policy);
        assert!(
            listed.contains("\nmemory.limit = 5000001                   # p.toml:7\n"),
            "{listed}"
        );
        // The built-in grants come again when it is laid on the built-in
        // policy; all else is as it was.
        let mut again = Policy::built_in().unwrap();
        again.merge("p.toml", &listed).unwrap();
        for class in Priority::ALL {
            assert_eq!(policy.guarantee_file(class), again.guarantee_file(class));
            for key in Key::all() {
                let value = |ruled: Option<&Ruled>| ruled.map(|r| r.value.clone());
                assert_eq!(
                    value(policy.class(class, key)),
                    value(again.class(class, key))
                );
                assert_eq!(
                    value(policy.ceiling(class, key)),
                    value(again.ceiling(class, key))
                );
                assert_eq!(
                    value(policy.floor(class, key)),
                    value(again.floor(class, key))
                );
            }
        }
        let grants = |policy: &Policy| {
            let grant = |g: &packrank_core::policy::Grant| {
                (g.highest, g.mode, g.conditions().collect::<Vec<_>>())
            };
            policy
                .grants()
                .iter()
                .map(grant)
                .take(4)
                .collect::<Vec<_>>()
        };
        assert_eq!(grants(&policy), grants(&again));
        assert_eq!(again.namespace_limits().len(), 1);
        assert_eq!((again.mode, again.strict), (policy.mode, policy.strict));
    }
}
