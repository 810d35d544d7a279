//! The runtime's one pass: read, plan, rewrite, step aside.
//!
//! In: the arguments. Out: nothing but an error; on success this process has
//! become the engine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use packrank_core::host::Roots;
use packrank_core::place::Cri;
use packrank_core::policy::{LoadError, Policy};
use packrank_core::rank::RuntimeClaim;
use packrank_core::spec::Spec;

use crate::attach::RUN_FOLDER;
use crate::bundle::{Bundle, BundleError};
use crate::command::{Command, CommandError};
use crate::engine::{self, EngineError, Own};
use crate::exec::{self, ExecError};
use crate::late::{self, LateError};
use crate::log::{Level, Log};
use crate::planning::{self, Hook, POLICY_FOLDER, Planned, Refusal};
use crate::started::Started;
use crate::update::{self, UpdateError};

/// Why the engine was not started.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Our own options are wrong.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The engine is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The bundle cannot be used.
    #[error("bundle {0}")]
    Bundle(#[from] BundleError),
    /// The container is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// The container's network cannot be shaped.
    #[error(transparent)]
    Late(#[from] LateError),
    /// A process cannot be added within the plan.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A restored process would be what it was.
    #[error(
        "security=restricted: a checkpoint's processes come back with the user and the capabilities that they had; start the container instead of restoring it"
    )]
    Restore,
    /// An update cannot be merged with the plan.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Does what the arguments say; comes back only with the reason why not,
/// which the engine's log file has by then. `own` is this program's own file.
#[must_use]
pub fn main(args: Vec<OsString>, own: &Own) -> RuntimeError {
    let (command, wrong) = Command::read(args);
    let Err(error) = match wrong {
        Some(wrong) => Err(wrong.into()),
        None => run(&command, own),
    };
    if let Some(path) = &command.log {
        let mut log = Log::new(command.log_json);
        log.tell(Level::Error, &error.to_string());
        // The caller hears the reason on stderr too.
        let _ = log.append(path);
    }
    error
}

fn run(command: &Command, own: &Own) -> Result<std::convert::Infallible, RuntimeError> {
    let started = command.id.as_deref();
    let started = started.map(|id| Started::of(Path::new(RUN_FOLDER), &command.root, id));
    if command.begins() {
        let overrides = Overrides::read(command.policy.as_deref())?;
        let engine = own.find(command.engine.as_deref(), overrides.engine.as_deref())?;
        create(command, &overrides, own)?;
        if let Some(started) = started.filter(|_| command.engine.is_none()) {
            // Who may not write there finds it again by policy and PATH.
            let _ = started.keep(&engine);
        }
        return Err(engine::exec(engine, &command.forwarded).into());
    }
    let kept = started.as_ref().and_then(Started::engine);
    let engine = engine_of(command, own, kept.as_deref())?;
    match command.verb.as_deref() {
        Some("start") => late::shape(command, own)?,
        Some("update") => {
            if let Some(merged) = update::merge(command, &engine)? {
                std::process::exit(merged.run(&engine)?);
            }
        }
        Some("exec") => {
            if let Some(added) = exec::within_plan(command, Path::new(RUN_FOLDER))? {
                return Err(engine::exec(engine, &added.arguments).into());
            }
        }
        Some("delete") if kept.is_some() => {
            let status = engine::run(&engine, &command.forwarded)?;
            if let Some(started) = started.filter(|_| status == 0) {
                started.forget();
            }
            std::process::exit(status);
        }
        _ => {}
    }
    Err(engine::exec(engine, &command.forwarded).into())
}

/// The engine of a verb that makes no container: the flag's, the one that the
/// container was started with, else as `create` would choose it now. The
/// policy may be wrong: what runs must still be seen, stopped and removed.
fn engine_of(command: &Command, own: &Own, kept: Option<&Path>) -> Result<PathBuf, EngineError> {
    let flag = command.engine.as_deref();
    if let Some(kept) = kept.filter(|_| flag.is_none())
        && let Ok(engine) = own.find(Some(kept), None)
    {
        return Ok(engine);
    }
    let named = match flag {
        Some(_) => None,
        None => Policy::engine_named(Path::new(POLICY_FOLDER), command.policy.as_deref()),
    };
    own.find(flag, named.as_deref())
}

/// What a verb that makes a container must know of the policy, without the cost of all of it
/// where there is no file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The engine that the policy names.
    pub engine: Option<PathBuf>,
    /// Whether containers without a claim have a class.
    pub default_class: bool,
    /// The whole, where there are files.
    policy: Option<Policy>,
}

impl Overrides {
    /// Reads them from a policy file, or from `/etc/packrank`.
    ///
    /// # Errors
    /// When the policy cannot be had.
    pub fn read(file: Option<&Path>) -> Result<Overrides, LoadError> {
        if file.is_none() && !Path::new(POLICY_FOLDER).exists() {
            return Ok(Overrides::default());
        }
        let policy = planning::policy(file)?;
        Ok(Overrides {
            engine: policy.engine.clone(),
            default_class: policy.default_class.is_some(),
            policy: Some(policy),
        })
    }
}

/// Ranks the bundle, where its container claims a class.
fn create(command: &Command, overrides: &Overrides, own: &Own) -> Result<(), RuntimeError> {
    let folder = command.bundle.as_deref().unwrap_or(Path::new("."));
    let bundle = Bundle::open(folder, command.config.as_deref())?;
    let document = bundle.read()?;
    let hook = || Hook::beside(own, command.policy.as_deref());
    let begun = match command.verb.as_deref() {
        Some("restore") => Begun::Restored,
        _ => Begun::Anew,
    };
    let claim = command.claim.as_ref();
    let planned = rank(&bundle, &document, claim, overrides, begun, hook)?;
    if let Some((planned, hook)) = planned {
        note(command, &planned, hook.is_some());
    }
    Ok(())
}

/// How a container's processes come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Its program is started.
    Anew,
    /// They come back from a checkpoint, as they were.
    Restored,
}

/// Plans for the bundle and writes the plan into its config.json, with the
/// hook that there is; `None` for a container that is not ranked, whose
/// document is left as it is.
///
/// # Errors
/// When the container is refused, or its document cannot be replaced.
pub fn rank(
    bundle: &Bundle,
    document: &[u8],
    claim: Option<&RuntimeClaim>,
    overrides: &Overrides,
    begun: Begun,
    hook: impl FnOnce() -> Option<Hook>,
) -> Result<Option<(Planned, Option<Hook>)>, RuntimeError> {
    let claimed = claim.is_some() || overrides.default_class;
    if !claimed && !mentions_us(document) {
        return Ok(None);
    }
    let built_in;
    let policy = match &overrides.policy {
        Some(policy) => policy,
        None => {
            built_in = Policy::built_in().map_err(LoadError::from)?;
            &built_in
        }
    };
    let path = bundle.path();
    let ours = |all: Vec<(String, String)>| all.iter().any(|(key, _)| key.contains("packrank.io/"));
    let spec = match Spec::parse(document) {
        // It only has our name in it somewhere: whatever else it holds is its engine's to judge.
        Err(_) if !claimed && Spec::annotations_of(document).is_ok_and(|all| !ours(all)) => {
            return Ok(None);
        }
        spec => spec.map_err(Refusal::from)?,
    };
    let spec = spec.run_by(Cri::of_bundle(path));
    let hook = hook();
    let planned = planning::ranked(&spec, path, claim, policy, Roots::own(), hook.as_ref())?;
    let Some(planned) = planned else {
        return Ok(None);
    };
    if begun == Begun::Restored && planned.process.restricted {
        return Err(RuntimeError::Restore);
    }
    update::forget(bundle)?;
    if planned.document.as_bytes() != document {
        bundle.replace(document, planned.document.as_bytes())?;
    }
    Ok(Some((planned, hook)))
}

/// Whether the document can hold an annotation of ours at all.
fn mentions_us(document: &[u8]) -> bool {
    const US: &str = "packrank";
    // The search in text is the quick one; what is no text may go to its
    // engine all the same.
    let Ok(text) = std::str::from_utf8(document) else {
        return document.windows(US.len()).any(|part| part == US.as_bytes());
    };
    text.contains(US) || (text.contains("\\u00") && unescaped(text).contains(US))
}

/// The text with JSON's escapes of ASCII letters undone: `\u0070` is a `p`.
fn unescaped(text: &str) -> String {
    let mut pieces = text.split("\\u00");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let letter = piece
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.extend(letter.map(char::from));
        plain.push_str(piece.get(2..).unwrap_or(piece));
    }
    plain
}

/// One line for the applied plan, one for each thing left out.
fn note(command: &Command, planned: &Planned, hook: bool) {
    let Some(path) = &command.log else { return };
    let plan = &planned.plan;
    let (class, claimed) = (plan.rank.priority, &plan.rank.claimed);
    let mode = plan.rank.mode.name();
    let mut log = Log::new(command.log_json);
    let ranked = format!("ranked priority={class} claimed={claimed} mode={mode}");
    log.tell(Level::Info, &ranked);
    for setting in plan.settings.iter().filter(|s| s.value.is_none()) {
        let why = setting.note.as_deref().unwrap_or_default();
        log.tell(Level::Warning, &format!("{why} key={}", setting.key));
    }
    if !hook {
        log.tell(
            Level::Warning,
            "network and disk space are left out: packrank-hook is not installed beside packrank-runtime",
        );
    }
    // A log that cannot be written must not stop a container.
    let _ = log.append(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ours_however_it_is_escaped() {
        for (text, ours) in [
            (r#"{"annotations":{"packrank.io/priority":"low"}}"#, true),
            (
                r#"{"annotations":{"pack\u0072ank.io/priority":"low"}}"#,
                true,
            ),
            (
                r#"{"annotations":{"\u0070\u0061\u0063\u006Brank.io/priority":"low"}}"#,
                true,
            ),
            (
                r#"{"annotations":{"pack\u0020rank.io/priority":"low"}}"#,
                false,
            ),
            (r#"{"process":{"env":["A=\u003cb\u003e","B=\u00"]}}"#, false),
            ("{}", false),
        ] {
            assert_eq!(mentions_us(text.as_bytes()), ours, "{text}");
        }
        assert!(mentions_us(b"\xff packrank.io/x"));
        assert!(!mentions_us(b"\xff"));
    }
}
