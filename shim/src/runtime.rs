//! The runtime's one pass: read, plan, rewrite, step aside.
//!
//! In: the arguments. Out: nothing but an error; on success this process has
//! become the engine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use packrank_core::host::Roots;
use packrank_core::policy::{LoadError, Policy};
use packrank_core::rank::RuntimeClaim;
use packrank_core::spec::Spec;

use crate::attach::{self, AttachError};
use crate::bundle::{Bundle, BundleError};
use crate::command::{Command, CommandError};
use crate::engine::{self, EngineError};
use crate::log::Log;
use crate::planning::{self, Hook, POLICY_FOLDER, Planned, Refusal};
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
    Attach(#[from] AttachError),
    /// An update cannot be merged with the plan.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Does what the arguments say; comes back only with the reason why not,
/// which the engine's log file has by then.
#[must_use]
pub fn main(args: Vec<OsString>) -> RuntimeError {
    let (command, wrong) = Command::read(args);
    let Err(error) = match wrong {
        Some(wrong) => Err(wrong.into()),
        None => run(&command),
    };
    if let Some(path) = &command.log
        && let Ok(log) = Log::open(path, command.log_json, command.debug)
    {
        tracing::subscriber::with_default(log, || tracing::error!("{error}"));
    }
    error
}

fn run(command: &Command) -> Result<std::convert::Infallible, RuntimeError> {
    let overrides = Overrides::read(command.policy.as_deref())?;
    let engine = engine::find(command.engine.as_deref(), overrides.engine.as_deref())?;
    match command.verb.as_deref() {
        Some("create" | "run") => create(command, &overrides)?,
        Some("start") => attach::before_start(command)?,
        Some("update") => {
            if let Some(merged) = update::merge(command, &engine)? {
                std::process::exit(merged.run(&engine)?);
            }
        }
        _ => {}
    }
    Err(engine::exec(engine, &command.forwarded).into())
}

/// What every verb must know of the policy, without the cost of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrides {
    /// The engine that the policy names.
    pub engine: Option<PathBuf>,
    /// Whether containers without a claim have a class.
    pub default_class: bool,
}

impl Overrides {
    /// Reads them from a policy file, or from `/etc/packrank`.
    ///
    /// # Errors
    /// When the policy cannot be had.
    pub fn read(file: Option<&Path>) -> Result<Overrides, LoadError> {
        if file.is_none() && !Path::new(POLICY_FOLDER).exists() {
            return Ok(Overrides {
                engine: None,
                default_class: false,
            });
        }
        let policy: Policy = planning::policy(file)?;
        Ok(Overrides {
            engine: policy.engine,
            default_class: policy.default_class.is_some(),
        })
    }
}

/// Ranks the bundle, where its container claims a class.
fn create(command: &Command, overrides: &Overrides) -> Result<(), RuntimeError> {
    let folder = command.bundle.as_deref().unwrap_or(Path::new("."));
    let bundle = Bundle::open(folder, command.config.as_deref())?;
    let document = bundle.read()?;
    let hook = || Hook::beside_us(command.policy.as_deref());
    let policy = command.policy.as_deref();
    let claim = command.claim.as_ref();
    let planned = rank(&bundle, &document, claim, policy, overrides, hook)?;
    if let Some((planned, hook)) = planned {
        note(command, &planned, hook.is_some());
    }
    Ok(())
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
    policy: Option<&Path>,
    overrides: &Overrides,
    hook: impl FnOnce() -> Option<Hook>,
) -> Result<Option<(Planned, Option<Hook>)>, RuntimeError> {
    let claimed = claim.is_some() || overrides.default_class;
    if !claimed && !mentions_us(document) {
        return Ok(None);
    }
    let policy = planning::policy(policy)?;
    let spec = Spec::parse(document).map_err(Refusal::from)?;
    let hook = hook();
    let path = bundle.path();
    let planned = planning::ranked(&spec, path, claim, &policy, Roots::own(), hook.as_ref())?;
    let Some(planned) = planned else {
        return Ok(None);
    };
    update::forget(bundle)?;
    if planned.document.as_bytes() != document {
        bundle.replace(document, planned.document.as_bytes())?;
    }
    Ok(Some((planned, hook)))
}

/// Whether the document can hold an annotation of ours at all.
fn mentions_us(document: &[u8]) -> bool {
    memchr::memmem::find(document, b"packrank").is_some()
}

/// One line for the applied plan, one for each thing left out.
fn note(command: &Command, planned: &Planned, hook: bool) {
    let Some(path) = &command.log else { return };
    let Ok(log) = Log::open(path, command.log_json, command.debug) else {
        return;
    };
    let plan = &planned.plan;
    tracing::subscriber::with_default(log, || {
        let (mode, claimed) = (plan.rank.mode.name(), &plan.rank.claimed);
        tracing::info!(priority = %plan.rank.priority, %claimed, %mode, "ranked");
        for setting in plan.settings.iter().filter(|s| s.value.is_none()) {
            let why = setting.note.as_deref().unwrap_or_default();
            tracing::warn!(key = %setting.key, "{why}");
        }
        if !hook {
            tracing::warn!(
                "network and disk space are left out: packrank-hook is not installed beside packrank-runtime"
            );
        }
    });
}
