//! Metrics, at no cost while nobody asks.
//!
//! In: the sockets for `GET /metrics`, and their first client. Out: `packrank
//! metrics` started beside the watcher with these sockets as its own, in the
//! manner of inetd: the unix socket is its standard input, the loopback's its
//! standard output. It ends after a while without clients, or with the
//! watcher, and is started again by the next client. It encodes and answers in
//! a process and a cgroup of its own, so that whoever scrapes, floods or hangs
//! takes nothing from the loop that saves the node, nor of its guarantee.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Roots;

/// Where whoever serves them lives.
#[derive(Debug, Default)]
pub enum Apart {
    /// Where the watcher does.
    #[default]
    Beside,
    /// In a scope, which systemd makes.
    Scope,
    /// In cgroups that are made for it.
    Cgroups(Vec<PathBuf>),
}

/// The sockets, and who serves them now.
#[derive(Debug)]
pub struct Exporter {
    apart: Apart,
    program: PathBuf,
    unix: Option<OwnedFd>,
    tcp: Option<OwnedFd>,
    child: Option<Child>,
}

impl Exporter {
    /// Listens at the roots' metrics socket, mode 0600, and on the loopback at
    /// `address`. What cannot be had is a note; the watcher works without.
    #[must_use]
    pub fn listen(
        roots: &Roots,
        address: Option<SocketAddr>,
        apart: Apart,
    ) -> (Exporter, Vec<String>) {
        let own = std::env::current_exe().unwrap_or_default();
        let program = own.parent().unwrap_or(Path::new("/")).join("packrank");
        let mut exporter = Exporter {
            apart,
            program,
            unix: None,
            tcp: None,
            child: None,
        };
        if !exporter.program.exists() {
            let note = format!("no metrics: no {}", exporter.program.display());
            return (exporter, vec![note]);
        }
        let mut notes = Vec::new();
        let mut note = |at: &dyn std::fmt::Display, result: io::Result<OwnedFd>| match result {
            Ok(fd) => Some(fd),
            Err(error) => {
                notes.push(format!("no metrics at {at}: {error}"));
                None
            }
        };
        let path = roots.metrics();
        exporter.unix = note(&path.display(), unix(&path));
        exporter.tcp = address.and_then(|address| note(&address, tcp(address)));
        (exporter, notes)
    }

    /// What is to be polled, once, for a client: nothing while somebody serves.
    pub fn listeners(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let free = self.child.is_none();
        let all = [&self.unix, &self.tcp].into_iter().flatten();
        all.filter(move |_| free).map(AsFd::as_fd)
    }

    /// Somebody asks: starts whoever answers.
    ///
    /// # Errors
    /// When it cannot be started; then nobody is tried again before the
    /// watcher is.
    pub fn start(&mut self, roots: &Roots) -> io::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let hand = |fd: &Option<OwnedFd>| match fd {
            Some(fd) => fd.try_clone().map(Stdio::from),
            None => Ok(Stdio::null()),
        };
        // A scope's program takes the place of who asked for the scope.
        let scope = matches!(self.apart, Apart::Scope) && Path::new(SYSTEMD_RUN).exists();
        let mut command = match scope {
            true => Command::new(SYSTEMD_RUN),
            false => Command::new(&self.program),
        };
        if scope {
            command.args(["--quiet", "--scope", "--collect", "--"]);
            command.arg(&self.program);
        }
        command.args(["metrics", "--inherited"]);
        for (flag, folder) in [
            ("--run", &roots.run),
            ("--proc", &roots.proc),
            ("--cgroup", &roots.cgroup),
        ] {
            command.arg(flag).arg(folder);
        }
        command.stdin(hand(&self.unix)?).stdout(hand(&self.tcp)?);
        let child = command.stderr(Stdio::null()).current_dir("/").spawn()?;
        if let Apart::Cgroups(folders) = &self.apart {
            for folder in folders {
                // Best effort: it serves as well beside the watcher.
                let _ = fs::create_dir(folder);
                let _ = fs::write(folder.join("cgroup.procs"), child.id().to_string());
            }
        }
        self.child = Some(child);
        Ok(())
    }

    /// Whether it has ended since this was last asked, so that the sockets are
    /// to be polled again.
    pub fn ended(&mut self) -> bool {
        let ended = match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => false,
        };
        if ended {
            self.child = None;
            if let Apart::Cgroups(folders) = &self.apart {
                let _ = folders.iter().try_for_each(fs::remove_dir);
            }
        }
        ended
    }
}

/// Where every systemd has it.
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

fn unix(path: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Between bind and chmod the folder's own mode, 0700, guards it.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener.into())
}

fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    if !address.ip().is_loopback() {
        let why = "not on the loopback: figures of packs are not for the network";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(TcpListener::bind(address)?.into())
}
