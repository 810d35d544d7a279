//! Whether two documents differ only where a rewrite may change them.
//!
//! In: the document before and after. Out: the first difference elsewhere.
//! Members are compared as the texts they are, found by serde_json alone.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// Path of an object, and those of its members that a rewrite may change.
const MAY_CHANGE: [(&[&str], &[&str]); 10] = [
    (&[], &["linux", "process", "annotations"]),
    (&["annotations"], &["packrank.io/priority"]),
    (
        &["process"],
        &[
            "oomScoreAdj",
            "ioPriority",
            "rlimits",
            "env",
            // Of a restricted one; see the module of that name.
            "noNewPrivileges",
            "capabilities",
            "user",
        ],
    ),
    (&["linux"], &["resources", "seccomp"]),
    (
        &["linux", "resources"],
        &[
            "memory",
            "cpu",
            "pids",
            "blockIO",
            "hugepageLimits",
            "unified",
        ],
    ),
    (
        &["linux", "resources", "memory"],
        &["limit", "swap", "reservation"],
    ),
    (
        &["linux", "resources", "cpu"],
        &["shares", "quota", "period", "burst", "cpus"],
    ),
    (&["linux", "resources", "pids"], &["limit"]),
    (
        &["linux", "resources", "blockIO"],
        &[
            "weight",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
        ],
    ),
    (
        &["linux", "resources", "unified"],
        &[
            "cpu.max",
            "cpu.max.burst",
            "cpu.idle",
            "cpu.weight",
            "cpu.weight.nice",
            "cpuset.cpus",
            "memory.max",
            "memory.high",
            "memory.swap.max",
            "memory.min",
            "memory.low",
            "memory.oom.group",
            "pids.max",
            "io.max",
            "io.weight",
            "io.bfq.weight",
            "hugetlb.2MB.max",
            "hugetlb.2MB.rsvd.max",
            "hugetlb.1GB.max",
            "hugetlb.1GB.rsvd.max",
        ],
    ),
];

type Members<'t> = HashMap<String, &'t RawValue>;

pub fn same_elsewhere(before: &str, after: &str) -> Result<(), String> {
    for (path, may_change) in MAY_CHANGE {
        let (Some(was), Some(is)) = (inside(before, path), inside(after, path)) else {
            continue;
        };
        for (name, value) in &was {
            let now = is.get(name).map(|v| v.get());
            if !may_change.contains(&name.as_str()) && now != Some(value.get()) {
                return Err(format!("{path:?} {name}: was {value}, is {now:?}"));
            }
        }
        let added = is
            .keys()
            .find(|n| !was.contains_key(*n) && !may_change.contains(&n.as_str()));
        if let Some(name) = added {
            return Err(format!("{path:?} {name}: was not there"));
        }
    }
    let expected = spliced(before, after);
    if expected != after {
        return Err(format!(
            "the bytes between the members changed: expected {expected}"
        ));
    }
    Ok(())
}

/// The object at the path; `None` where there is none.
fn inside<'t>(text: &'t str, path: &[&str]) -> Option<Members<'t>> {
    let mut members: Members<'t> = serde_json::from_str(text).ok()?;
    for name in path {
        members = serde_json::from_str(members.get(*name)?.get()).ok()?;
    }
    Some(members)
}

/// `before`, with the top members that may change taken from `after`.
fn spliced(before: &str, after: &str) -> String {
    let (was, is): (Members<'_>, Members<'_>) = (
        serde_json::from_str(before).unwrap(),
        serde_json::from_str(after).unwrap(),
    );
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut added = String::new();
    let mut empty = was.is_empty();
    for name in MAY_CHANGE[0].1 {
        let Some(new) = is.get(*name) else { continue };
        match was.get(*name) {
            Some(old) => {
                let start = old.get().as_ptr() as usize - before.as_ptr() as usize;
                edits.push((start, start + old.get().len(), new.get().to_owned()));
            }
            None => {
                let comma = if std::mem::take(&mut empty) { "" } else { "," };
                added.push_str(&format!("{comma}\"{name}\":{}", new.get()));
            }
        }
    }
    edits.sort();
    let mut text = before.to_owned();
    // Behind the last member, or behind the brace where there was none.
    let ends = was
        .values()
        .map(|v| v.get().as_ptr() as usize - before.as_ptr() as usize + v.get().len());
    let end = ends.max().unwrap_or_else(|| before.find('{').unwrap() + 1);
    text.insert_str(end, &added);
    for (start, end, new) in edits.into_iter().rev() {
        text.replace_range(start..end, &new);
    }
    text
}
