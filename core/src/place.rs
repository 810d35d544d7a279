//! Where a container stands: alone, or in which pod.
//!
//! In: the annotations that containerd's CRI and CRI-O write themselves, and
//! which of the two runs the container. Out: a [`Place`].
//!
//! Annotations are what somebody wrote. Whether a CRI runs the container is
//! known by the bundle's place, which only the engine chooses. Under a CRI its
//! own names count, and the other engine's are worth nothing. Where none is
//! known, the names put a container in no pod: they can only cost it, since the
//! grants and limits of every namespace that it names hold for it too.

use std::collections::BTreeMap;
use std::path::Path;

use crate::policy::Claimant;

/// An engine that runs the containers of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cri {
    /// containerd's CRI plugin.
    Containerd,
    /// CRI-O.
    CriO,
}

/// The containerd namespace of its CRI plugin, which it has for itself.
const CONTAINERD_NAMESPACE: &str = "k8s.io";

/// Made by CRI-O when it starts: its socket and its containers' exit files.
const CRIO_FOLDER: &str = "/run/crio";

impl Cri {
    /// The CRI whose bundle this is. containerd's lie in
    /// `…/io.containerd.runtime.v2.task/k8s.io/ID`; Docker's and `ctr`'s are in
    /// namespaces of their own there. CRI-O's lie in
    /// `…/overlay-containers/ID/userdata` (the storage driver comes first), as
    /// Podman's do: they are CRI-O's on a node that runs it.
    #[must_use]
    pub fn of_bundle(bundle: &Path) -> Option<Cri> {
        let mut parts = bundle.iter().rev().filter_map(|part| part.to_str());
        match (parts.next()?, parts.next()?, parts.next()?) {
            (_, CONTAINERD_NAMESPACE, task) if task.starts_with("io.containerd.runtime.v") => {
                Some(Cri::Containerd)
            }
            ("userdata", _, storage) if storage.ends_with("-containers") => {
                Path::new(CRIO_FOLDER).is_dir().then_some(Cri::CriO)
            }
            _ => None,
        }
    }

    /// The CRI that the annotations name, for a document that lies in no bundle:
    /// whoever only looks at it is taken at its word.
    #[must_use]
    pub fn named(annotations: &[(String, String)]) -> Option<Cri> {
        let has = |name: &str| annotations.iter().any(|(key, _)| key == name);
        ENGINES
            .iter()
            .find_map(|(cri, names)| (has(names.kind) || has(names.namespace)).then_some(*cri))
    }

    fn names(self) -> &'static Names {
        let [(_, containerd), (_, crio)] = &ENGINES;
        match self {
            Cri::Containerd => containerd,
            Cri::CriO => crio,
        }
    }
}

/// An engine's names for the same things.
struct Names {
    kind: &'static str,
    namespace: &'static str,
    pod: &'static str,
    container: &'static str,
    sandbox: &'static str,
    labels: Option<&'static str>,
}

const ENGINES: [(Cri, Names); 2] = [
    (
        Cri::Containerd,
        Names {
            kind: "io.kubernetes.cri.container-type",
            namespace: "io.kubernetes.cri.sandbox-namespace",
            pod: "io.kubernetes.cri.sandbox-name",
            container: "io.kubernetes.cri.container-name",
            sandbox: "io.kubernetes.cri.sandbox-id",
            labels: None,
        },
    ),
    // The first is its own; the next three are kubelet's labels, which it
    // writes as annotations, last of all.
    (
        Cri::CriO,
        Names {
            kind: "io.kubernetes.cri-o.ContainerType",
            namespace: "io.kubernetes.pod.namespace",
            pod: "io.kubernetes.pod.name",
            container: "io.kubernetes.container.name",
            sandbox: "io.kubernetes.cri-o.SandboxID",
            labels: Some("io.kubernetes.cri-o.Labels"),
        },
    ),
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
    /// Namespaces that its annotations name and no CRI vouches for.
    pub unproven: Vec<String>,
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
    /// Reads the place from the annotations of a container that `cri` runs.
    #[must_use]
    pub fn of(annotations: &[(String, String)], cri: Option<Cri>) -> Place {
        let read = |name: &str| {
            let found = annotations.iter().find(|(k, _)| k == name);
            found.map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
        };
        let Some(cri) = cri else {
            let engines = ENGINES.iter().map(|(_, names)| names);
            let named = engines.filter_map(|names| match read(names.namespace) {
                // A pod without a word about its namespace is in one of no name.
                None => read(names.kind).map(|_| String::new()),
                namespace => namespace,
            });
            return Place {
                role: Role::Alone,
                namespace: None,
                unproven: named.collect(),
                pod: None,
                container: None,
                sandbox: None,
                labels: Vec::new(),
            };
        };
        let names = cri.names();
        let labels = names
            .labels
            .and_then(read)
            .and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(&text).ok())
            .unwrap_or_default();
        Place {
            role: match read(names.kind).as_deref() {
                Some("sandbox") => Role::Sandbox,
                Some(_) => Role::Container,
                // containerd's namespace has containers that no pod has made.
                None if read(names.namespace).is_none() => Role::Alone,
                None => Role::Container,
            },
            // Every container of a CRI is in a pod; one without a word about its
            // namespace is in one of no name, the strictest reading.
            namespace: Some(read(names.namespace).unwrap_or_default()),
            unproven: Vec::new(),
            pod: read(names.pod),
            container: read(names.container),
            sandbox: read(names.sandbox),
            labels: labels.into_iter().collect(),
        }
    }

    /// Everybody as whom it may be taken. What is claimed must be granted to
    /// each of them.
    pub fn claimants<'a>(
        &'a self,
        annotations: &'a [(String, String)],
    ) -> impl Iterator<Item = Claimant<'a>> {
        let unproven = self.unproven.iter().map(|name| Some(name.as_str()));
        std::iter::once(self.namespace.as_deref())
            .chain(unproven)
            .map(|namespace| Claimant {
                namespace,
                labels: &self.labels,
                annotations,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pairs: &[(&str, &str)], cri: Option<Cri>) -> Place {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Place::of(&pairs, cri)
    }

    const CONTAINERD: [(&str, &str); 4] = [
        ("io.kubernetes.cri.container-type", "sandbox"),
        ("io.kubernetes.cri.container-name", "web"),
        ("io.kubernetes.cri.sandbox-namespace", "kube-system"),
        ("io.kubernetes.cri.sandbox-id", "another"),
    ];

    const CRIO: [(&str, &str); 4] = [
        ("io.kubernetes.cri-o.ContainerType", "container"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.cri-o.SandboxID", "abc"),
        ("io.kubernetes.cri-o.Labels", r#"{"app":"web"}"#),
    ];

    #[test]
    fn each_cri_is_asked_by_its_own_names() {
        let both = [CONTAINERD, CRIO].concat();
        let containerd = place(&both, Some(Cri::Containerd));
        assert_eq!(containerd.role, Role::Sandbox);
        assert_eq!(containerd.namespace.as_deref(), Some("kube-system"));
        assert_eq!(containerd.container.as_deref(), Some("web"));
        assert_eq!(containerd.sandbox.as_deref(), Some("another"));
        assert_eq!(containerd.labels, []);
        let crio = place(&both, Some(Cri::CriO));
        assert_eq!(crio.role, Role::Container);
        assert_eq!(crio.namespace.as_deref(), Some("shop"));
        assert_eq!(crio.sandbox.as_deref(), Some("abc"));
        assert_eq!(crio.labels, [("app".to_owned(), "web".to_owned())]);
        let nameless = place(&CONTAINERD[..1], Some(Cri::Containerd));
        assert_eq!(nameless.namespace.as_deref(), Some(""));
        // With the other engine's names alone it is nobody's namespace.
        let foreign = place(&CONTAINERD, Some(Cri::CriO));
        assert_eq!(foreign.namespace.as_deref(), Some(""));
    }

    #[test]
    fn names_without_a_cri_only_cost() {
        let both = [CONTAINERD, CRIO].concat();
        let seen = place(&both, None);
        assert_eq!((seen.role, &seen.namespace), (Role::Alone, &None));
        assert_eq!(seen.unproven, ["kube-system", "shop"]);
        assert_eq!((&seen.sandbox, &seen.container), (&None, &None));
        let claimants: Vec<_> = seen.claimants(&[]).map(|c| c.namespace).collect();
        assert_eq!(claimants, [None, Some("kube-system"), Some("shop")]);
        assert_eq!(place(&CRIO[..1], None).unproven, [""]);
        assert_eq!(place(&[("org.example", "x")], None).unproven, [""; 0]);
    }

    #[test]
    fn a_cri_is_known_by_its_bundles_place() {
        for (bundle, cri) in [
            (
                "/run/containerd/io.containerd.runtime.v2.task/k8s.io/abc",
                Some(Cri::Containerd),
            ),
            (
                "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/abc",
                Some(Cri::Containerd),
            ),
            (
                "/run/containerd/io.containerd.runtime.v2.task/moby/abc",
                None,
            ),
            (
                "/run/containerd/io.containerd.runtime.v2.task/default/k8s.io",
                None,
            ),
            ("/tmp/k8s.io/abc", None),
            ("/bundle", None),
            (".", None),
        ] {
            assert_eq!(Cri::of_bundle(Path::new(bundle)), cri, "{bundle}");
        }
    }
}
