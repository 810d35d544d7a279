//! `update`, merged with the plan again.
//!
//! In: the update's flags or resources file, and the container's bundle. Out:
//! resources that name everything, because engines replace or zero what an
//! update leaves unnamed; and never more than the plan allows. What users
//! asked is kept beside config.json, so that the next update, which names
//! something else, does not undo it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};
use packrank_core::host::{Host, Roots};
use packrank_core::place::{Cri, Role};
use packrank_core::policy::Mode;
use packrank_core::rank::RuntimeClaim;
use packrank_core::spec::{DocumentError, Object, Resources, Spec, SpecError, write_resources};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bundle::{Bundle, BundleError};
use crate::command::Command;
use crate::planning::{self, Refusal};

/// What users asked by `update` so far, beside config.json.
const ASKED: &str = ".packrank-update.json";

/// The parts of `linux.resources` that an update carries.
const PARTS: [&str; 6] = [
    "memory",
    "cpu",
    "pids",
    "blockIO",
    "hugepageLimits",
    "unified",
];

/// Why an update is refused.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The resources file cannot be read.
    #[error("update: resources {path}: {source}")]
    Resources {
        /// Its path, or `-`.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The resources are not what they must be.
    #[error("update: {0}")]
    Document(#[from] DocumentError),
    /// The resources are no JSON object.
    #[error("update: the resources are no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// A flag's value.
    #[error("update: {flag}: {value:?} is not accepted: expected a whole number")]
    Flag {
        /// The flag.
        flag: String,
        /// What was given.
        value: String,
    },
    /// The bundle cannot be used.
    #[error("update: bundle {0}")]
    Bundle(#[from] BundleError),
    /// The spec cannot be read.
    #[error("update: {0}")]
    Spec(#[from] SpecError),
    /// The plan refuses.
    #[error("update: {0}")]
    Refused(#[from] Refusal),
    /// The engine could not be asked or run.
    #[error("update: engine {}: {source}", path.display())]
    Engine {
        /// Its path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// An update that is ready to be handed to the engine.
#[derive(Debug)]
pub struct Merged {
    arguments: Vec<OsString>,
    bundle: Bundle,
    asked: Value,
    /// Keeps the resources alive until the engine has read them.
    _resources: File,
}

impl Merged {
    /// Runs the engine's update and, when it succeeded, keeps what was asked.
    /// Gives the engine's exit status.
    ///
    /// # Errors
    /// When the engine cannot be started or the bundle not be written.
    pub fn run(self, engine: &Path) -> Result<i32, UpdateError> {
        let status = Process::new(engine).args(&self.arguments).status();
        let status = status.map_err(|source| UpdateError::Engine {
            path: engine.to_owned(),
            source,
        })?;
        if status.success() {
            self.bundle
                .write_beside(ASKED, self.asked.to_string().as_bytes())?;
        }
        Ok(status.code().unwrap_or(1))
    }
}

/// Forgets what was asked of an earlier container in this bundle.
///
/// # Errors
/// When the kernel refuses.
pub fn forget(bundle: &Bundle) -> Result<(), BundleError> {
    bundle.remove_beside(ASKED)
}

/// Merges the update with the plan; `None` for a container that is not ranked,
/// or that the engine does not know.
///
/// # Errors
/// When the update cannot be read or the plan refuses.
pub fn merge(command: &Command, engine: &Path) -> Result<Option<Merged>, UpdateError> {
    let arguments = Arguments::parse(&command.rest)?;
    let Some(folder) = arguments
        .id
        .as_ref()
        .map(|id| bundle_of(engine, command, id))
    else {
        return Ok(None);
    };
    let Some(folder) = folder? else {
        return Ok(None);
    };
    let bundle = Bundle::open(&folder, None)?;
    let now = arguments.asked()?;
    let policy = command.policy.as_deref();
    let Some(resources) = resources(&bundle, now, command.claim.as_ref(), policy)? else {
        return Ok(None);
    };
    let Resulting { text, asked } = resources;
    let (path, file) = in_memory(&text).map_err(|source| UpdateError::Resources {
        path: "memfd".to_owned(),
        source,
    })?;
    let mut forwarded = command.global_options().to_vec();
    forwarded.extend(["update".into(), "--resources".into(), path.into()]);
    forwarded.extend(arguments.others);
    forwarded.extend(arguments.id);
    Ok(Some(Merged {
        arguments: forwarded,
        bundle,
        asked,
        _resources: file,
    }))
}

/// Resources to hand to the engine, and what is to be kept when it took them.
#[derive(Debug)]
pub struct Resulting {
    /// `linux.resources`, as the engine reads them.
    pub text: String,
    asked: Value,
}

impl Resulting {
    /// Keeps what was asked: the engine has taken it.
    ///
    /// # Errors
    /// When the bundle cannot be written.
    pub fn keep(&self, bundle: &Bundle) -> Result<(), BundleError> {
        bundle.write_beside(ASKED, self.asked.to_string().as_bytes())
    }
}

/// What the container gets when `now` is asked of it, on all that was asked
/// before, within its plan; `None` for a container that is not ranked.
///
/// # Errors
/// When something of it cannot be read or the plan refuses.
pub fn resources(
    bundle: &Bundle,
    mut now: Value,
    claim: Option<&RuntimeClaim>,
    policy: Option<&Path>,
) -> Result<Option<Resulting>, UpdateError> {
    let document = bundle.read()?;
    let mut spec = Spec::parse(&document)?.run_by(Cri::of_bundle(bundle.path()));
    let policy = planning::policy(policy).map_err(Refusal::from)?;
    let rank = planning::rank(&spec.annotations, &spec.place, claim, &policy)?;
    let ours = rank.is_some_and(|(rank, _)| rank.mode == Mode::Enforce);
    if !ours || spec.place.role == Role::Sandbox {
        return Ok(None);
    }
    let mut asked = match bundle.read_beside(ASKED)? {
        Some(bytes) => serde_json::from_slice(&bytes)?,
        None => Value::Object(Map::new()),
    };
    now = without_nulls(now);
    if let Some(map) = now.as_object_mut() {
        map.retain(|part, _| PARTS.contains(&part.as_str()));
    }
    overlay(&mut asked, &now);
    let mut merged = base(&spec, &asked)?;
    overlay(&mut merged, &asked);
    let text = merged.to_string();
    let mut object = Object::parse(&text, "resources")?;
    spec.resources = Resources::read(&object)?;
    let host = || Host::probe(Roots::own());
    let planned = planning::plan_spec(&spec, bundle.path(), claim, &policy, host)?;
    let Some((plan, _, host)) = planned else {
        return Ok(None);
    };
    write_resources(&mut object, &spec.resources, &plan, &host.cgroups)?;
    if plan.idle_by_us(&host.cgroups) {
        object.inside("cpu")?.remove("shares")?;
    }
    let text = object.render();
    Ok(Some(Resulting { text, asked }))
}

/// The spec's resources as an update has them, without what was derived from
/// a memory limit that the update replaces.
fn base(spec: &Spec<'_>, asked: &Value) -> Result<Value, UpdateError> {
    let resources = spec.document.object("linux")?.object("resources")?;
    let mut map = Map::new();
    for part in PARTS {
        if let Some(text) = resources.raw(part)? {
            map.insert(part.to_owned(), without_nulls(serde_json::from_str(text)?));
        }
    }
    let limit = spec.resources.memory_limit;
    let high = spec.resources.unified_number("memory.high");
    // Our own memory.high is a share of the limit; one that users wrote for
    // themselves stays.
    let ours = limit
        .zip(high)
        .is_some_and(|(limit, high)| high <= limit && limit - high <= limit / 10 + 4096);
    if asked.pointer("/memory/limit").is_some()
        && ours
        && let Some(unified) = map.get_mut("unified").and_then(Value::as_object_mut)
    {
        unified.remove("memory.high");
    }
    Ok(Value::Object(map))
}

/// Engines read null over their own defaults and fall over it.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k, without_nulls(v))).collect())
        }
        other => other,
    }
}

/// Lays `upper` on `lower`, object by object.
fn overlay(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (key, value) in upper {
                overlay(lower.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

/// A file without a name, and the path under which the engine finds it.
pub(crate) fn in_memory(text: &str) -> io::Result<(String, File)> {
    let mut file = File::from(memfd_create("packrank-update", MFdFlags::empty())?);
    file.write_all(text.as_bytes())?;
    Ok((format!("/proc/self/fd/{}", file.as_raw_fd()), file))
}

#[derive(Deserialize)]
struct State {
    bundle: PathBuf,
}

/// The container's bundle, by the engine's own word; `None` when the engine
/// does not know it, so that the engine can say so itself.
fn bundle_of(
    engine: &Path,
    command: &Command,
    id: &OsString,
) -> Result<Option<PathBuf>, UpdateError> {
    let output = Process::new(engine)
        .args(command.global_options())
        .arg("state")
        .arg(id)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|source| UpdateError::Engine {
            path: engine.to_owned(),
            source,
        })?;
    if !output.status.success() {
        return Ok(None);
    }
    let state: State = serde_json::from_slice(&output.stdout)?;
    Ok(Some(state.bundle))
}

/// An update's arguments.
#[derive(Debug, Default)]
struct Arguments {
    id: Option<OsString>,
    file: Option<String>,
    /// Path in the resources, and the number.
    flags: Vec<(&'static str, &'static str, Value)>,
    /// What is forwarded as it is.
    others: Vec<OsString>,
}

/// The engines' flags, and the member each one sets.
const FLAGS: [(&str, &str, &str); 14] = [
    ("memory", "memory", "limit"),
    ("memory-reservation", "memory", "reservation"),
    ("memory-swap", "memory", "swap"),
    ("kernel-memory", "memory", "kernel"),
    ("kernel-memory-tcp", "memory", "kernelTCP"),
    ("cpu-share", "cpu", "shares"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-period", "cpu", "period"),
    ("cpu-burst", "cpu", "burst"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("cpu-idle", "cpu", "idle"),
    ("pids-limit", "pids", "limit"),
    ("blkio-weight", "blockIO", "weight"),
];

impl Arguments {
    fn parse(rest: &[OsString]) -> Result<Arguments, UpdateError> {
        let mut parsed = Arguments::default();
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let Some(body) = text.strip_prefix('-').filter(|body| !body.is_empty()) else {
                parsed.id = Some(word.clone());
                continue;
            };
            let body = body.strip_prefix('-').unwrap_or(body);
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let mut value = || {
                let next = || words.next().map(|w| w.to_string_lossy().into_owned());
                inline.clone().or_else(next).unwrap_or_default()
            };
            let known = FLAGS.iter().find(|(flag, _, _)| *flag == name);
            match (name, known) {
                ("resources" | "r", _) => parsed.file = Some(value()),
                ("cpuset-cpus", _) => parsed.flags.push(("cpu", "cpus", value().into())),
                ("cpuset-mems", _) => parsed.flags.push(("cpu", "mems", value().into())),
                (_, Some((flag, part, member))) => {
                    let value = value();
                    let number = number(&value).ok_or_else(|| UpdateError::Flag {
                        flag: format!("--{flag}"),
                        value: value.clone(),
                    })?;
                    parsed.flags.push((part, member, number.into()));
                }
                _ => {
                    parsed.others.push(word.clone());
                    if inline.is_none() && name.ends_with("schema") {
                        parsed.others.extend(words.next().cloned());
                    }
                }
            }
        }
        Ok(parsed)
    }

    /// What is asked, as `linux.resources`.
    fn asked(&self) -> Result<Value, UpdateError> {
        let mut asked = match self.file.as_deref() {
            None => Value::Object(Map::new()),
            Some(path) => {
                let text = read(path).map_err(|source| UpdateError::Resources {
                    path: path.to_owned(),
                    source,
                })?;
                let map: Map<String, Value> = serde_json::from_str(&text)?;
                without_nulls(Value::Object(map))
            }
        };
        for (part, member, value) in &self.flags {
            let mut inner = Map::new();
            inner.insert((*member).to_owned(), value.clone());
            let mut outer = Map::new();
            outer.insert((*part).to_owned(), Value::Object(inner));
            overlay(&mut asked, &Value::Object(outer));
        }
        if let Some(map) = asked.as_object_mut() {
            map.retain(|part, _| PARTS.contains(&part.as_str()));
        }
        Ok(asked)
    }
}

/// A number as runc's flags take it: plain, or in bytes with k, m, g.
fn number(text: &str) -> Option<i64> {
    let (digits, factor) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

pub(crate) fn read(path: &str) -> io::Result<String> {
    /// An update is a few hundred bytes, a process a few thousand.
    const MOST: u64 = 1 << 20;
    let mut text = String::new();
    match path {
        "-" => io::stdin().take(MOST).read_to_string(&mut text)?,
        path => File::open(path)?.take(MOST).read_to_string(&mut text)?,
    };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Arguments::parse(&words).unwrap()
    }

    #[test]
    fn flags_become_resources() {
        let asked =
            arguments("--memory 300m --cpu-quota=50000 --pids-limit -1 --l3-cache-schema x id");
        assert_eq!(asked.id, Some("id".into()));
        assert_eq!(asked.others.len(), 2);
        let want = serde_json::json!({"memory": {"limit": 314572800}, "cpu": {"quota": 50000}, "pids": {"limit": -1}});
        assert_eq!(asked.asked().unwrap(), want);
        let words = ["--memory".into(), "much".into()];
        let error = Arguments::parse(&words).unwrap_err().to_string();
        assert_eq!(
            error,
            "update: --memory: \"much\" is not accepted: expected a whole number"
        );
    }

    #[test]
    fn a_file_is_read_and_flags_lie_on_top() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        std::fs::write(
            &path,
            r#"{"memory": {"limit": 1, "swap": null}, "devices": []}"#,
        )
        .unwrap();
        let asked = arguments(&format!("-r {} --memory-swap 7 id", path.display()));
        let want = serde_json::json!({"memory": {"limit": 1, "swap": 7}});
        assert_eq!(asked.asked().unwrap(), want);
    }

    #[test]
    fn a_memory_high_of_ours_goes_with_its_limit_and_a_users_stays() {
        let spec = |high: &str| {
            format!(
                r#"{{"linux": {{"resources": {{"memory": {{"limit": 268435456}}, "unified": {{"memory.high": "{high}"}}}}}}}}"#
            )
        };
        let asked = serde_json::json!({"memory": {"limit": 536870912}});
        for (high, stays) in [("241590272", false), ("100000000", true)] {
            let text = spec(high);
            let spec = Spec::parse(text.as_bytes()).unwrap();
            let base = base(&spec, &asked).unwrap();
            assert_eq!(base.pointer("/unified/memory.high").is_some(), stays);
        }
    }
}
