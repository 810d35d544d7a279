//! The engines, and the one that would be used.
//!
//! In: PATH and the policy. Out: each engine with its version, what is known
//! of it on a host like this, and whether any could run a container.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use packrank_core::host::Layout;
use packrank_core::policy::{LoadError, Policy};
use packrank_shim::engine::{self, KNOWN};

use super::{Finding, Mark, Patient, finding};
use crate::program::{ask, number};

/// An engine that has not told its version by then will not.
const PATIENCE: Duration = Duration::from_secs(2);

/// The findings, and whether a container could be run.
pub(super) fn findings(
    patient: &Patient,
    policy: Result<Policy, LoadError>,
) -> (Vec<Finding>, bool) {
    if !patient.own {
        let says = "cannot be seen: proc and sys do not say";
        return (vec![finding(Mark::Note, "installed", says)], true);
    }
    let mut findings = Vec::new();
    let named = match policy {
        Ok(policy) => {
            findings.push(finding(Mark::Ok, "policy", "reads well"));
            Some(policy.engine)
        }
        Err(error) => {
            let says = format!("{error}: every container is refused");
            findings.push(finding(Mark::Lack, "policy", says));
            None
        }
    };
    let used = named
        .as_ref()
        .map(|named| engine::find(None, named.as_deref()));
    let layout = patient.host.cgroups.layout;
    for name in KNOWN {
        findings.push(match engine::locate(name) {
            None => finding(Mark::Note, name, "not installed"),
            Some(path) => {
                let version = version(&path).unwrap_or_else(|| "of no known version".to_owned());
                let mut says = format!("{version}, {}", path.display());
                if matches!(&used, Some(Ok(used)) if *used == path) {
                    says.push_str(" (used)");
                }
                match odd(name, layout) {
                    Some(oddity) => finding(Mark::Note, name, format!("{says}; {oddity}")),
                    None => finding(Mark::Ok, name, says),
                }
            }
        });
    }
    let runnable = match used {
        Some(Ok(path))
            if !KNOWN
                .iter()
                .any(|name| engine::locate(name).as_ref() == Some(&path)) =>
        {
            findings.push(finding(
                Mark::Ok,
                "engine",
                format!("{}: the policy's own", path.display()),
            ));
            true
        }
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            findings.push(finding(Mark::Lack, "engine", error.to_string()));
            false
        }
        None => false,
    };
    (findings, runnable)
}

/// What is known of an engine on such a host.
fn odd(name: &str, layout: Layout) -> Option<&'static str> {
    match (name, layout) {
        ("crun", Layout::Hybrid) => Some("may refuse hybrid"),
        ("youki", Layout::V1 | Layout::Hybrid) => Some("must be built for v1"),
        _ => None,
    }
}

/// The version, from the first line of `--version`.
fn version(engine: &Path) -> Option<String> {
    let answer = ask(Command::new(engine).arg("--version"), PATIENCE).ok()?;
    number(answer.said.lines().next()?).map(str::to_owned)
}
