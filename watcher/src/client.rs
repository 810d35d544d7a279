//! Asking the watcher that runs.
//!
//! In: its socket and a request of the protocol. Out: its answer, or one
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
    Io(#[from] io::Error),
    /// What came is no answer.
    #[error("the watcher's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks one thing.
///
/// # Errors
/// When there is no watcher, it does not answer in five seconds, or refuses.
pub fn ask(socket: &Path, request: &Json) -> Result<Json, AskError> {
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoWatcher {
            socket: socket.to_owned(),
        },
        _ => AskError::Io(error),
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(AskError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    let answer: Json = serde_json::from_slice(&line)?;
    match answer["error"].as_str() {
        Some(why) => Err(AskError::Refused(why.to_owned())),
        None => Ok(answer),
    }
}
