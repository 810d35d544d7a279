//! A program that reads a container's output.
//!
//! In: a `binary://` URI. Out: the program, started with its two pipes as
//! descriptors 3 and 4, and ready: it has closed descriptor 5. Its environment
//! is the container's id and namespace, and nothing else.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::target::Program;
use super::{Whose, pipe, polled};
use crate::error::Error;
use crate::exits::{Ended, Exits};

/// How long it may take to be ready, and to end once its container has.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running one.
#[derive(Debug)]
pub struct Logger {
    pid: u32,
    ended: Ended,
}

impl Logger {
    /// Starts it: itself, and the pipes for output and errors.
    ///
    /// # Errors
    /// When it cannot be started or is not ready in time.
    pub async fn start(
        program: &Program,
        whose: &Whose<'_>,
        exits: &Arc<Exits>,
    ) -> Result<(Logger, [OwnedFd; 2]), Error> {
        let (out, out_writer) = pipe()?;
        let (err, err_writer) = pipe()?;
        let (ready, ready_writer) = pipe()?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear();
        command.env("CONTAINER_ID", whose.container);
        command.env("CONTAINER_NAMESPACE", whose.namespace);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let fds = [out, err, ready_writer].into_iter().zip(3..);
        let fds = fds.map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        // Numbers that are given twice are the only error.
        drop(command.fd_mappings(fds.collect()));
        let started = exits.spawn(&mut command);
        drop(command);
        let (pid, ended) = started.map_err(Error::path("start", &program.path))?;
        let logger = Logger { pid, ended };
        let closed = tokio::time::timeout(PATIENCE, closed(ready)).await;
        if !matches!(closed, Ok(Ok(()))) {
            logger.signal(Signal::KILL);
            return Err(Error::Request {
                member: "stdout",
                value: program.path.display().to_string(),
                problem: "the logging program was not ready in time".to_owned(),
            });
        }
        Ok((logger, [out_writer, err_writer]))
    }

    /// Its container is gone: it has read the end of its pipes, or is told.
    pub fn end(mut self) {
        // None where the shim itself ends: then it has its pipes' end.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            for signal in [Signal::TERM, Signal::KILL] {
                if tokio::time::timeout(PATIENCE, &mut self.ended)
                    .await
                    .is_ok()
                {
                    return;
                }
                self.signal(signal);
            }
        });
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile; we have not reaped it then.
            let _: Result<(), Errno> = kill_process(pid, signal);
        }
    }
}

/// When the other side has closed it, or written to it.
async fn closed(fd: OwnedFd) -> Result<(), Error> {
    let fd = polled(fd)?;
    let readable = fd.readable().await;
    readable
        .map(drop)
        .map_err(Error::io("wait for a logging program"))
}
