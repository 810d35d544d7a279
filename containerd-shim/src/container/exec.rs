//! Processes that Exec adds to a container.
//!
//! In: their specs and streams. Out: their files in the bundle, the engine's
//! exec, and their ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use packrank_shim::bundle::Bundle;
use rustix::process::{Pid, Signal, kill_process};

use super::{Container, read_pid};
use crate::engine::{Ends, arguments};
use crate::error::Error;
use crate::exits::{Ended, Exit, Exits};
use crate::io::{Console, Stdio, Streams};
use crate::life::{Call, Phase};
use crate::process::Process;

impl Container {
    /// Adds a process, whose spec waits in the bundle for its start.
    ///
    /// # Errors
    /// When there is one of that id, or the container is past that.
    pub fn exec(&self, exec_id: &str, stdio: Stdio, spec: &[u8]) -> Result<(), Error> {
        self.init.check(Call::Exec)?;
        let file = exec_file(exec_id, "json")?;
        let mut execs = self.execs();
        if execs.contains_key(exec_id) {
            return Err(Error::Exists {
                what: "process",
                id: exec_id.to_owned(),
            });
        }
        let within = self.ranked.as_ref().map(|ranked| ranked.added(spec));
        let within = within.transpose()?;
        let spec = within.as_ref().map_or(spec, String::as_bytes);
        Bundle::open(&self.bundle, None)?.write_beside(&file, spec)?;
        let process = Process::added(exec_id.to_owned(), stdio);
        execs.insert(exec_id.to_owned(), Arc::new(process));
        Ok(())
    }

    /// Starts a process that was added: its number, and its end.
    ///
    /// # Errors
    /// When it is past that or the engine says no.
    pub async fn start_exec(
        &self,
        process: &Process,
        exits: &Arc<Exits>,
    ) -> Result<(u32, Ended), Error> {
        process.check(Call::Start)?;
        if self.ending.load(Ordering::Relaxed) {
            return Err(Error::Ending(self.id.clone()));
        }
        let watch = exits.watch();
        let spec = exec_file(&process.exec_id, "json")?;
        let pid_file = self.bundle.join(exec_file(&process.exec_id, "pid")?);
        let mut words = arguments([
            &"--detach",
            &"--process",
            &self.bundle.join(spec),
            &"--pid-file",
            &pid_file,
        ]);
        let whose = self.whose();
        let stdio = &process.stdio;
        let streams = if stdio.terminal {
            let console = Console::make(&self.bundle)?;
            words.extend(arguments([&"--console-socket", &console.path(), &self.id]));
            self.engine
                .run(exits, "exec", words, Ends::default())
                .await?;
            match console.receive().await {
                Ok(terminal) => Streams::connect(terminal, stdio, &whose, exits).await,
                Err(error) => Err(error),
            }
        } else {
            let (streams, ends) = Streams::open(stdio, &whose, exits).await?;
            words.extend(arguments([&self.id]));
            self.engine.run(exits, "exec", words, ends).await?;
            Ok(streams)
        };
        let pid = read_pid(&pid_file)?;
        if let Some(ranked) = &self.ranked {
            ranked.added_started(pid);
        }
        let ended = exits.of(pid);
        drop(watch);
        match streams {
            Ok(streams) => process.started(pid, Some(streams)),
            Err(error) => {
                // It runs already, and nobody would ever hear of it.
                let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = number.map(|pid| kill_process(pid, Signal::KILL));
                return Err(error);
            }
        }
        Ok((pid, ended))
    }

    /// Removes a process that was added.
    ///
    /// # Errors
    /// When it still runs.
    pub async fn delete_exec(&self, process: &Process) -> Result<(), Error> {
        let now = process.check(Call::Delete)?;
        if now.phase == Phase::Added {
            // Whoever waits for the end of what never began waits no more.
            process.ended(Exit::now(255));
        }
        process.streams().close().await;
        let bundle = Bundle::open(&self.bundle, None)?;
        for kind in ["json", "pid"] {
            bundle.remove_beside(&exec_file(&process.exec_id, kind)?)?;
        }
        self.execs().remove(&process.exec_id);
        Ok(())
    }
}

/// A process's file in the bundle; its id must be fit for a file's name.
fn exec_file(exec_id: &str, kind: &str) -> Result<String, Error> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if exec_id.len() > 200 || !exec_id.chars().all(safe) {
        return Err(Error::Request {
            member: "exec id",
            value: exec_id.to_owned(),
            problem: "expected letters, digits, '-', '_' and '.'".to_owned(),
        });
    }
    Ok(format!(".exec-{exec_id}.{kind}"))
}
