//! Asking the watcher that runs.
//!
//! In: its socket and requests of the protocol. Out: its answers, or one
//! sentence why there is none.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

/// How long it may take to answer: it looks at ten thousand packs in between.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer: what the server keeps for one client.
const LONGEST: u64 = 32 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no watcher runs on this node (nobody listens at {})", socket.display())]
    NoWatcher {
        /// Its socket.
        socket: PathBuf,
    },
    /// The connection broke, or took too long.
    #[error("the watcher does not answer: {0}")]
    Silent(#[from] io::Error),
    /// What came is no answer.
    #[error("the watcher's answer cannot be read: {0}")]
    Strange(#[from] serde_json::Error),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// A connection to the watcher.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<io::Take<UnixStream>>,
}

impl Client {
    /// Connects to the watcher at `socket`, who may take `patience` over each
    /// answer.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(socket: &Path, patience: Duration) -> Result<Client, AskError> {
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoWatcher {
                socket: socket.to_owned(),
            },
            _ => AskError::Silent(error),
        })?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let stream = BufReader::new(stream.take(LONGEST));
        Ok(Client { stream })
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// When it does not answer in time, refuses, or answers no JSON.
    pub fn ask(&mut self, request: &Json) -> Result<Json, AskError> {
        let connection = self.stream.get_mut();
        connection.set_limit(LONGEST);
        connection
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let answer: Json = serde_json::from_slice(&line)?;
        match answer.get("error") {
            Some(why) => Err(AskError::Refused(why.as_str().unwrap_or("").to_owned())),
            None => Ok(answer),
        }
    }
}

/// Asks one thing.
///
/// # Errors
/// When there is no watcher, it does not answer in five seconds, or refuses.
pub fn ask(socket: &Path, request: &Json) -> Result<Json, AskError> {
    Client::connect(socket, PATIENCE)?.ask(request)
}
