//! Ends, and what else happens to a container by itself.
//!
//! In: the ends of its processes, and the kernel's count of kills for want of
//! memory. Out: word of them to containerd, in order: a process's end after its
//! start, the first one's after all others'.

use std::sync::Arc;

use containerd_shim_protos::events::task::{TaskExit, TaskOOM};
use containerd_shim_protos::topics;

use super::Shim;
use crate::container::Container;
use crate::events::{Events, timestamp};
use crate::exits::{Ended, Exit};
use crate::life::Phase;
use crate::process::Process;

impl Shim {
    /// Tells of kills for want of memory, until the container is deleted.
    pub(super) fn watch_memory(&self, container: &Container) {
        let (events, id) = (self.events.clone(), container.id.clone());
        match container.oom.watch(move || tell_of_kill(&events, &id)) {
            Ok(watch) => container.keep(watch),
            Err(error) => log::warn!("container {:?}: no events of memory: {error}", container.id),
        }
    }

    /// Waits for the first process's end and tells of it, last of all of the
    /// container's.
    pub(super) async fn first_ended(self: Arc<Self>, container: Arc<Container>, ended: Ended) {
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

    /// Waits for the end of a process that Exec added and tells of it.
    pub(super) async fn exec_ended(
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
