//! The engines that people talk to, and whether they know packrank.
//!
//! In: their configuration, as they read it themselves. Out: a line each, with
//! what the lack costs and the command that mends it.

use packrank_core::Priority;
use packrank_core::policy::{Claimant, Policy};
use packrank_shim::planning;

use super::{Finding, Mark, Patient, finding};
use crate::install::{Engine, Standing, hands_on_image_annotations, standing, version};
use crate::program::is_below;

/// Docker passes annotations on since this version.
const DOCKER_WITH_ANNOTATIONS: (u32, u32) = (24, 0);

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    if !patient.own {
        return Vec::new();
    }
    let mut found: Vec<Finding> = Engine::ALL.into_iter().map(one).collect();
    found.extend(images(planning::policy(None).ok().as_ref()));
    found
}

/// What an image could claim by itself, where hooks heed what it says.
fn images(policy: Option<&Policy>) -> Option<Finding> {
    let Standing::Registered { .. } = standing(Engine::Podman) else {
        return None;
    };
    let version = version(Engine::Podman).filter(|v| hands_on_image_annotations(v))?;
    let grant = policy?.grant(&Claimant::default())?;
    Some(claims(&version, grant.highest))
}

fn claims(version: &str, highest: Priority) -> Finding {
    let name = "image claims";
    match highest > Priority::Normal {
        true => finding(
            Mark::Lack,
            name,
            format!(
                "podman {version} hands on what an image says of itself, so any image can claim {highest}: grant less outside Kubernetes, trust every image, or take Podman 4.6"
            ),
        ),
        false => finding(
            Mark::Note,
            name,
            format!("podman {version} hands on what an image says of itself: up to {highest}"),
        ),
    }
}

fn one(engine: Engine) -> Finding {
    let name = engine.name();
    let standing = standing(engine);
    if let Standing::Absent = standing {
        return finding(Mark::Note, name, "not installed");
    }
    let version = version(engine).unwrap_or_else(|| "of no known version".to_owned());
    let bare = engine == Engine::Docker && is_below(&version, DOCKER_WITH_ANNOTATIONS);
    tell(engine, &version, bare, standing)
}

/// How an engine stands, in words.
fn tell(engine: Engine, version: &str, bare: bool, standing: Standing) -> Finding {
    let name = engine.name();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_engine_is_said_with_what_mends_it() {
        for (standing, bare, mark, says) in [
            (
                Standing::Dangling {
                    program: "/opt/packrank-runtime".to_owned(),
                },
                false,
                Mark::Lack,
                "1.2 would start /opt/packrank-runtime, which is not there: ranked containers fail; packrank install --for docker",
            ),
            (
                Standing::Registered { classes: 0 },
                true,
                Mark::Lack,
                "1.2 passes no annotations, so nothing is ranked: packrank install --for docker --class-runtimes",
            ),
            (
                Standing::Registered { classes: 5 },
                true,
                Mark::Ok,
                "1.2, knows packrank and 5 runtimes of a class",
            ),
            (
                Standing::Registered { classes: 0 },
                false,
                Mark::Ok,
                "1.2, knows packrank",
            ),
            (
                Standing::Unregistered,
                true,
                Mark::Lack,
                "1.2, ranks nothing: packrank install --for docker",
            ),
        ] {
            let found = tell(Engine::Docker, "1.2", bare, standing);
            assert_eq!((found.mark, found.says.as_str()), (mark, says));
        }
    }

    #[test]
    fn what_images_may_claim_under_an_old_podman() {
        let critical = claims("4.3.1", Priority::Critical);
        assert_eq!(critical.mark, Mark::Lack);
        assert!(critical.says.contains("any image can claim critical"));
        assert_eq!(claims("4.3.1", Priority::Normal).mark, Mark::Note);
    }
}
