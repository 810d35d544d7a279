//! The socket.
//!
//! In: connections of root. Out: lines, and answers written as fast as they
//! are taken. Nothing here waits: a client that floods or sleeps costs a
//! buffer, and there are few of these.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use crate::protocol::LONGEST;

/// Clients at once; more are closed at once.
const CLIENTS: usize = 16;

/// Lines answered for one client before the others, and the node, are looked at.
const LINES: usize = 8;

/// The largest answer kept for a client that does not read: 10 000 packs are
/// 15 MB.
const LARGEST_ANSWER: usize = 32 << 20;

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The listening socket and who is connected.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    listener: UnixListener,
    clients: BTreeMap<i32, Client>,
}

impl Drop for Server {
    /// Nobody shall find a socket that nobody listens at.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// Listens at `path`, mode 0600, in place of a socket left there. Only
    /// whoever holds the watcher's lock may do so.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(path: &Path) -> io::Result<Server> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Between bind and chmod the folder's own mode, 0700, guards it.
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Server {
            path: path.to_owned(),
            listener,
            clients: BTreeMap::new(),
        })
    }

    /// What is to be polled for new connections.
    #[must_use]
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Lets new clients in; calls `watch` for each that stays.
    pub fn accept(&mut self, mut watch: impl FnMut(BorrowedFd<'_>, i32)) {
        for _ in 0..CLIENTS {
            let Ok((stream, _)) = self.listener.accept() else {
                return;
            };
            let peer = getsockopt(&stream, PeerCredentials).map(|peer| peer.uid());
            let trusted = peer.is_ok_and(|uid| uid == 0 || uid == geteuid().as_raw());
            if !trusted || self.clients.len() >= CLIENTS || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let fd = stream.as_raw_fd();
            watch(stream.as_fd(), fd);
            let client = Client {
                stream,
                input: Vec::new(),
                output: Vec::new(),
            };
            self.clients.insert(fd, client);
        }
    }

    /// A client is ready: reads, answers by `answer`, writes. Whether it has
    /// said more than was answered, so that it is to be served again soon.
    pub fn serve(&mut self, fd: i32, mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> bool {
        let Some(client) = self.clients.get_mut(&fd) else {
            return false;
        };
        let more = client.exchange(&mut answer);
        if more.is_none() {
            self.clients.remove(&fd);
        }
        more == Some(true)
    }
}

impl Client {
    /// Whether there is more to answer; `None` when the client is gone.
    fn exchange(&mut self, answer: &mut impl FnMut(&[u8]) -> Vec<u8>) -> Option<bool> {
        let mut open = true;
        let mut more = false;
        // Who does not take its answers is asked nothing more.
        if self.output.is_empty() {
            let mut chunk = [0; LONGEST];
            match self.stream.read(&mut chunk) {
                Ok(0) => open = false,
                Ok(n) => {
                    self.input.extend_from_slice(&chunk[..n]);
                    more = n == chunk.len();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        for _ in 0..LINES {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
                break;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let reply = answer(&line[..end]);
            if self.output.len() + reply.len() > LARGEST_ANSWER {
                return None;
            }
            self.output.extend_from_slice(&reply);
            self.output.push(b'\n');
        }
        if self.input.len() > LONGEST * (LINES + 1) {
            return None;
        }
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return None,
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        more |= self.output.is_empty() && self.input.contains(&b'\n');
        open.then_some(more)
    }
}
