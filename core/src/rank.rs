//! Which class a container gets, and whether anything is done about it.
//!
//! In: what its annotations and its runtime claim, where it stands, and the
//! policy. Out: a [`Rank`], `None` for a container that is not ours to touch,
//! or the refusal of a claim above its grant.

use crate::Priority;
use crate::annotation::{Quoted, Request};
use crate::place::{Place, Role};
use crate::policy::{Claimant, Mode, Policy};

/// A class, who claimed it, and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// The class.
    pub priority: Priority,
    /// What claimed it: an annotation's name, a flag, the runtime's name, or
    /// the policy's default.
    pub claimed: String,
    /// Whether the plan is carried out; never [`Mode::Off`].
    pub mode: Mode,
}

/// A class that came by the runtime's command line or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeClaim {
    /// The class.
    pub priority: Priority,
    /// `--priority`, or the name the runtime was called by.
    pub claimed: String,
}

/// A claim that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// Above what its grant allows.
    #[error("{claimed}: {asked:?} is not granted {whose}: at most {highest:?} ({rule})", asked = asked.name(), highest = highest.name())]
    NotGranted {
        /// What claimed it.
        claimed: String,
        /// The class that was claimed.
        asked: Priority,
        /// The highest class that is allowed.
        highest: Priority,
        /// In which namespace, or outside Kubernetes.
        whose: String,
        /// The grant's place in the policy.
        rule: String,
    },
    /// No grant speaks of the claimant.
    #[error("{claimed}: {asked:?} is not granted {whose}: no grant of the policy matches", asked = asked.name())]
    NoGrant {
        /// What claimed it.
        claimed: String,
        /// The class that was claimed.
        asked: Priority,
        /// In which namespace, or outside Kubernetes.
        whose: String,
    },
    /// Overrides of a class, and no class.
    #[error(
        "{annotation} needs a class: add packrank.io/priority (critical, high, normal, low or scavenger)"
    )]
    NoClass {
        /// The annotation that was found.
        annotation: Quoted,
    },
}

impl Rank {
    /// Decides the class: the annotation's word, else the runtime's, else the
    /// policy's default.
    ///
    /// # Errors
    /// When the claim is above its grant, or settings are overridden without
    /// a class.
    pub fn resolve(
        request: &Request,
        runtime: Option<&RuntimeClaim>,
        place: &Place,
        annotations: &[(String, String)],
        policy: &Policy,
    ) -> Result<Option<Rank>, RankError> {
        let by_annotation = request.priority.as_ref();
        let own = by_annotation
            .map(|asked| (asked.value, asked.annotation.clone()))
            .or_else(|| runtime.map(|r| (r.priority, r.claimed.clone())));
        let grant = policy.grant(&Claimant {
            namespace: place.namespace.as_deref(),
            labels: &place.labels,
            annotations,
        });
        let mode = grant.and_then(|g| g.mode).unwrap_or(policy.mode);
        if mode == Mode::Off {
            return Ok(None);
        }
        // A sandbox holds the network of the pod's highest container; a claim
        // above the grant is refused where it is made, at that container.
        let of_pod = request
            .highest_other
            .filter(|_| place.role == Role::Sandbox);
        let of_pod = of_pod
            .zip(grant)
            .map(|(class, grant)| class.min(grant.highest));
        let claim = match (own, of_pod) {
            (Some(own), Some(pod)) if own.0 >= pod => Some(own),
            (_, Some(pod)) => Some((pod, "the pod's containers".to_owned())),
            (own, None) => own,
        };
        let Some((asked, claimed)) = claim else {
            let default = policy.default_class.map(|priority| Rank {
                priority,
                claimed: "the policy's default-class".to_owned(),
                mode,
            });
            let orphan = request.settings.values().next();
            return match (default, orphan) {
                // A sandbox carries the pod's annotations for its containers.
                (None, Some(asked)) if place.role != Role::Sandbox => Err(RankError::NoClass {
                    annotation: Quoted(asked.annotation.clone()),
                }),
                (default, _) => Ok(default),
            };
        };
        // In a sentence, an annotation's name is a text from outside.
        let shown = match by_annotation {
            Some(asked) => Quoted(asked.annotation.clone()).to_string(),
            None => claimed.clone(),
        };
        let whose = match place.namespace.as_deref() {
            Some(namespace) => format!("in namespace {namespace:?}"),
            None => "outside Kubernetes".to_owned(),
        };
        let Some(grant) = grant else {
            return Err(RankError::NoGrant {
                claimed: shown,
                asked,
                whose,
            });
        };
        if asked > grant.highest {
            return Err(RankError::NotGranted {
                claimed: shown,
                asked,
                highest: grant.highest,
                whose,
                rule: grant.from.to_string(),
            });
        }
        Ok(Some(Rank {
            priority: asked,
            claimed,
            mode,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(
        annotations: &[(&str, &str)],
        runtime: Option<Priority>,
        extra: &str,
    ) -> Result<Option<Rank>, String> {
        let annotations: Vec<(String, String)> = annotations
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut policy = Policy::built_in().unwrap();
        policy.merge("p.toml", extra).unwrap();
        let place = Place::of(&annotations);
        let pairs = annotations.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let request = Request::parse(pairs, place.container.as_deref()).unwrap();
        let runtime = runtime.map(|priority| RuntimeClaim {
            priority,
            claimed: "--priority".to_owned(),
        });
        Rank::resolve(&request, runtime.as_ref(), &place, &annotations, &policy)
            .map_err(|e| e.to_string())
    }

    const CRITICAL: (&str, &str) = ("packrank.io/priority", "critical");

    #[test]
    fn annotation_before_runtime_before_default() {
        let class = |a: &[(&str, &str)], r, p| rank(a, r, p).unwrap().map(|r| r.priority);
        assert_eq!(class(&[], None, ""), None);
        assert_eq!(
            class(&[], None, "default-class = \"low\""),
            Some(Priority::Low)
        );
        assert_eq!(
            class(&[], Some(Priority::High), "default-class = \"low\""),
            Some(Priority::High)
        );
        assert_eq!(
            class(&[CRITICAL], Some(Priority::High), ""),
            Some(Priority::Critical)
        );
        assert_eq!(class(&[CRITICAL], None, "mode = \"off\""), None);
    }

    #[test]
    fn a_claim_above_its_grant_says_what_is_allowed() {
        let namespace = |name| ("io.kubernetes.cri.sandbox-namespace", name);
        assert!(rank(&[CRITICAL, namespace("kube-system")], None, "").is_ok());
        let error = rank(&[CRITICAL, namespace("shop")], None, "").unwrap_err();
        assert!(
            error.starts_with("packrank.io/priority: \"critical\" is not granted in namespace \"shop\": at most \"high\" (built-in policy:"),
            "{error}"
        );
        // The runtime's name is a claim like any other: a pod chooses it too.
        assert!(rank(&[namespace("shop")], Some(Priority::Critical), "").is_err());
    }

    #[test]
    fn a_sandbox_has_the_pods_highest_class_within_its_grant() {
        let pairs = [
            ("io.kubernetes.cri.container-type", "sandbox"),
            ("io.kubernetes.cri.sandbox-namespace", "shop"),
            ("packrank.io/priority", "low"),
            ("web.packrank.io/priority", "critical"),
            ("cron.packrank.io/priority", "scavenger"),
        ];
        let found = rank(&pairs, None, "").unwrap().unwrap();
        assert_eq!(
            (found.priority, &*found.claimed),
            (Priority::High, "the pod's containers")
        );
    }

    #[test]
    fn overrides_without_a_class_are_refused() {
        let pids = ("packrank.io/pids", "5");
        assert!(
            rank(&[pids], None, "")
                .unwrap_err()
                .starts_with("packrank.io/pids needs a class")
        );
        assert!(rank(&[pids], Some(Priority::Low), "").is_ok());
        let sandbox = ("io.kubernetes.cri.container-type", "sandbox");
        assert_eq!(rank(&[pids, sandbox], None, "").unwrap(), None);
    }
}
