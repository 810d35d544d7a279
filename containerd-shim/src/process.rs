//! One process of a container: its first, or one that Exec added.
//!
//! In: what happens to it. Out: where it stands, and its end to whoever waits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::Error;
use crate::exits::Exit;
use crate::io::{Stdio, Streams};
use crate::life::{Call, Phase, Refused};

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Its phase.
    pub phase: Phase,
    /// Its number on the host; 0 before it has one.
    pub pid: u32,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// Empty for the container's first.
    pub exec_id: String,
    /// What its request named.
    pub stdio: Stdio,
    /// Held while it is started and that is told, and while its end is told:
    /// so the one never comes before the other.
    pub order: tokio::sync::Mutex<()>,
    now: watch::Sender<Now>,
    streams: Mutex<Arc<Streams>>,
}

impl Process {
    /// One that the engine has made.
    #[must_use]
    pub fn created(pid: u32, stdio: Stdio, streams: Streams) -> Process {
        Process::new(String::new(), stdio, Phase::Created, pid, streams)
    }

    /// One that is to be started by and by.
    #[must_use]
    pub fn added(exec_id: String, stdio: Stdio) -> Process {
        Process::new(exec_id, stdio, Phase::Added, 0, Streams::default())
    }

    fn new(exec_id: String, stdio: Stdio, phase: Phase, pid: u32, streams: Streams) -> Process {
        let now = Now {
            phase,
            pid,
            exit: None,
        };
        Process {
            exec_id,
            stdio,
            order: tokio::sync::Mutex::new(()),
            now: watch::Sender::new(now),
            streams: Mutex::new(Arc::new(streams)),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn now(&self) -> Now {
        *self.now.borrow()
    }

    /// Its streams.
    #[must_use]
    pub fn streams(&self) -> Arc<Streams> {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Refuses a call that its phase does not have.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, call: Call) -> Result<Now, Error> {
        let now = self.now();
        match now.phase.takes(call) {
            true => Ok(now),
            false if call == Call::Kill && now.phase == Phase::Stopped => Err(Error::Finished),
            false => Err(Error::Life(Refused {
                call,
                phase: now.phase,
                exec: !self.exec_id.is_empty(),
            })),
        }
    }

    /// It has been started.
    pub fn started(&self, pid: u32, streams: Option<Streams>) {
        if let Some(streams) = streams {
            *self.streams.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(streams);
        }
        self.now.send_modify(|now| {
            now.pid = pid;
            now.phase = Phase::Running;
        });
    }

    /// It was frozen or thawed, unless it has ended meanwhile.
    pub fn turn(&self, phase: Phase) {
        self.now.send_modify(|now| {
            if now.phase != Phase::Stopped {
                now.phase = phase;
            }
        });
    }

    /// It has ended.
    pub fn ended(&self, exit: Exit) {
        self.now.send_modify(|now| {
            now.phase = Phase::Stopped;
            now.exit = Some(exit);
        });
    }

    /// Its end.
    pub async fn wait(&self) -> Exit {
        let mut now = self.now.subscribe();
        let ended = now.wait_for(|now| now.exit.is_some()).await;
        // The sender is ours: it is there as long as we are.
        ended
            .ok()
            .and_then(|now| now.exit)
            .unwrap_or(Exit::now(255))
    }
}
