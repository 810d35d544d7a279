//! Where a container stands: alone, or in which pod.
//!
//! In: the annotations that containerd's CRI and CRI-O write themselves (a pod
//! cannot set them). Out: a [`Place`].

use std::collections::BTreeMap;

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
        let first = |names: &[&str]| {
            let value = |name: &&str| annotations.iter().find(|(k, _)| k == name);
            let found = names.iter().find_map(value);
            found.map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
        };
        let kind = first(&[
            "io.kubernetes.cri.container-type",
            "io.kubernetes.cri-o.ContainerType",
        ]);
        let namespace = first(&[
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
        ]);
        let role = match kind.as_deref() {
            Some("sandbox") => Role::Sandbox,
            Some(_) => Role::Container,
            None if namespace.is_some() => Role::Container,
            None => Role::Alone,
        };
        let labels = first(&["io.kubernetes.cri-o.Labels"])
            .and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(&text).ok())
            .unwrap_or_default();
        Place {
            role,
            // In a pod without a word about its namespace, the strictest
            // reading is a namespace of no name.
            namespace: match role {
                Role::Alone => None,
                _ => Some(namespace.unwrap_or_default()),
            },
            pod: first(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
            container: first(&[
                "io.kubernetes.cri.container-name",
                "io.kubernetes.container.name",
            ]),
            sandbox: first(&[
                "io.kubernetes.cri.sandbox-id",
                "io.kubernetes.cri-o.SandboxID",
            ]),
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
}
