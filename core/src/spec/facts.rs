//! Reading the parts of a spec that plans are made from.
//!
//! In: the document's bytes. Out: a [`Spec`], or the member that is not of its
//! shape. Nothing that is not needed is parsed, so that a spec with things
//! unknown to us goes through.

use std::path::PathBuf;

use super::object::{DocumentError, Object, json};
use super::resources::Resources;
use super::{MOST_BYTES, Spec};
use crate::place::{Cri, Place};

/// Why a config.json cannot be planned for.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Not UTF-8, which JSON must be.
    #[error("config.json is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// Nothing in it.
    #[error("config.json is empty")]
    Empty,
    /// More than we read.
    #[error("config.json is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// Not JSON, or not of the OCI spec's shape.
    #[error("config.json: {0}")]
    Document(#[from] DocumentError),
}

/// Soft and hard limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nofile {
    /// What the process gets.
    pub soft: u64,
    /// What it may raise that to.
    pub hard: u64,
}

/// A bind mount of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The path on the host.
    pub source: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

pub(super) struct Rlimit {
    pub kind: String,
    pub hard: u64,
    pub soft: u64,
}

impl Rlimit {
    pub fn read(text: &str, at: &str) -> Result<Rlimit, DocumentError> {
        Rlimit::of(&Object::parse(text, at)?)
    }

    fn of(object: &Object<'_>) -> Result<Rlimit, DocumentError> {
        Ok(Rlimit {
            kind: object.need("type")?,
            hard: object.need("hard")?,
            soft: object.need("soft")?,
        })
    }
}

/// Whose network a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    Host,
    /// A namespace of its own.
    Own,
    /// The one that this path names: made for it, for its pod, or another's.
    Joined(PathBuf),
}

/// Text of the bytes, with the document's own limits kept.
///
/// # Errors
/// When there is nothing, too much, or no UTF-8.
fn text(bytes: &[u8]) -> Result<&str, SpecError> {
    if bytes.len() > MOST_BYTES {
        return Err(SpecError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| SpecError::NotUtf8(e.valid_up_to()))?;
    if text.trim().is_empty() {
        return Err(SpecError::Empty);
    }
    Ok(text)
}

impl<'t> Spec<'t> {
    /// Only the annotations: all that is needed to know whether a container
    /// is ranked.
    ///
    /// # Errors
    /// When the document cannot be read that far.
    pub fn annotations_of(bytes: &[u8]) -> Result<Vec<(String, String)>, SpecError> {
        let document = Object::parse(text(bytes)?, "")?;
        Ok(annotations(&document.object("annotations")?)?)
    }

    /// The spec of a container that this CRI runs.
    #[must_use]
    pub fn run_by(mut self, cri: Option<Cri>) -> Spec<'t> {
        self.place = Place::of(&self.annotations, cri);
        self
    }

    /// Reads the document of a container that no CRI is known to run: see
    /// [`Spec::run_by`].
    ///
    /// # Errors
    /// When it is no spec, naming the member.
    pub fn parse(bytes: &'t [u8]) -> Result<Spec<'t>, SpecError> {
        // Objects that may be edited are opened for that, and parsed once.
        let mut document = Object::parse(text(bytes)?, "")?;
        let linux = document.inside("linux")?;
        let mut user_namespace = false;
        let mut network = Network::Host;
        for namespace in linux.items("namespaces")? {
            let path: PathBuf = namespace.read("path")?.unwrap_or_default();
            match namespace.read::<String>("type")?.as_deref() {
                Some("user") => user_namespace = true,
                Some("network") if path.as_os_str().is_empty() => network = Network::Own,
                Some("network") => network = Network::Joined(path),
                _ => {}
            }
        }
        let seccomp = linux.raw("seccomp")?.is_some();
        let cgroups_path = linux.read("cgroupsPath")?;
        let resources = Resources::read(linux.inside("resources")?)?;
        let process = document.inside("process")?;
        let rlimits = process.items("rlimits")?;
        let rlimits = rlimits.iter().map(Rlimit::of);
        let rlimits = rlimits.collect::<Result<Vec<_>, _>>()?;
        // Twice is against the spec; engines disagree which one counts.
        let nofile = rlimits.iter().filter(|r| r.kind == NOFILE);
        let nofile = nofile.map(|r| (r.soft, r.hard));
        let nofile = nofile.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)));
        // The sets that a process can use or regain.
        let capabilities = process.object("capabilities")?;
        let sets = ["bounding", "permitted"].map(|set| capabilities.read::<Vec<String>>(set));
        let [bounding, permitted] = sets;
        let held: Vec<String> = [bounding?, permitted?]
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        let holds = |name: &str| held.iter().any(|capability| capability == name);
        let annotations = annotations(document.inside("annotations")?)?;
        let root = document.object("root")?;
        let mounts = document.items("mounts")?;
        let binds = mounts.iter().map(binding).filter_map(Result::transpose);
        Ok(Spec {
            place: Place::of(&annotations, None),
            resources,
            nofile: nofile.map(|(soft, hard)| Nofile { soft, hard }),
            readonly: root.read("readonly")? == Some(true),
            rootfs: root.read("path")?,
            binds: binds.collect::<Result<Vec<_>, _>>()?,
            network,
            user_namespace,
            seccomp,
            net_admin: holds("CAP_NET_ADMIN"),
            net_raw: holds("CAP_NET_RAW"),
            cgroups_path,
            annotations,
            document,
        })
    }
}

/// The rlimit's name in the spec.
pub(super) const NOFILE: &str = "RLIMIT_NOFILE";

fn binding(mount: &Object<'_>) -> Result<Option<Binding>, DocumentError> {
    let options: Vec<String> = mount.read("options")?.unwrap_or_default();
    let kind: Option<String> = mount.read("type")?;
    let source: Option<String> = mount.read("source")?;
    let has = |name: &str| options.iter().any(|o| o == name);
    let bind = kind.as_deref() == Some("bind") || has("bind") || has("rbind");
    let writable = !has("ro") && !has("rro");
    let source = source.filter(|_| bind);
    Ok(source.map(|source| Binding { source, writable }))
}

fn annotations(object: &Object<'_>) -> Result<Vec<(String, String)>, DocumentError> {
    object
        .entries()
        .map(|(key, raw)| {
            Ok((
                key.to_owned(),
                json::<String>(raw, &format!("annotations.{key:.80}"))?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_read_no_further_than_needed() {
        let text = br#"{
            "process": {
                        "capabilities": {"bounding": ["CAP_FROM_THE_FUTURE", "CAP_NET_ADMIN"]},
                        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 8, "soft": 4}]},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [{"destination": "/a", "source": "/x", "type": "bind", "options": ["rbind", "ro"]},
                       {"destination": "/b", "source": "/y", "options": ["bind"]},
                       {"destination": "/proc", "source": "proc", "type": "proc"}],
            "linux": {"seccomp": {"defaultAction": "SCMP_ACT_UNHEARD_OF"},
                      "namespaces": [{"type": "network", "path": "/n"}, {"type": "new"}]},
            "annotations": {"a": "b"}
        }"#;
        let spec = Spec::parse(text).unwrap();
        assert_eq!(spec.nofile, Some(Nofile { soft: 4, hard: 8 }));
        assert_eq!(
            (spec.rootfs.as_deref(), spec.readonly),
            (Some("rootfs"), true)
        );
        let writable: Vec<_> = spec
            .binds
            .iter()
            .map(|b| (&*b.source, b.writable))
            .collect();
        assert_eq!(writable, [("/x", false), ("/y", true)]);
        assert_eq!(spec.network, Network::Joined("/n".into()));
        assert!(spec.net_admin && !spec.net_raw);
        assert_eq!(Spec::annotations_of(text).unwrap(), spec.annotations);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, want) in [
            (&b""[..], "config.json is empty"),
            (b" \n", "config.json is empty"),
            (
                b"{\"annotations\": {\"a\xff\": \"\"}}",
                "config.json is not UTF-8 at byte 19",
            ),
            (
                b"[]",
                "config.json: the document: invalid type: sequence, expected an object",
            ),
            (b"{\"linux\": ", "config.json: the document: EOF"),
            (
                b"{\"linux\": []}",
                "config.json: linux: invalid type: sequence",
            ),
            (
                b"{\"annotations\": {\"a\": 1}}",
                "config.json: annotations.a: invalid type: integer",
            ),
            (
                b"{\"annotations\": {}, \"annotations\": {}}",
                "config.json: annotations stands twice",
            ),
            (
                b"{\"linux\": {\"resources\": {\"memory\": {\"limit\": \"1\"}}}}",
                "config.json: linux.resources.memory.limit: invalid type: string",
            ),
        ] {
            let error = Spec::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        let large = vec![b' '; MOST_BYTES + 1];
        assert!(matches!(Spec::parse(&large), Err(SpecError::TooLarge)));
    }

    #[test]
    fn deep_nesting_is_an_error_or_passed_over_never_a_crash() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert!(Spec::parse(format!("{{\"x\":{deep}}}").as_bytes()).is_ok());
        for member in ["annotations", "linux", "mounts", "root", "process"] {
            let text = format!("{{\"{member}\":{deep}}}");
            assert!(Spec::parse(text.as_bytes()).is_err(), "{member}");
        }
    }
}
