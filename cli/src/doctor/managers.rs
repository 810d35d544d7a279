//! The engines that people talk to, and whether they know packrank.
//!
//! In: their configuration, as they read it themselves. Out: a line each, with
//! what the lack costs and the command that mends it.

use super::{Finding, Mark, Patient, finding};
use crate::doctor::engines::number;
use crate::install::{Engine, Standing, standing, version};

/// Docker passes annotations on since this version.
const DOCKER_WITH_ANNOTATIONS: u32 = 24;

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    if !patient.own {
        return Vec::new();
    }
    Engine::ALL.into_iter().map(one).collect()
}

fn one(engine: Engine) -> Finding {
    let name = engine.name();
    let standing = standing(engine);
    if let Standing::Absent = standing {
        return finding(Mark::Note, name, "not installed");
    }
    let said = version(engine).unwrap_or_default();
    let version = number(&said).unwrap_or("of no known version");
    let major: Option<u32> = version.split('.').next().and_then(|n| n.parse().ok());
    let bare = engine == Engine::Docker && major.is_some_and(|m| m < DOCKER_WITH_ANNOTATIONS);
    match standing {
        Standing::Registered { classes: 0 } if bare => finding(
            Mark::Lack,
            name,
            format!(
                "{version} passes no annotations, so nothing is ranked: packrank install --for {name} --class-runtimes"
            ),
        ),
        Standing::Registered { classes: 0 } => {
            finding(Mark::Ok, name, format!("{version}, knows packrank"))
        }
        Standing::Registered { classes } => finding(
            Mark::Ok,
            name,
            format!("{version}, knows packrank and {classes} runtimes of a class"),
        ),
        Standing::Dangling { program } => finding(
            Mark::Lack,
            name,
            format!(
                "{version} would start {program}, which is not there: ranked containers fail; packrank install --for {name}"
            ),
        ),
        Standing::Broken(error) => finding(Mark::Lack, name, format!("{version}: {error}")),
        Standing::Absent | Standing::Unregistered => finding(
            Mark::Lack,
            name,
            format!("{version}, ranks nothing: packrank install --for {name}"),
        ),
    }
}
