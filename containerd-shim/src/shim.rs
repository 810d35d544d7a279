//! The task service: what containerd may ask, free of how it asks.
//!
//! In: its requests. Out: its answers, and the events in between. Each method
//! reads as what the call promises; a container's steps are in `container`,
//! which call comes when is `life`'s, what happens unasked is in `ends`.

mod create;
mod ends;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use containerd_shim_protos::api::{
    ConnectResponse, DeleteResponse, ExecProcessRequest, ProcessInfo, StateResponse, Status,
};
use containerd_shim_protos::events::task::{
    TaskDelete, TaskExecAdded, TaskExecStarted, TaskPaused, TaskResumed, TaskStart,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{EnumOrUnknown, Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::topics;
use tokio::sync::Notify;

use crate::container::Container;
use crate::error::Error;
use crate::events::{Events, timestamp};
use crate::exits::{Exit, Exits};
use crate::io::Stdio;
use crate::life::{Call, Phase};

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
            // Another Delete may have been first.
            self.container(id)?;
            container.delete(&self.exits).await?;
            self.containers().remove(id);
        } else {
            let _order = process.order.lock().await;
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
        // What was added to a frozen container is frozen with it.
        let frozen = container.init.now().phase == Phase::Paused;
        let status = match now.phase {
            Phase::Added | Phase::Created => Status::CREATED,
            Phase::Running if frozen => Status::PAUSED,
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
