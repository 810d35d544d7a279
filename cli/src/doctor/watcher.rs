//! The packs that run, and who watches them.
//!
//! In: the records, the watcher's answer, the cgroups above the packs. Out: a
//! line each on what is not as it should be while they run: a record that
//! cannot be read, nobody who reacts to pressure, weights that do not compare,
//! guarantees that the parents do not have, and what the dead left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use packrank_core::key::Key;
use packrank_core::quantity::ShowBytes;
use packrank_core::record::{GuaranteeFile, Packs, Record, UNIFIED};
use packrank_monitor::ask::{AskError, Told, Watcher};
use packrank_shim::attach::watcher::UNIT;
use packrank_shim::attach::{RUN_FOLDER, left, running};

use super::{Finding, Mark, Patient, finding};
use crate::pause::socket;
use crate::program::ask;

/// systemd has answered by then, or does not.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    if !patient.own {
        return Vec::new();
    }
    let run = Path::new(RUN_FOLDER);
    let (alive, mut found) = packs(&Packs::under(run), &left(run));
    let told = Watcher::connect(&socket(run)).and_then(|mut watcher| watcher.node());
    found.extend(watched(&told, alive.len(), masked()));
    found.extend(guarantees(&patient.roots.sys.join("fs/cgroup"), &alive));
    found
}

/// Those that run, and what of the records is not right.
fn packs(packs: &Packs, left: &[String]) -> (Vec<Record>, Vec<Finding>) {
    let all = match packs.all() {
        Ok(all) => all,
        Err(error) => {
            let says = format!("{error}: run as root to see what runs");
            return (Vec::new(), vec![finding(Mark::Note, "packs", says)]);
        }
    };
    let mut found = Vec::new();
    let mut alive = Vec::new();
    for (_, record) in all {
        match record {
            Ok(record) if running::alive(&record) => alive.push(record),
            Ok(_) => {}
            Err(error) => {
                let says = format!("{error}: its container is limited, and nobody watches it");
                found.push(finding(Mark::Lack, "record", says));
            }
        }
    }
    let says = match alive.len() {
        0 => "none runs".to_owned(),
        one_or_more => format!("{one_or_more} of a class"),
    };
    found.insert(0, finding(Mark::Ok, "packs", says));
    if let Some(first) = left.first() {
        let says = format!(
            "{} of containers that are gone ({first}): packrank gc removes it",
            left.len()
        );
        found.push(finding(Mark::Note, "left behind", says));
    }
    (alive, found)
}

/// Who reacts to pressure, and what it says of the node.
fn watched(told: &Result<Told, AskError>, packs: usize, masked: bool) -> Vec<Finding> {
    let name = "watcher";
    let told = match told {
        Ok(told) => told,
        Err(AskError::NoWatcher { .. }) => {
            let cost = match masked {
                true => "its unit is masked, so nobody reacts to pressure",
                false if packs > 0 => "does not run: nobody reacts to pressure",
                false => "starts with the first pack, and ends after the last",
            };
            let mark = match packs > 0 {
                true => Mark::Lack,
                false => Mark::Note,
            };
            return vec![finding(mark, name, cost)];
        }
        Err(error) => return vec![finding(Mark::Lack, name, error.to_string())],
    };
    let levels = told
        .pressure
        .all()
        .map(|(of, level)| format!("{of} {level}"));
    let mut found = vec![match told.paused {
        true => finding(
            Mark::Note,
            name,
            "is paused, and touches nothing until packrank resume",
        ),
        false => finding(
            Mark::Ok,
            name,
            format!("runs, {}; pressure: {}", told.version, levels.join(", ")),
        ),
    }];
    let notes = told.notes.iter();
    found.extend(notes.map(|note| finding(Mark::Note, name, note.clone())));
    if !told.incomparable.is_empty() {
        let says = format!(
            "do not compare across parents: {}",
            told.incomparable.join("; ")
        );
        found.push(finding(Mark::Lack, "weights", says));
    }
    found
}

/// Whether the watcher's unit is masked.
fn masked() -> bool {
    let mut command = Command::new("systemctl");
    let asked = ask(command.args(["is-enabled", UNIT]), PATIENCE);
    asked.is_ok_and(|answer| answer.said.starts_with("masked"))
}

/// Whether every cgroup above the packs has what they use of their guarantees:
/// one that has less makes the guarantees worth as little. What they came to
/// use since the watcher's last look, up to a third more, is no lack.
fn guarantees(root: &Path, alive: &[Record]) -> Option<Finding> {
    let mut promised: BTreeMap<(PathBuf, &str), u64> = BTreeMap::new();
    for record in alive {
        let file = match record.guarantee_file {
            GuaranteeFile::Min => "memory.min",
            GuaranteeFile::Low => "memory.low",
        };
        let own = record.cgroups.get(UNIFIED);
        let own = own.and_then(|path| path.strip_prefix("/").ok());
        let Some((path, bytes)) = own.and_then(|path| {
            record.amount(Key::MemoryGuarantee)?;
            let own = root.join(path);
            let promised = value(&own.join(file))?;
            let used = value(&own.join("memory.current")).unwrap_or(promised);
            Some((path, promised.min(used)))
        }) else {
            continue;
        };
        let above = path.ancestors().skip(1);
        for above in above.take_while(|above| *above != Path::new("")) {
            let sum = promised.entry((above.to_owned(), file)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    let short = promised.iter().find_map(|((above, file), sum)| {
        let has = value(&root.join(above).join(file))?;
        let lacks = has < sum - sum / 4;
        lacks.then(|| format!(
            "/{} has {file} {} for {} that packs below it use of their guarantees: that much holds",
            above.display(),
            ShowBytes(has),
            ShowBytes(*sum)
        ))
    });
    match short {
        Some(says) => Some(finding(Mark::Lack, "guarantees", says)),
        None if promised.values().any(|sum| *sum > 0) => Some(finding(
            Mark::Ok,
            "guarantees",
            "every parent has what the packs below it use of their guarantees",
        )),
        None => None,
    }
}

/// A protection in bytes; `max` is all there is.
fn value(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    match text.trim() {
        "max" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packrank_monitor::ask::Levels;
    use serde_json::json;

    fn says(found: &[Finding]) -> Vec<(Mark, &str)> {
        found.iter().map(|f| (f.mark, f.says.as_str())).collect()
    }

    fn record(id: &str, cgroup: &str) -> Record {
        let pid = std::process::id();
        let started = fs::read_to_string("/proc/self/stat").unwrap();
        let started: u64 = started.rsplit(' ').nth(30).unwrap().parse().unwrap();
        serde_json::from_value(json!({
            "version": 1, "id": id, "priority": "high", "pid": pid, "started": started,
            "bundle": "/", "engine": "/", "cgroups": { "unified": cgroup },
            "settings": { "memory.guarantee": 1 << 20 }
        }))
        .unwrap()
    }

    #[test]
    fn nobody_watches_matters_only_beside_packs() {
        let nobody = || {
            Err(AskError::NoWatcher {
                socket: PathBuf::new(),
            })
        };
        for (packs, masked, mark, part) in [
            (0, false, Mark::Note, "starts with the first pack"),
            (2, false, Mark::Lack, "nobody reacts to pressure"),
            (0, true, Mark::Note, "is masked"),
            (2, true, Mark::Lack, "is masked"),
        ] {
            let found = watched(&nobody(), packs, masked);
            assert_eq!((found.len(), found[0].mark), (1, mark));
            assert!(found[0].says.contains(part), "{}", found[0].says);
        }
        let silent = watched(&Err(AskError::Refused("no".to_owned())), 0, false);
        assert_eq!(says(&silent), [(Mark::Lack, "no")]);
    }

    #[test]
    fn what_the_watcher_says_is_passed_on() {
        let level = || "none".to_owned();
        let mut told = Told {
            version: "9.9".to_owned(),
            pressure: Levels {
                memory: "high".to_owned(),
                cpu: level(),
                io: level(),
            },
            ..Told::default()
        };
        let runs = watched(&Ok(told.clone()), 1, false);
        let line = "runs, 9.9; pressure: memory high, cpu none, io none";
        assert_eq!(says(&runs), [(Mark::Ok, line)]);
        told.paused = true;
        told.notes = vec!["no psi".to_owned()];
        told.incomparable = vec!["/a: high".to_owned(), "/b: low".to_owned()];
        let found = watched(&Ok(told), 1, false);
        assert_eq!(
            says(&found),
            [
                (
                    Mark::Note,
                    "is paused, and touches nothing until packrank resume"
                ),
                (Mark::Note, "no psi"),
                (
                    Mark::Lack,
                    "do not compare across parents: /a: high; /b: low"
                ),
            ]
        );
    }

    #[test]
    fn a_damaged_record_and_what_is_left_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let packs_folder = Packs::under(folder.path());
        packs_folder.write(&record("one", "/a/b")).unwrap();
        let mut gone = record("two", "/a/c");
        gone.started += 1;
        packs_folder.write(&gone).unwrap();
        let damaged = packs_folder.path("three");
        packs_folder.write(&record("three", "/a/d")).unwrap();
        fs::write(&damaged, "{").unwrap();
        // The machine's own network may hold what others left.
        let mut left = left(folder.path());
        left.retain(|line| line.starts_with("record"));
        left.sort_unstable();
        // No process is left in a cgroup of the damaged one's name.
        assert_eq!(left, ["record of three", "record of two"]);
        let (alive, found) = packs(&packs_folder, &left);
        assert_eq!(alive.len(), 1);
        let marks: Vec<_> = found.iter().map(|f| (f.mark, f.name)).collect();
        let wanted = [
            (Mark::Ok, "packs"),
            (Mark::Lack, "record"),
            (Mark::Note, "left behind"),
        ];
        assert_eq!(marks, wanted);
        assert!(found[1].says.contains("is damaged"), "{}", found[1].says);
        assert!(
            found[2].says.contains("record of three"),
            "{}",
            found[2].says
        );
    }

    #[test]
    fn a_parent_without_what_is_promised_under_it() {
        let root = tempfile::tempdir().unwrap();
        let put = |cgroup: &str, low: &str| {
            let folder = root.path().join(cgroup);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.low"), low).unwrap();
        };
        let alive = [record("one", "/top.slice/a"), record("two", "/top.slice/b")];
        assert!(guarantees(root.path(), &alive).is_none());
        put("top.slice/a", "1048576\n");
        put("top.slice/b", "1048576\n");
        for (top, mark) in [
            ("1048576\n", Mark::Lack),
            ("2097152\n", Mark::Ok),
            ("max\n", Mark::Ok),
        ] {
            put("top.slice", top);
            let found = guarantees(root.path(), &alive).unwrap();
            assert_eq!(found.mark, mark, "{}", found.says);
        }
        // A promise of which next to nothing is used needs next to nothing.
        put("top.slice", "1048576\n");
        fs::write(root.path().join("top.slice/a/memory.current"), "4096\n").unwrap();
        let found = guarantees(root.path(), &alive).unwrap();
        assert_eq!(found.mark, Mark::Ok, "{}", found.says);
    }
}
