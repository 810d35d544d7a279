//! A process's standard streams: what containerd names, and what the process
//! gets.
//!
//! In: the names of a request: fifos, `file://` and `binary://` URIs, files,
//! nothing. Out: the [`Ends`] for the engine, and [`Streams`] that carry the
//! bytes between the two until the process's side is closed. Between them lies
//! a pipe, so that a container neither blocks nor dies when containerd goes.

mod copy;
mod logger;
mod target;
mod terminal;

use std::os::fd::OwnedFd;
use std::process::Stdio as End;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Gid, Uid, fchown};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::engine::Ends;
use crate::error::Error;
use crate::exits::Exits;
use copy::{Sink, pump};
use logger::Logger;
use target::Target;
pub use terminal::Console;

/// How long the end of a process's output is waited for once it is gone: a
/// child that it left may hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// What a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stdio {
    /// Where its input comes from; empty for nowhere.
    pub stdin: String,
    /// Where its output goes; empty for nowhere.
    pub stdout: String,
    /// Where its errors go; empty for nowhere.
    pub stderr: String,
    /// Whether it has a terminal for all three.
    pub terminal: bool,
}

/// Whose streams they are.
#[derive(Debug)]
pub struct Whose<'a> {
    /// The container, for a logging program.
    pub container: &'a str,
    /// Its namespace, for a logging program.
    pub namespace: &'a str,
    /// Owner and group of its pipes.
    pub owner: (u32, u32),
}

/// What stays with us.
#[derive(Debug, Default)]
pub struct Streams {
    /// Keeps the fifo of the input from ending before the caller says so.
    held: Mutex<Option<OwnedFd>>,
    inputs: Mutex<Vec<JoinHandle<()>>>,
    outputs: Mutex<Vec<JoinHandle<()>>>,
    terminal: Mutex<Option<Arc<AsyncFd<OwnedFd>>>>,
    logger: Mutex<Option<Logger>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pipe: its reading and its writing end.
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).map_err(Error::io("pipe"))
}

fn polled(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>, Error> {
    crate::polled::polled(fd).map_err(Error::io("wait for a descriptor"))
}

impl Streams {
    /// Opens everything for a process without a terminal.
    ///
    /// # Errors
    /// When something named is not there or is none of ours to use.
    pub async fn open(
        stdio: &Stdio,
        whose: &Whose<'_>,
        exits: &Arc<Exits>,
    ) -> Result<(Streams, Ends), Error> {
        let streams = Streams::default();
        let mut ends = Ends::default();
        if !stdio.stdin.is_empty() {
            let (reader, writer) = pipe()?;
            own(&reader, whose)?;
            streams.read_from(&stdio.stdin, Sink::polled(writer)?)?;
            ends.stdio[0] = Some(End::from(reader));
        }
        if let Target::Program(program) = Target::of(&stdio.stdout)? {
            let (logger, [out, err]) = Logger::start(&program, whose, exits).await?;
            *lock(&streams.logger) = Some(logger);
            ends.stdio[1] = Some(End::from(out));
            ends.stdio[2] = Some(End::from(err));
            return Ok((streams, ends));
        }
        // A log file takes both, as with the stock shim.
        let stderr = match Target::of(&stdio.stdout)? {
            Target::Log(_) => &stdio.stdout,
            _ => &stdio.stderr,
        };
        for (name, end) in [&stdio.stdout, stderr].into_iter().zip(1..) {
            if let Some(sink) = Target::of(name)?.open()? {
                let (reader, writer) = pipe()?;
                own(&writer, whose)?;
                streams.write_to(Arc::new(polled(reader)?), sink);
                ends.stdio[end] = Some(End::from(writer));
            }
        }
        Ok((streams, ends))
    }

    /// Connects a terminal that the engine has given us.
    ///
    /// # Errors
    /// When something named is not there or is none of ours to use.
    pub async fn connect(
        terminal: OwnedFd,
        stdio: &Stdio,
        whose: &Whose<'_>,
        exits: &Arc<Exits>,
    ) -> Result<Streams, Error> {
        let streams = Streams::default();
        let terminal = Arc::new(polled(terminal)?);
        if !stdio.stdin.is_empty() {
            streams.read_from(&stdio.stdin, Sink::Polled(terminal.clone()))?;
        }
        let sink = match Target::of(&stdio.stdout)? {
            Target::Program(program) => {
                let (logger, [out, _]) = Logger::start(&program, whose, exits).await?;
                *lock(&streams.logger) = Some(logger);
                Some(Sink::polled(out)?)
            }
            target => target.open()?,
        };
        // Somebody must read, or the process blocks.
        streams.write_to(terminal.clone(), sink.unwrap_or(Sink::Nowhere));
        *lock(&streams.terminal) = Some(terminal);
        Ok(streams)
    }

    fn read_from(&self, name: &str, sink: Sink) -> Result<(), Error> {
        let (fifo, held) = target::input(name)?;
        let fifo = polled(fifo)?;
        *lock(&self.held) = Some(held);
        let task = tokio::spawn(async move { pump(&fifo, &sink, true).await });
        lock(&self.inputs).push(task);
        Ok(())
    }

    fn write_to(&self, from: Arc<AsyncFd<OwnedFd>>, sink: Sink) {
        let task = tokio::spawn(async move { pump(&from, &sink, false).await });
        lock(&self.outputs).push(task);
    }

    /// Lets the input end where its writers do.
    pub fn close_input(&self) {
        lock(&self.held).take();
    }

    /// The terminal's new size; nothing for a process without one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), Error> {
        let Some(terminal) = lock(&self.terminal).clone() else {
            return Ok(());
        };
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&terminal, size).map_err(Error::io("resize the terminal"))
    }

    /// Waits for the end of the output, not for ever, and closes everything.
    pub async fn close(&self) {
        self.close_input();
        lock(&self.inputs).drain(..).for_each(|task| task.abort());
        let outputs: Vec<_> = lock(&self.outputs).drain(..).collect();
        let aborts: Vec<_> = outputs.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for output in outputs {
                // A copy that failed has ended as well.
                drop(output.await);
            }
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
        lock(&self.terminal).take();
        let logger = lock(&self.logger).take();
        if let Some(logger) = logger {
            logger.end();
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for tasks in [&self.inputs, &self.outputs] {
            lock(tasks).drain(..).for_each(|task| task.abort());
        }
        if let Some(logger) = lock(&self.logger).take() {
            logger.end();
        }
    }
}

/// Gives the process's end of a pipe to whom the options say.
fn own(end: &OwnedFd, whose: &Whose<'_>) -> Result<(), Error> {
    match whose.owner {
        (0, 0) => Ok(()),
        (user, group) => {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            fchown(end, Some(user), Some(group)).map_err(Error::io("give away a pipe"))
        }
    }
}
