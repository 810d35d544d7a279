//! Who may claim which class, and the limits of a namespace.
//!
//! In: what is known of the claimant. Out: whether a rule speaks of it.

use wildmatch::WildMatch;

use super::{Location, Mode, Profile};
use crate::Priority;

/// Who claims a class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimant<'a> {
    /// The Kubernetes namespace; `None` outside Kubernetes.
    pub namespace: Option<&'a str>,
    /// The pod's labels, where the engine passes them on.
    pub labels: &'a [(String, String)],
    /// The container's annotations.
    pub annotations: &'a [(String, String)],
}

/// A key and the text its value must match.
pub(super) type Pattern = (String, WildMatch);

/// One rule. All of its conditions must hold.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The highest class that may be claimed.
    pub highest: Priority,
    /// Whether plans are carried out; absent: as the policy says.
    pub mode: Option<Mode>,
    /// Where the rule stands.
    pub from: Location,
    pub(super) namespace: Option<WildMatch>,
    pub(super) outside_kubernetes: bool,
    pub(super) labels: Vec<Pattern>,
    pub(super) annotations: Vec<Pattern>,
}

impl Grant {
    /// Its conditions, each a key as policy files have it, and the pattern;
    /// `outside-kubernetes` has none.
    pub fn conditions(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let namespace = self.namespace.iter();
        let namespace = namespace.map(|p| ("namespace".to_owned(), Some(p.to_string())));
        let outside = self.outside_kubernetes;
        let outside = outside.then(|| ("outside-kubernetes".to_owned(), None));
        let pairs = |name: &'static str, patterns: &[Pattern]| {
            let pair =
                |(key, pattern): &Pattern| (format!("{name}.{key:?}"), Some(pattern.to_string()));
            patterns.iter().map(pair).collect::<Vec<_>>()
        };
        namespace
            .chain(outside)
            .chain(pairs("pod-label", &self.labels))
            .chain(pairs("annotation", &self.annotations))
    }

    /// Whether this rule speaks of the claimant.
    #[must_use]
    pub fn matches(&self, claimant: &Claimant<'_>) -> bool {
        let namespace = match (&self.namespace, claimant.namespace) {
            (Some(pattern), Some(namespace)) => pattern.matches(namespace),
            (Some(_), None) => false,
            (None, _) => true,
        };
        namespace
            && (!self.outside_kubernetes || claimant.namespace.is_none())
            && all_match(&self.labels, claimant.labels)
            && all_match(&self.annotations, claimant.annotations)
    }
}

fn all_match(patterns: &[Pattern], pairs: &[(String, String)]) -> bool {
    patterns.iter().all(|(key, pattern)| {
        pairs
            .iter()
            .any(|(k, value)| k == key && pattern.matches(value))
    })
}

/// The least and the most a container of a namespace gets.
#[derive(Debug, Clone)]
pub struct NamespaceLimits {
    /// The least.
    pub min: Profile,
    /// The most.
    pub max: Profile,
    pub(super) namespace: WildMatch,
}

impl NamespaceLimits {
    /// The namespaces they are for, with `*` for any text.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.namespace.to_string()
    }

    pub(super) fn matches(&self, namespace: &str) -> bool {
        self.namespace.matches(namespace)
    }
}
