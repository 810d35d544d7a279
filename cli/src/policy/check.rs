//! A policy file that reads well: what it sets, and what is unwise in it.
//!
//! In: the built-in policy with the file on top. Out: warnings, then `ok` and
//! a summary.

use std::io::{self, Write};

use packrank_core::Priority;
use packrank_core::key::Key;
use packrank_core::policy::{Location, Policy, Ruled};
use packrank_core::value::Value;

use crate::terminal::{GREEN, YELLOW, item};

/// The score at which the kernel never kills.
const NEVER: Value = Value::Score(-1000);

/// Measured on Linux 6.12 with cgroup v2 and a memory.max of 64 MiB.
const NEVER_KILLED: &str = "at -1000 a process that runs into its own memory limit is never killed: measured on Linux 6.12, 1886 oom events in 8 s, no kill, and a whole core burnt in the kernel for minutes; at -999 it is killed at once, and is still the last on the node";

struct Warning {
    place: String,
    text: String,
}

/// Writes what there is to say of the file `name`.
pub(super) fn write(out: &mut dyn Write, name: &str, policy: &Policy) -> io::Result<()> {
    for warning in warnings(policy) {
        let Warning { place, text } = warning;
        writeln!(out, "{YELLOW}{place}: warning:{YELLOW:#}")?;
        item(out, "  ", &text)?;
    }
    writeln!(out, "{name}: {GREEN}ok{GREEN:#}")?;
    for line in summary(policy) {
        item(out, "  ", &line)?;
    }
    Ok(())
}

fn at(from: &Location, kind: &str, class: Priority, key: Key) -> String {
    format!("{from}: {kind}.{class}.{key}")
}

fn warnings(policy: &Policy) -> Vec<Warning> {
    let mut found = Vec::new();
    for class in Priority::ALL.into_iter().rev() {
        let own = |key| policy.class(class, key);
        let ceiling = |key| policy.ceiling(class, key);
        for (kind, score) in [
            ("class", own(Key::OomScore)),
            ("ceiling", ceiling(Key::OomScore)),
        ] {
            if let Some((from, &NEVER)) = written(score) {
                found.push(Warning {
                    place: at(from, kind, class, Key::OomScore),
                    text: NEVER_KILLED.to_owned(),
                });
            }
        }
        for key in Key::all() {
            let (Some(own), Some((from, most))) = (own(key), written(ceiling(key))) else {
                continue;
            };
            if own.value.exceeds(most, key) {
                found.push(Warning {
                    place: at(from, "ceiling", class, key),
                    text: format!(
                        "below what the class itself gets, {}: an annotation may ask for no more than {}",
                        own.value.show(key),
                        most.show(key)
                    ),
                });
            }
        }
        let (guarantee, limit) = (own(Key::MemoryGuarantee), own(Key::MemoryLimit));
        if let (Some(guarantee), Some(limit)) = (guarantee, limit)
            && let Some(from) = guarantee.from.as_ref().or(limit.from.as_ref())
            && guarantee.value.exceeds(&limit.value, Key::MemoryGuarantee)
        {
            found.push(Warning {
                place: at(from, "class", class, Key::MemoryGuarantee),
                text: format!(
                    "{} is guaranteed above memory.limit, {}: containers get no more than the limit",
                    guarantee.value.show(Key::MemoryGuarantee),
                    limit.value.show(Key::MemoryLimit)
                ),
            });
        }
    }
    found
}

/// Place and value, where a file wrote it.
fn written(ruled: Option<&Ruled>) -> Option<(&Location, &Value)> {
    ruled.and_then(|r| Some((r.from.as_ref()?, &r.value)))
}

/// What the file sets, one line each.
fn summary(policy: &Policy) -> Vec<String> {
    let mut lines = vec![format!(
        "mode {}{}, {}",
        policy.mode.name(),
        if policy.strict { ", strict" } else { "" },
        match policy.default_class {
            Some(class) => format!("default class {class}"),
            None => "no default class".to_owned(),
        }
    )];
    if let Some(engine) = &policy.engine {
        lines.push(format!("engine {}", engine.display()));
    }
    for class in Priority::ALL.into_iter().rev() {
        let count = |ruled: &dyn Fn(Key) -> bool| Key::all().filter(|key| ruled(*key)).count();
        let counts = [
            (
                count(&|k| written(policy.class(class, k)).is_some()),
                "setting",
            ),
            (count(&|k| policy.ceiling(class, k).is_some()), "ceiling"),
            (count(&|k| policy.floor(class, k).is_some()), "floor"),
        ];
        let counts = counts.into_iter().filter(|(n, _)| *n > 0);
        let counts: Vec<String> = counts.map(|(n, what)| plural(n, what)).collect();
        if !counts.is_empty() {
            lines.push(format!("class {class}: {}", counts.join(", ")));
        }
    }
    let built_in = Policy::built_in().map_or(0, |built_in| built_in.grants().len());
    let grants = policy.grants().len().saturating_sub(built_in);
    let limits = policy.namespace_limits().len();
    for (n, what) in [(grants, "grant"), (limits, "namespace limit")] {
        if n > 0 {
            lines.push(plural(n, what));
        }
    }
    lines
}

fn plural(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
