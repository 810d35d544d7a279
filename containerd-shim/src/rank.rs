//! A container's rank, inside the calls that make, start, change and remove it.
//!
//! In: the bundle. Out: its config.json with the plan in it before the engine
//! reads it; its network, disk space and record before its program runs;
//! updates within the plan; and nothing of it left. What blocks runs on a
//! thread of its own, so that other calls are answered meanwhile.

use std::path::{Path, PathBuf};

use packrank_core::rank::RuntimeClaim;
use packrank_core::spec::ProcessPart;
use packrank_shim::attach::{self, RUN_FOLDER, State};
use packrank_shim::bundle::Bundle;
use packrank_shim::runtime::{self, Begun, Overrides};
use packrank_shim::update;
use serde_json::Value;

use crate::error::Error;

/// How a container was ranked.
#[derive(Debug, Clone)]
pub struct Ranked {
    policy: Option<PathBuf>,
    engine: PathBuf,
    process: ProcessPart,
}

/// Runs what blocks.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Error::io("rank")(std::io::Error::other(e))))
}

fn run() -> &'static Path {
    Path::new(RUN_FOLDER)
}

impl Ranked {
    /// Plans and rewrites; `None` for a container that is not ranked.
    ///
    /// # Errors
    /// When the container is refused.
    pub async fn rewrite(
        bundle: PathBuf,
        claim: Option<RuntimeClaim>,
        policy: Option<PathBuf>,
        overrides: Overrides,
        engine: PathBuf,
    ) -> Result<Option<Ranked>, Error> {
        aside(move || {
            let bundle = Bundle::open(&bundle, None)?;
            let document = bundle.read()?;
            // No hook: what hooks do is done in Create, Start and Delete.
            let none = || None;
            let ranked = runtime::rank(
                &bundle,
                &document,
                claim.as_ref(),
                &overrides,
                Begun::Anew,
                none,
            )?;
            let Some((planned, _)) = ranked else {
                return Ok(None);
            };
            let plan = &planned.plan;
            let (mode, claimed) = (plan.rank.mode.name(), &plan.rank.claimed);
            log::info!(
                "ranked priority={} claimed={claimed:?} mode={mode}",
                plan.rank.priority
            );
            for setting in plan.settings.iter().filter(|s| s.value.is_none()) {
                let why = setting.note.as_deref().unwrap_or_default();
                log::warn!("{}: {why}", setting.key);
            }
            let process = planned.process;
            Ok(Some(Ranked {
                policy,
                engine,
                process,
            }))
        })
        .await
    }

    /// The spec of a process that Exec adds, within the plan.
    ///
    /// # Errors
    /// When it is no process's spec.
    pub fn added(&self, spec: &[u8]) -> Result<String, Error> {
        let wrong = |problem: String| Error::Request {
            member: "process spec",
            value: String::from_utf8_lossy(spec).chars().take(80).collect(),
            problem,
        };
        let text = std::str::from_utf8(spec).map_err(|e| wrong(e.to_string()))?;
        self.process.rewrite(text).map_err(|e| wrong(e.to_string()))
    }

    /// Gives a process that Exec has started what engines leave out of its
    /// spec. What cannot be given is told.
    pub fn added_started(&self, pid: u32) {
        // Its open files are what the engine read.
        let part = ProcessPart {
            files: None,
            ..self.process
        };
        for note in attach::process(&part, pid) {
            log::warn!("process {pid}: {note}");
        }
    }

    /// Shapes, limits and records a container whose program does not run yet.
    ///
    /// # Errors
    /// When what the host can do fails.
    pub async fn attach(&self, id: &str, pid: u32, bundle: &Path) -> Result<(), Error> {
        let policy = self.policy.clone();
        let state = State {
            id: id.to_owned(),
            pid,
            bundle: bundle.to_owned(),
            engine: Some(self.engine.clone()),
        };
        aside(move || {
            let notes = attach::attach(&state, policy.as_deref(), run())?;
            for note in notes.into_iter().flatten() {
                log::warn!("container {:?}: {note}", state.id);
            }
            Ok(())
        })
        .await
    }

    /// Shapes a network that came between Create and Start.
    ///
    /// # Errors
    /// When it cannot be shaped although the host has what it needs.
    pub async fn before_start(&self, id: &str, bundle: &Path) -> Result<(), Error> {
        let (id, bundle, this) = (id.to_owned(), bundle.to_owned(), self.clone());
        let policy = move || {
            attach::pending(
                &id,
                &bundle,
                this.policy.as_deref(),
                Some(&this.engine),
                run(),
            )?;
            Ok(())
        };
        aside(policy).await
    }

    /// The resources that an update comes to, as the engine reads them, and
    /// what to keep once it took them.
    ///
    /// # Errors
    /// When the update cannot be read or the plan refuses.
    pub async fn update(
        &self,
        bundle: &Path,
        asked: Value,
    ) -> Result<Option<update::Resulting>, Error> {
        let (bundle, policy) = (bundle.to_owned(), self.policy.clone());
        aside(move || {
            let bundle = Bundle::open(&bundle, None)?;
            Ok(update::resources(&bundle, asked, None, policy.as_deref())?)
        })
        .await
    }

    /// Removes what was made for it. Every failure is told, none stops.
    pub async fn detach(&self, id: &str, bundle: &Path) {
        let (id, bundle) = (id.to_owned(), bundle.to_owned());
        let swept = aside(move || Ok(attach::detach(&id, &bundle, run()))).await;
        for failure in swept.into_iter().flat_map(|swept| swept.failed) {
            log::warn!("{failure}");
        }
    }
}
