//! Create: from a request to a container that waits for its start.
//!
//! In: the request. Out: its root mounted, its spec ranked, the engine's create
//! done, its network and disk in force, and word of it; or nothing left of it.

use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;

use containerd_shim_protos::api::CreateTaskRequest;
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::topics;
use packrank_core::spec::Spec;
use packrank_shim::bundle::Bundle;
use packrank_shim::runtime::{Overrides, RuntimeError};

use super::{PID_FILE, Shim};
use crate::container::{Container, Parts, read_pid};
use crate::engine::{Ends, Engine, arguments};
use crate::error::Error;
use crate::exits::Ended;
use crate::io::{Console, Stdio, Streams, Whose};
use crate::options::Options;
use crate::process::Process;
use crate::rank::Ranked;
use crate::saved::Saved;
use crate::{facts, rootfs};

/// What stands before the engine's create.
struct Prepared {
    options: Options,
    engine: Engine,
    ranked: Option<Ranked>,
    shares_pids: bool,
}

impl Shim {
    /// Makes a container, ranked and shaped, that waits for its start. Out: its
    /// first process's number. Of one that cannot be made, nothing is left.
    ///
    /// # Errors
    /// When it is refused, or a step fails.
    pub async fn create(self: &Arc<Self>, request: CreateTaskRequest) -> Result<u32, Error> {
        if !request.checkpoint.is_empty() {
            return Err(Error::Unimplemented("restoring a checkpoint"));
        }
        let id = request.id.clone();
        match self.containers().entry(id.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(None)),
            Entry::Occupied(_) => {
                return Err(Error::Exists {
                    what: "container",
                    id,
                });
            }
        }
        let made = self.make(&request).await;
        if made.is_err() {
            self.containers().remove(&id);
        }
        made
    }

    async fn make(self: &Arc<Self>, request: &CreateTaskRequest) -> Result<u32, Error> {
        let bundle = Path::new(&request.bundle);
        let rootfs = bundle.join("rootfs");
        rootfs::mount(request.rootfs.clone(), rootfs.clone()).await?;
        let made = self.make_mounted(request, bundle).await;
        if made.is_err()
            && let Err(error) = rootfs::unmount_all(&rootfs)
        {
            log::warn!("{error}");
        }
        made
    }

    async fn make_mounted(
        self: &Arc<Self>,
        request: &CreateTaskRequest,
        bundle: &Path,
    ) -> Result<u32, Error> {
        let prepared = self.prepare(request, bundle).await?;
        let watch = self.exits.watch();
        let (init, ended) = self.run_create(request, &prepared).await?;
        drop(watch);
        let pid = init.now().pid;
        let container = Arc::new(Container::new(Parts {
            id: request.id.clone(),
            init,
            engine: prepared.engine,
            ranked: prepared.ranked,
            owner: (prepared.options.io_uid, prepared.options.io_gid),
            namespace: self.namespace.clone(),
            shares_pids: prepared.shares_pids,
        }));
        if let Some(ranked) = &container.ranked
            && let Err(error) = ranked.attach(&container.id, pid, bundle).await
        {
            container.engine.discard(&self.exits, &container.id).await;
            ranked.detach(&container.id, &container.bundle).await;
            return Err(error);
        }
        self.containers()
            .insert(container.id.clone(), Some(container.clone()));
        self.events
            .send(topics::TASK_CREATE_EVENT_TOPIC, &created(request, pid));
        self.watch_memory(&container);
        tokio::spawn(self.clone().first_ended(container, ended));
        Ok(pid)
    }

    /// All that can be refused before anything is made.
    async fn prepare(&self, request: &CreateTaskRequest, bundle: &Path) -> Result<Prepared, Error> {
        let options = Options::read(request.options.as_ref())?;
        let document = Bundle::open(bundle, None)?.read()?;
        // One that cannot be read is refused where it is ranked; elsewhere it is the engine's to judge.
        let spec = Spec::parse(&document).ok();
        let overrides = Overrides::read(options.policy.as_deref()).map_err(RuntimeError::from)?;
        let policy = overrides.engine.as_deref();
        let engine = Engine::find(&options, policy, &self.namespace, bundle, spec.as_ref())?;
        let shares_pids = facts::shares_pids(&document);
        drop(document);
        let ranked = Ranked::rewrite(
            bundle.to_owned(),
            options.claim()?,
            options.policy.clone(),
            overrides,
            engine.program.clone(),
        )
        .await?;
        let saved = Saved {
            engine: engine.clone(),
            ranked: ranked.is_some(),
        };
        saved.write(bundle)?;
        Ok(Prepared {
            options,
            engine,
            ranked,
            shares_pids,
        })
    }

    /// The engine's create: the first process, and its end.
    async fn run_create(
        &self,
        request: &CreateTaskRequest,
        prepared: &Prepared,
    ) -> Result<(Process, Ended), Error> {
        let (engine, options) = (&prepared.engine, &prepared.options);
        let bundle = &engine.bundle;
        let pid_file = bundle.join(PID_FILE);
        let mut words = arguments([&"--bundle", bundle, &"--pid-file", &pid_file]);
        words.extend(options.no_pivot_root.then(|| "--no-pivot".into()));
        words.extend(options.no_new_keyring.then(|| "--no-new-keyring".into()));
        let whose = Whose {
            container: &request.id,
            namespace: &self.namespace,
            owner: (options.io_uid, options.io_gid),
        };
        let stdio = Stdio {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let connected = if stdio.terminal {
            let console = Console::make(bundle)?;
            words.extend(arguments([
                &"--console-socket",
                &console.path(),
                &request.id,
            ]));
            engine
                .run(&self.exits, "create", words, Ends::default())
                .await?;
            match console.receive().await {
                Ok(terminal) => Streams::connect(terminal, &stdio, &whose, &self.exits).await,
                Err(error) => Err(error),
            }
        } else {
            let (streams, ends) = Streams::open(&stdio, &whose, &self.exits).await?;
            words.extend(arguments([&request.id]));
            engine.run(&self.exits, "create", words, ends).await?;
            Ok(streams)
        };
        let made = connected.and_then(|streams| Ok((streams, read_pid(&pid_file)?)));
        if made.is_err() {
            engine.discard(&self.exits, &request.id).await;
        }
        let (streams, pid) = made?;
        Ok((Process::created(pid, stdio, streams), self.exits.of(pid)))
    }
}

fn created(request: &CreateTaskRequest, pid: u32) -> TaskCreate {
    TaskCreate {
        container_id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        io: MessageField::some(TaskIO {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            ..TaskIO::default()
        }),
        pid,
        ..TaskCreate::default()
    }
}
