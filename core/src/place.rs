//! Where a container stands: alone, or in which pod.
//!
//! In: the annotations that containerd's CRI and CRI-O write themselves. Out: a
//! [`Place`].
//!
//! containerd passes on what its configuration names, CRI-O everything that is
//! not its own, and its own over that. So a pod can write the names of the
//! engine that it does not run under, and each engine is asked by its names
//! alone.

use std::collections::BTreeMap;

/// An engine's names for the same things.
struct Names {
    kind: &'static str,
    namespace: &'static str,
    pod: &'static str,
    container: &'static str,
    sandbox: &'static str,
    labels: Option<&'static str>,
}

const ENGINES: [Names; 2] = [
    // containerd's CRI.
    Names {
        kind: "io.kubernetes.cri.container-type",
        namespace: "io.kubernetes.cri.sandbox-namespace",
        pod: "io.kubernetes.cri.sandbox-name",
        container: "io.kubernetes.cri.container-name",
        sandbox: "io.kubernetes.cri.sandbox-id",
        labels: None,
    },
    // CRI-O. The first is its own; the next three are kubelet's labels, which
    // it writes as annotations, last of all.
    Names {
        kind: "io.kubernetes.cri-o.ContainerType",
        namespace: "io.kubernetes.pod.namespace",
        pod: "io.kubernetes.pod.name",
        container: "io.kubernetes.container.name",
        sandbox: "io.kubernetes.cri-o.SandboxID",
        labels: Some("io.kubernetes.cri-o.Labels"),
    },
];

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Not in a pod.
    Alone,
    /// One of a pod's containers.
    Container,
    /// The pod's own sandbox (pause) container.
    Sandbox,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is in its pod.
    pub role: Role,
    /// The Kubernetes namespace.
    pub namespace: Option<String>,
    /// The pod's name.
    pub pod: Option<String>,
    /// The container's name in the pod.
    pub container: Option<String>,
    /// The id of the pod's sandbox.
    pub sandbox: Option<String>,
    /// The pod's labels, where the engine passes them on (CRI-O does).
    pub labels: Vec<(String, String)>,
}

impl Place {
    /// Reads the place from the annotations.
    #[must_use]
    pub fn of(annotations: &[(String, String)]) -> Place {
        let read = |name: &str| {
            let found = annotations.iter().find(|(k, _)| k == name);
            found.map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
        };
        let found: Vec<_> = ENGINES
            .iter()
            .filter_map(|names| Some((names, read(names.kind)?)))
            .collect();
        // What both engines have written, one of them has not; and what none
        // has is in a pod as soon as it has a namespace.
        let names = match found[..] {
            [(names, _)] => Some(names),
            [] => ENGINES.iter().find(|names| read(names.namespace).is_some()),
            _ => None,
        };
        let role = match (names, &found[..]) {
            (None, []) => Role::Alone,
            (_, [_, ..]) if found.iter().all(|(_, kind)| kind == "sandbox") => Role::Sandbox,
            _ => Role::Container,
        };
        let labels = names
            .and_then(|names| read(names.labels?))
            .and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(&text).ok())
            .unwrap_or_default();
        Place {
            role,
            // In a pod without a word about its namespace, or with two, the
            // strictest reading is a namespace of no name.
            namespace: match role {
                Role::Alone => None,
                _ => Some(names.and_then(|n| read(n.namespace)).unwrap_or_default()),
            },
            pod: names.and_then(|n| read(n.pod)),
            container: names.and_then(|n| read(n.container)),
            sandbox: names.and_then(|n| read(n.sandbox)),
            labels: labels.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pairs: &[(&str, &str)]) -> Place {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Place::of(&pairs)
    }

    #[test]
    fn containerd_crio_and_nobody() {
        let containerd = place(&[
            ("io.kubernetes.cri.container-type", "container"),
            ("io.kubernetes.cri.container-name", "web"),
            ("io.kubernetes.cri.sandbox-namespace", "shop"),
            ("io.kubernetes.cri.sandbox-id", "abc"),
        ]);
        assert_eq!(containerd.role, Role::Container);
        assert_eq!(containerd.namespace.as_deref(), Some("shop"));
        assert_eq!(containerd.container.as_deref(), Some("web"));
        let crio = place(&[
            ("io.kubernetes.cri-o.ContainerType", "sandbox"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.cri-o.Labels", r#"{"app":"web"}"#),
        ]);
        assert_eq!(crio.role, Role::Sandbox);
        assert_eq!(crio.labels, [("app".to_owned(), "web".to_owned())]);
        let alone = place(&[("org.opencontainers.image.title", "x")]);
        assert_eq!((alone.role, alone.namespace), (Role::Alone, None));
        let odd = place(&[("io.kubernetes.cri.container-type", "container")]);
        assert_eq!(odd.namespace.as_deref(), Some(""));
    }

    #[test]
    fn the_other_engines_names_are_worth_nothing() {
        let containerd = [
            ("io.kubernetes.cri.container-type", "sandbox"),
            ("io.kubernetes.cri.sandbox-namespace", "kube-system"),
            ("io.kubernetes.cri.sandbox-id", "another"),
        ];
        let crio = [
            ("io.kubernetes.cri-o.ContainerType", "container"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.cri-o.SandboxID", "abc"),
        ];
        // Without the kind, it is read past.
        let seen = place(&[&containerd[1..], &crio].concat());
        assert_eq!(seen.namespace.as_deref(), Some("shop"));
        assert_eq!(seen.sandbox.as_deref(), Some("abc"));
        let seen = place(&[&containerd[..1], &crio[1..]].concat());
        assert_eq!(
            (seen.role, seen.namespace.as_deref()),
            (Role::Sandbox, Some(""))
        );
        // With both kinds one is a lie: nobody's namespace, and no sandbox
        // unless both say so.
        let seen = place(&[&containerd[..], &crio].concat());
        assert_eq!(
            (seen.role, seen.namespace.as_deref()),
            (Role::Container, Some(""))
        );
        assert_eq!((seen.sandbox, seen.pod), (None, None));
    }
}
