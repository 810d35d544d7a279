//! From a config.json to its plan.
//!
//! In: the document's bytes, the bundle's folder, the policy and the host.
//! Out: the plan and the document with it written in, or nothing for a
//! container that is not ranked. The runtime, the containerd shim, the hook
//! and `explain` all plan here.

use std::path::{Path, PathBuf};

use packrank_core::annotation::{AnnotationError, Request};
use packrank_core::host::{Host, Roots};
use packrank_core::place::{Cri, Place, Role};
use packrank_core::plan::{self, Inputs, Plan, PlanError};
use packrank_core::policy::{LoadError, Mode, Policy};
use packrank_core::rank::{Rank, RankError, RuntimeClaim};
use packrank_core::spec::{DocumentError, Phase, ProcessPart, Spec, SpecError, add_hooks, rewrite};

use crate::engine::Own;

/// Where policy files are.
pub const POLICY_FOLDER: &str = "/etc/packrank";

/// Why a container is refused. Each is one sentence for its user.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// config.json cannot be read as one.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An annotation cannot be read.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// A claim above its grant.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// A value above its ceiling.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A member we would edit is not what it must be.
    #[error("config.json: {0}")]
    Document(#[from] DocumentError),
}

/// A container's plan, and its spec before and after.
#[derive(Debug)]
pub struct Planned {
    /// What will be done.
    pub plan: Plan,
    /// What the annotations ask.
    pub request: Request,
    /// The rewritten config.json.
    pub document: String,
    /// Where the container stands.
    pub place: Place,
    /// The node it was planned for.
    pub host: Host,
    /// What every process of it gets; nothing where the plan is not applied.
    pub process: ProcessPart,
}

impl Planned {
    /// Whether the plan is written into config.json: not in mode audit, and
    /// not for a pod's sandbox, which keeps its own resources: a rank it
    /// carries is its containers'.
    #[must_use]
    pub fn applies(&self) -> bool {
        self.place.role != Role::Sandbox && self.plan.rank.mode == Mode::Enforce
    }
}

/// The policy of a file, or of `/etc/packrank` where none is named.
///
/// # Errors
/// When a file is unreadable, open to others, or wrong.
pub fn policy(file: Option<&Path>) -> Result<Policy, LoadError> {
    match file {
        None => Policy::load(Path::new(POLICY_FOLDER)),
        Some(file) => {
            let mut policy = Policy::built_in()?;
            policy.add_file(file)?;
            Ok(policy)
        }
    }
}

/// The rank of a spec with these annotations, and what they ask.
///
/// # Errors
/// When an annotation cannot be read or claims too much.
pub fn rank(
    annotations: &[(String, String)],
    place: &Place,
    claim: Option<&RuntimeClaim>,
    policy: &Policy,
) -> Result<Option<(Rank, Request)>, Refusal> {
    let pairs = annotations.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let request = Request::parse(pairs, place.container.as_deref())?;
    let rank = Rank::resolve(&request, claim, place, annotations, policy)?;
    Ok(rank.map(|rank| (rank, request)))
}

/// Plans for the document; `None` when the container is not ranked.
///
/// # Errors
/// When the container is refused.
pub fn plan(
    document: &[u8],
    bundle: &Path,
    claim: Option<&RuntimeClaim>,
    policy: &Policy,
    roots: Roots,
) -> Result<Option<Planned>, Refusal> {
    let spec = Spec::parse(document)?.run_by(Cri::of_bundle(bundle));
    ranked(&spec, bundle, claim, policy, roots, None)
}

/// [`plan()`] for a spec that was read already, with `hook` added to the
/// document in every phase it is needed in.
///
/// # Errors
/// When the container is refused.
pub fn ranked(
    spec: &Spec<'_>,
    bundle: &Path,
    claim: Option<&RuntimeClaim>,
    policy: &Policy,
    roots: Roots,
    hook: Option<&Hook>,
) -> Result<Option<Planned>, Refusal> {
    let planned = plan_spec(spec, bundle, claim, policy, || Host::probe(roots))?;
    let Some((plan, request, host)) = planned else {
        return Ok(None);
    };
    let mut planned = Planned {
        place: spec.place.clone(),
        document: String::new(),
        request,
        plan,
        host,
        process: ProcessPart::default(),
    };
    let mut document = match planned.applies() {
        true => {
            let value = |key| planned.plan.value(key).cloned();
            planned.process = ProcessPart::of(value, spec.user_namespace);
            rewrite(spec, &planned.plan, &planned.host.cgroups)?
        }
        false => spec.document.clone(),
    };
    // Without root on the node a hook could do nothing.
    if let Some(hook) = hook.filter(|_| !planned.host.cgroups.delegated) {
        add_hooks(&mut document, &hook.program, &hook.options, &PHASES)?;
    }
    planned.document = document.render();
    Ok(Some(planned))
}

/// Where our hook is needed: to shape and record, and to clean up.
const PHASES: [Phase; 2] = [Phase::CreateRuntime, Phase::Poststop];

/// Our hook program.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its path.
    pub program: PathBuf,
    /// Its options: the policy file, where it is not `/etc/packrank`.
    pub options: Vec<String>,
}

impl Hook {
    /// The one that was installed beside the program.
    #[must_use]
    pub fn beside(own: &Own, policy: Option<&Path>) -> Option<Hook> {
        let options = |file: &Path| {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
            vec!["--policy".to_owned(), file.display().to_string()]
        };
        Some(Hook {
            program: own.beside("packrank-hook")?,
            options: policy.map_or_else(Vec::new, options),
        })
    }
}

/// Plans for a spec that was read already: the plan, what the annotations ask,
/// and the host, which is looked at only when the container is ranked.
///
/// # Errors
/// When the container is refused.
pub fn plan_spec(
    spec: &Spec<'_>,
    bundle: &Path,
    claim: Option<&RuntimeClaim>,
    policy: &Policy,
    host: impl FnOnce() -> Host,
) -> Result<Option<(Plan, Request, Host)>, Refusal> {
    let Some((rank, request)) = rank(&spec.annotations, &spec.place, claim, policy)? else {
        return Ok(None);
    };
    let host = host().in_reach(spec);
    let plan = plan::plan(Inputs {
        rank: &rank,
        request: &request,
        spec,
        policy,
        host: &host,
        disks: &host.disks(&writable_paths(spec, bundle)),
    })?;
    Ok(Some((plan, request, host)))
}

/// What the container writes to: its root, unless read-only, and the sources
/// of its writable bind mounts.
#[must_use]
pub fn writable_paths(spec: &Spec<'_>, bundle: &Path) -> Vec<PathBuf> {
    let root = spec.rootfs.as_deref().filter(|_| !spec.readonly);
    let binds = spec.binds.iter().filter(|b| b.writable);
    root.into_iter()
        .chain(binds.map(|b| b.source.as_str()))
        .map(|path| bundle.join(path))
        .collect()
}
