//! The task service: what containerd may ask, free of how it asks.
//!
//! In: its requests. Out: its answers, and the events in between. Each method
//! reads as what the call promises; a container's steps are in `container`,
//! and which call comes when is `life`'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use containerd_shim_protos::api::{
    ConnectResponse, CreateTaskRequest, DeleteResponse, ExecProcessRequest, ProcessInfo,
    StateResponse, Status,
};
use containerd_shim_protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM, TaskPaused,
    TaskResumed, TaskStart,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{EnumOrUnknown, Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::topics;
use packrank_core::spec::Spec;
use packrank_shim::bundle::Bundle;
use packrank_shim::planning::Refusal;
use packrank_shim::runtime::{Overrides, RuntimeError};
use tokio::sync::Notify;

use crate::container::{Container, Parts, read_pid};
use crate::engine::{Ends, Engine, arguments};
use crate::error::Error;
use crate::events::{Events, timestamp};
use crate::exits::{Ended, Exit, Exits};
use crate::io::{Console, Stdio, Streams, Whose};
use crate::life::{Call, Phase};
use crate::options::Options;
use crate::process::Process;
use crate::rank::Ranked;
use crate::saved::Saved;
use crate::{facts, rootfs};

/// The engine's pid file in the bundle, under the stock shim's name.
pub const PID_FILE: &str = "init.pid";

/// A shim, with the containers of its group.
#[derive(Debug)]
pub struct Shim {
    namespace: String,
    exits: Arc<Exits>,
    events: Events,
    /// `None` while one is being made.
    containers: Mutex<BTreeMap<String, Option<Arc<Container>>>>,
    done: Notify,
}

impl Shim {
    /// One without containers.
    #[must_use]
    pub fn new(namespace: String, exits: Arc<Exits>, events: Events) -> Arc<Shim> {
        Arc::new(Shim {
            namespace,
            exits,
            events,
            containers: Mutex::new(BTreeMap::new()),
            done: Notify::new(),
        })
    }

    fn containers(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Arc<Container>>>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A container by its id.
    ///
    /// # Errors
    /// When there is none.
    pub fn container(&self, id: &str) -> Result<Arc<Container>, Error> {
        let container = self.containers().get(id).cloned().flatten();
        container.ok_or_else(|| Error::Absent {
            what: "container",
            id: id.to_owned(),
        })
    }

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
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(None)),
            std::collections::btree_map::Entry::Occupied(_) => {
                return Err(Error::Exists {
                    what: "container",
                    id,
                });
            }
        }
        let made = self.make(request).await;
        if made.is_err() {
            self.containers().remove(&id);
        }
        made
    }

    async fn make(self: &Arc<Self>, request: CreateTaskRequest) -> Result<u32, Error> {
        let bundle = Path::new(&request.bundle);
        let rootfs = bundle.join("rootfs");
        rootfs::mount(request.rootfs.clone(), rootfs.clone()).await?;
        let made = self.make_mounted(&request, bundle).await;
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
        let options = Options::read(request.options.as_ref())?;
        let document = Bundle::open(bundle, None)?.read()?;
        let spec = Spec::parse(&document).map_err(|e| RuntimeError::from(Refusal::from(e)))?;
        let overrides = Overrides::read(options.policy.as_deref()).map_err(RuntimeError::from)?;
        let policy = overrides.engine.clone();
        let engine = Engine::find(
            &options,
            policy.as_deref(),
            &self.namespace,
            bundle,
            Some(&spec),
        )?;
        let shares_pids = facts::shares_pids(&document);
        drop(document);
        let claim = options.claim()?;
        let program = engine.program.clone();
        let ranked = Ranked::rewrite(
            bundle.to_owned(),
            claim,
            options.policy.clone(),
            overrides,
            program,
        )
        .await?;
        let saved = Saved {
            engine: engine.clone(),
            ranked: ranked.is_some(),
        };
        saved.write(bundle)?;
        let watch = self.exits.watch();
        let (init, ended) = self.run_create(request, &engine, &options).await?;
        drop(watch);
        let pid = init.now().pid;
        let container = Arc::new(Container::new(Parts {
            id: request.id.clone(),
            init,
            engine,
            ranked,
            owner: (options.io_uid, options.io_gid),
            namespace: self.namespace.clone(),
            shares_pids,
        }));
        if let Some(ranked) = &container.ranked
            && let Err(error) = ranked.attach(&container.id, pid, bundle).await
        {
            self.unmake(&container).await;
            return Err(error);
        }
        self.containers()
            .insert(container.id.clone(), Some(container.clone()));
        self.events.send(
            topics::TASK_CREATE_EVENT_TOPIC,
            &TaskCreate {
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
            },
        );
        self.watch_memory(&container);
        tokio::spawn(self.clone().first_ended(container, ended));
        Ok(pid)
    }

    /// The engine's create: the first process, and its end.
    async fn run_create(
        &self,
        request: &CreateTaskRequest,
        engine: &Engine,
        options: &Options,
    ) -> Result<(Process, Ended), Error> {
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
        let streams = if stdio.terminal {
            let console = Console::make(bundle)?;
            words.extend(arguments([
                &"--console-socket",
                &console.path(),
                &request.id,
            ]));
            engine
                .run(&self.exits, "create", words, Ends::default())
                .await?;
            let connected = match console.receive().await {
                Ok(terminal) => Streams::connect(terminal, &stdio, &whose, &self.exits).await,
                Err(error) => Err(error),
            };
            self.or_remove(engine, &request.id, connected).await?
        } else {
            let (streams, ends) = Streams::open(&stdio, &whose, &self.exits).await?;
            words.extend(arguments([&request.id]));
            engine.run(&self.exits, "create", words, ends).await?;
            streams
        };
        let pid = self
            .or_remove(engine, &request.id, read_pid(&pid_file))
            .await?;
        Ok((Process::created(pid, stdio, streams), self.exits.of(pid)))
    }

    /// Has the engine remove what it has made, where what followed failed.
    async fn or_remove<T>(
        &self,
        engine: &Engine,
        id: &str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if result.is_err() {
            let words = arguments([&"--force", &id]);
            let removed = engine
                .run(&self.exits, "delete", words, Ends::default())
                .await;
            if let Err(error) = removed {
                log::warn!("container {id:?}: {error}");
            }
        }
        result
    }

    /// Removes a container that could not be put in force.
    async fn unmake(&self, container: &Container) {
        let words = arguments([&"--force", &container.id]);
        let removed = container
            .engine
            .run(&self.exits, "delete", words, Ends::default())
            .await;
        if let Err(error) = removed {
            log::warn!("container {:?}: {error}", container.id);
        }
        if let Some(ranked) = &container.ranked {
            ranked.detach(&container.id).await;
        }
    }

    fn watch_memory(&self, container: &Arc<Container>) {
        let (events, id) = (self.events.clone(), container.id.clone());
        match container.oom.watch(move || tell_of_kill(&events, &id)) {
            Ok(watch) => {
                let mut slot = container
                    .oom_watch
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *slot = Some(watch);
            }
            Err(error) => log::warn!("container {:?}: no events of memory: {error}", container.id),
        }
    }

    /// Waits for the first process's end and tells of it, last of all of the
    /// container's.
    async fn first_ended(self: Arc<Self>, container: Arc<Container>, ended: Ended) {
        let exit = ended.await.unwrap_or(Exit::now(255));
        container.end();
        let _order = container.init.order.lock().await;
        if container.shares_pids {
            container.kill_all(&self.exits).await;
        }
        for process in container.added() {
            // One that is being started is first told of as started.
            drop(process.order.lock().await);
            if process.now().phase == Phase::Running {
                process.wait().await;
            }
        }
        if container.oom.news() {
            tell_of_kill(&self.events, &container.id);
        }
        self.tell_of_end(&container, &container.init, exit);
    }

    async fn exec_ended(
        self: Arc<Self>,
        container: Arc<Container>,
        process: Arc<Process>,
        ended: Ended,
    ) {
        let exit = ended.await.unwrap_or(Exit::now(255));
        let _order = process.order.lock().await;
        self.tell_of_end(&container, &process, exit);
    }

    fn tell_of_end(&self, container: &Container, process: &Process, exit: Exit) {
        let id = match process.exec_id.is_empty() {
            true => &container.id,
            false => &process.exec_id,
        };
        self.events.send(
            topics::TASK_EXIT_EVENT_TOPIC,
            &TaskExit {
                container_id: container.id.clone(),
                id: id.clone(),
                pid: process.now().pid,
                exit_status: exit.status,
                exited_at: timestamp(exit.at),
                ..TaskExit::default()
            },
        );
        process.ended(exit);
    }

    /// Starts a container's program, or a process that was added. Out: its
    /// number.
    ///
    /// # Errors
    /// When it is past that or the engine says no.
    pub async fn start(self: &Arc<Self>, id: &str, exec_id: &str) -> Result<u32, Error> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        if exec_id.is_empty() {
            let _gate = container.gate.lock().await;
            let _order = process.order.lock().await;
            let pid = container.start(&self.exits).await?;
            self.events.send(
                topics::TASK_START_EVENT_TOPIC,
                &TaskStart {
                    container_id: id.to_owned(),
                    pid,
                    ..TaskStart::default()
                },
            );
            return Ok(pid);
        }
        let _order = process.order.lock().await;
        let (pid, ended) = container.start_exec(&process, &self.exits).await?;
        self.events.send(
            topics::TASK_EXEC_STARTED_EVENT_TOPIC,
            &TaskExecStarted {
                container_id: id.to_owned(),
                exec_id: exec_id.to_owned(),
                pid,
                ..TaskExecStarted::default()
            },
        );
        tokio::spawn(
            self.clone()
                .exec_ended(container.clone(), process.clone(), ended),
        );
        Ok(pid)
    }

    /// Removes a container that has ended or was never started, or a process
    /// that was added. Out: how it ended.
    ///
    /// # Errors
    /// When it still runs, or something of it cannot be removed.
    pub async fn delete(&self, id: &str, exec_id: &str) -> Result<DeleteResponse, Error> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        if exec_id.is_empty() {
            let _gate = container.gate.lock().await;
            container.delete(&self.exits).await?;
            self.containers().remove(id);
        } else {
            container.delete_exec(&process).await?;
        }
        let now = process.now();
        let (status, at) = match now.exit {
            Some(exit) => (exit.status, timestamp(exit.at)),
            None => (0, MessageField::none()),
        };
        if exec_id.is_empty() {
            self.events.send(
                topics::TASK_DELETE_EVENT_TOPIC,
                &TaskDelete {
                    container_id: id.to_owned(),
                    pid: now.pid,
                    exit_status: status,
                    exited_at: at.clone(),
                    ..TaskDelete::default()
                },
            );
        }
        Ok(DeleteResponse {
            pid: now.pid,
            exit_status: status,
            exited_at: at,
            ..DeleteResponse::default()
        })
    }

    /// Adds a process that is to be started.
    ///
    /// # Errors
    /// When there is one of that id, or the container is past that.
    pub fn exec(&self, request: &ExecProcessRequest) -> Result<(), Error> {
        let container = self.container(&request.id)?;
        if request.exec_id.is_empty() {
            return Err(Error::Request {
                member: "exec id",
                value: String::new(),
                problem: "is empty".to_owned(),
            });
        }
        let stdio = Stdio {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        container.exec(&request.exec_id, stdio, &request.spec.value)?;
        self.events.send(
            topics::TASK_EXEC_ADDED_EVENT_TOPIC,
            &TaskExecAdded {
                container_id: request.id.clone(),
                exec_id: request.exec_id.clone(),
                ..TaskExecAdded::default()
            },
        );
        Ok(())
    }

    /// A process's end, now or when it comes.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn wait(&self, id: &str, exec_id: &str) -> Result<Exit, Error> {
        Ok(self.container(id)?.process(exec_id)?.wait().await)
    }

    /// Where a process stands.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn state(&self, id: &str, exec_id: &str) -> Result<StateResponse, Error> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        let now = process.now();
        let status = match now.phase {
            Phase::Added | Phase::Created => Status::CREATED,
            Phase::Running => Status::RUNNING,
            Phase::Paused => Status::PAUSED,
            Phase::Stopped => Status::STOPPED,
        };
        let stdio = process.stdio.clone();
        Ok(StateResponse {
            id: id.to_owned(),
            bundle: container.bundle.display().to_string(),
            pid: now.pid,
            status: EnumOrUnknown::new(status),
            stdin: stdio.stdin,
            stdout: stdio.stdout,
            stderr: stdio.stderr,
            terminal: stdio.terminal,
            exit_status: now.exit.map_or(0, |exit| exit.status),
            exited_at: now
                .exit
                .map_or(MessageField::none(), |exit| timestamp(exit.at)),
            exec_id: exec_id.to_owned(),
            ..StateResponse::default()
        })
    }

    /// Freezes or thaws a container.
    ///
    /// # Errors
    /// When it is past that or the engine says no.
    pub async fn turn(&self, id: &str, call: Call) -> Result<(), Error> {
        let container = self.container(id)?;
        let _gate = container.gate.lock().await;
        container.turn(call, &self.exits).await?;
        let container_id = id.to_owned();
        match call {
            Call::Pause => self.events.send(
                topics::TASK_PAUSED_EVENT_TOPIC,
                &TaskPaused {
                    container_id,
                    ..TaskPaused::default()
                },
            ),
            _ => self.events.send(
                topics::TASK_RESUMED_EVENT_TOPIC,
                &TaskResumed {
                    container_id,
                    ..TaskResumed::default()
                },
            ),
        }
        Ok(())
    }

    /// Sends a signal to a process, or to all of a container's.
    ///
    /// # Errors
    /// When it has ended or cannot be signalled.
    pub async fn kill(&self, id: &str, exec_id: &str, signal: u32, all: bool) -> Result<(), Error> {
        let container = self.container(id)?;
        let process = container.process(exec_id)?;
        container.kill(&process, signal, all, &self.exits).await
    }

    /// The container's processes; those that Exec added are named.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn pids(&self, id: &str) -> Result<Vec<ProcessInfo>, Error> {
        let container = self.container(id)?;
        let added = container.added();
        let info = |pid: u32| {
            let exec = added.iter().find(|process| process.now().pid == pid);
            let details = exec.map(|process| {
                let details = ProcessDetails {
                    exec_id: process.exec_id.clone(),
                    ..ProcessDetails::default()
                };
                Any {
                    type_url: "containerd.runc.v1.ProcessDetails".to_owned(),
                    value: details.write_to_bytes().unwrap_or_default(),
                    ..Any::default()
                }
            });
            ProcessInfo {
                pid,
                info: details.into(),
                ..ProcessInfo::default()
            }
        };
        Ok(container.cgroup.processes().into_iter().map(info).collect())
    }

    /// Changes a container's limits, within its plan.
    ///
    /// # Errors
    /// When the plan or the engine refuses.
    pub async fn update(&self, id: &str, resources: &[u8]) -> Result<(), Error> {
        let container = self.container(id)?;
        let _gate = container.gate.lock().await;
        container.update(resources, &self.exits).await
    }

    /// What a container uses.
    ///
    /// # Errors
    /// When it has no cgroup any more.
    pub fn stats(&self, id: &str) -> Result<Any, Error> {
        self.container(id)?.cgroup.metrics()
    }

    /// A terminal's new size.
    ///
    /// # Errors
    /// When there is no such process or the kernel refuses.
    pub fn resize(&self, id: &str, exec_id: &str, columns: u32, rows: u32) -> Result<(), Error> {
        let narrow = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        let process = self.container(id)?.process(exec_id)?;
        process.streams().resize(narrow(columns), narrow(rows))
    }

    /// Lets a process's input end.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn close_input(&self, id: &str, exec_id: &str) -> Result<(), Error> {
        self.container(id)?
            .process(exec_id)?
            .streams()
            .close_input();
        Ok(())
    }

    /// This process, and the container's first one.
    #[must_use]
    pub fn connect(&self, id: &str) -> ConnectResponse {
        ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: self
                .container(id)
                .map_or(0, |container| container.init.now().pid),
            ..ConnectResponse::default()
        }
    }

    /// Ends the shim, unless it still has containers.
    pub fn shutdown(&self) {
        if self.containers().is_empty() {
            self.done.notify_one();
        }
    }

    /// When it is to end.
    pub async fn done(&self) {
        self.done.notified().await;
    }
}

fn tell_of_kill(events: &Events, id: &str) {
    events.send(
        topics::TASK_OOM_EVENT_TOPIC,
        &TaskOOM {
            container_id: id.to_owned(),
            ..TaskOOM::default()
        },
    );
}
