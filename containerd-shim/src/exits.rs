//! The ends of every process that this shim is, or became, the parent of.
//!
//! In: SIGCHLD. Out: each process's [`Exit`], once, to whoever asked for it. A
//! container's processes are adopted (we are their subreaper), and an engine
//! tells their numbers only when it is done: ends that nobody asked for yet are
//! kept as long as an engine is at work.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::process::{Pid, WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status, or 128 and the signal that ended it.
    pub status: u32,
    /// When we were told.
    pub at: SystemTime,
}

impl Exit {
    /// An end of this moment.
    #[must_use]
    pub fn now(status: u32) -> Exit {
        Exit {
            status,
            at: SystemTime::now(),
        }
    }
}

/// Where an end arrives.
pub type Ended = oneshot::Receiver<Exit>;

/// All ends.
#[derive(Debug, Default)]
pub struct Exits(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    awaited: HashMap<u32, oneshot::Sender<Exit>>,
    strays: HashMap<u32, Exit>,
    watches: usize,
}

/// While one lives, ends that nobody asked for are kept.
#[derive(Debug)]
pub struct Watch(Arc<Exits>);

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.watches -= 1;
        if inner.watches == 0 {
            inner.strays = HashMap::new();
        }
    }
}

impl Exits {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the ends of processes whose numbers are not known yet.
    #[must_use]
    pub fn watch(self: &Arc<Self>) -> Watch {
        self.inner().watches += 1;
        Watch(self.clone())
    }

    /// The end of a process, which may have come already.
    pub fn of(&self, pid: u32) -> Ended {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner();
        match inner.strays.remove(&pid) {
            // The receiver is right here.
            Some(exit) => drop(sender.send(exit)),
            None => drop(inner.awaited.insert(pid, sender)),
        }
        receiver
    }

    /// Starts a program, as our child.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(self: &Arc<Self>, command: &mut Command) -> io::Result<(u32, Ended)> {
        let _watch = self.watch();
        let pid = command.spawn()?.id();
        Ok((pid, self.of(pid)))
    }

    /// Hands on one end.
    pub fn tell(&self, pid: u32, exit: Exit) {
        let mut inner = self.inner();
        match inner.awaited.remove(&pid) {
            // Whoever asked may have stopped waiting.
            Some(sender) => drop(sender.send(exit)),
            None if inner.watches > 0 => drop(inner.strays.insert(pid, exit)),
            None => {}
        }
    }

    /// Takes every end that the kernel holds.
    fn reap(&self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(status) = status_of(status) {
                self.tell(number(pid), Exit::now(status));
            }
        }
    }

    /// Takes ends as they come, for ever.
    ///
    /// # Errors
    /// When SIGCHLD cannot be listened to.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        let exits = self.clone();
        tokio::spawn(async move {
            loop {
                exits.reap();
                if children.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(())
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// `None` for a child that only stopped.
fn status_of(status: WaitStatus) -> Option<u32> {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let status = status.exit_status().or(signal)?;
    u32::try_from(status).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_end_before_the_question_is_kept_while_an_engine_works() {
        let exits = Arc::new(Exits::default());
        let watch = exits.watch();
        exits.tell(7, Exit::now(3));
        exits.tell(8, Exit::now(4));
        assert_eq!(exits.of(7).await.unwrap().status, 3);
        drop(watch);
        // Nobody came for it: the next process of that number is another.
        let mut gone = exits.of(8);
        assert!(gone.try_recv().is_err());
        exits.tell(8, Exit::now(5));
        assert_eq!(gone.await.unwrap().status, 5);
        exits.tell(9, Exit::now(1));
        assert!(exits.of(9).try_recv().is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn statuses_are_as_a_shell_has_them() {
        let exits = Arc::new(Exits::default());
        exits.start().unwrap();
        for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -34 $$", 162)] {
            let mut command = Command::new("sh");
            let (_, ended) = exits.spawn(command.args(["-c", script])).unwrap();
            assert_eq!(ended.await.unwrap().status, status, "{script}");
        }
    }
}
