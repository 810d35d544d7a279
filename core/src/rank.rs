//! Which class a container gets, and whether anything is done about it.
//!
//! In: what its annotations and its runtime claim, where it stands, and the
//! policy. Out: a [`Rank`], `None` for a container that is not ours to touch,
//! or the refusal of a claim above its grant.

use crate::Priority;
use crate::annotation::{Quoted, Request};
use crate::place::{Place, Role};
use crate::policy::{Claimant, Grant, Mode, Policy};

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
        let (grant, claimant, mode) = strictest(place, annotations, policy);
        if mode == Mode::Off {
            return Ok(None);
        }
        // A sandbox holds the pod's network. Where the pod claims no class for
        // all, it begins with the lowest that a name claims, whether there is
        // such a container or not; one that comes brings its own.
        let of_pod = request
            .lowest_other
            .filter(|_| own.is_none() && place.role == Role::Sandbox);
        let of_pod = of_pod
            .zip(grant)
            .map(|(class, grant)| (class.min(grant.highest), "the pod's containers".to_owned()));
        let claim = own.or(of_pod);
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
        let whose = match claimant.namespace {
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

/// The grant that allows least of all by which the container may be taken,
/// none where one of them has none; whom it is about; and the strictest mode.
fn strictest<'a>(
    place: &'a Place,
    annotations: &'a [(String, String)],
    policy: &'a Policy,
) -> (Option<&'a Grant>, Claimant<'a>, Mode) {
    let mut found = (None, Claimant::default(), Mode::Off);
    for (index, claimant) in place.claimants(annotations).enumerate() {
        let grant = policy.grant(&claimant);
        let mode = grant.and_then(|g| g.mode).unwrap_or(policy.mode);
        let highest = |grant: Option<&Grant>| grant.map(|g| g.highest);
        if index == 0 || highest(grant) < highest(found.0) {
            (found.0, found.1) = (grant, claimant);
        }
        found.2 = match (found.2, mode) {
            (Mode::Enforce, _) | (_, Mode::Enforce) => Mode::Enforce,
            (Mode::Audit, _) | (_, Mode::Audit) => Mode::Audit,
            (Mode::Off, Mode::Off) => Mode::Off,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Cri;

    fn rank(
        annotations: &[(&str, &str)],
        runtime: Option<Priority>,
        extra: &str,
    ) -> Result<Option<Rank>, String> {
        rank_by(Some(Cri::Containerd), annotations, runtime, extra)
    }

    fn rank_by(
        cri: Option<Cri>,
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
        let place = Place::of(&annotations, cri);
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
        let class = |a: &[(&str, &str)], r, p| rank_by(None, a, r, p).unwrap().map(|r| r.priority);
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
    fn a_name_lifts_no_sandbox() {
        let sandbox = ("io.kubernetes.cri.container-type", "sandbox");
        let ghost = ("ghost.packrank.io/priority", "high");
        let cron = ("cron.packrank.io/priority", "scavenger");
        let class = |pairs: &[(&str, &str)]| {
            let found = rank(pairs, None, "").unwrap();
            found.map(|rank| (rank.priority, rank.claimed))
        };
        let pod = ("packrank.io/priority", "low");
        let by_pod = (Priority::Low, "packrank.io/priority".to_owned());
        assert_eq!(class(&[sandbox, pod, ghost, cron]), Some(by_pod));
        let lowest = (Priority::Scavenger, "the pod's containers".to_owned());
        assert_eq!(class(&[sandbox, ghost, cron]), Some(lowest));
    }

    #[test]
    fn a_namespace_that_no_cri_vouches_for_can_only_cost() {
        let kube_system = ("io.kubernetes.pod.namespace", "kube-system");
        let shop = ("io.kubernetes.cri.sandbox-namespace", "shop");
        let less_outside = "[[grant]]\noutside-kubernetes = true\nhighest = \"normal\"\n";
        let alone = |pairs: &[(&str, &str)], policy| rank_by(None, pairs, None, policy);
        assert!(alone(&[CRITICAL, kube_system], "").is_ok());
        let error = alone(&[CRITICAL, kube_system], less_outside).unwrap_err();
        assert!(
            error.contains("outside Kubernetes: at most \"normal\""),
            "{error}"
        );
        for pairs in [[CRITICAL, kube_system, shop], [CRITICAL, shop, kube_system]] {
            let error = alone(&pairs, "").unwrap_err();
            assert!(
                error.contains("in namespace \"shop\": at most \"high\""),
                "{error}"
            );
        }
        // Nor does it take anybody out of the policy's sight.
        let off =
            "[[grant]]\nnamespace = \"kube-system\"\nhighest = \"critical\"\nmode = \"off\"\n";
        let found = alone(&[CRITICAL, kube_system], off).unwrap().unwrap();
        assert_eq!(found.mode, Mode::Enforce);
        let sandbox = ("io.kubernetes.cri.container-type", "sandbox");
        let pids = ("packrank.io/pids", "5");
        assert!(alone(&[sandbox, pids], "").is_err());
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
