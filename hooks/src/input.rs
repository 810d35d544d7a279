//! What an engine writes to a hook's stdin.
//!
//! In: stdin, from whoever started us. Out: the state of a container, or the
//! one thing that is wrong with it.

use std::io::{self, Read};

use packrank_core::spec::MOST_BYTES;
use packrank_shim::attach::State;

/// Why stdin is no use.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("stdin: {0}")]
    Io(#[from] io::Error),
    /// Nothing there.
    #[error("stdin is empty: the container's state was expected")]
    Empty,
    /// More than is read.
    #[error("stdin is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// Not a state.
    #[error("stdin is no container state: {0}")]
    State(serde_json::Error),
    /// A state without what we need.
    #[error("the container's state has no {0}")]
    Missing(&'static str),
}

/// All of stdin.
///
/// # Errors
/// When it cannot be read, is empty or too large.
pub fn bytes() -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() {
        0 => Err(InputError::Empty),
        n if n > MOST_BYTES => Err(InputError::TooLarge),
        _ => Ok(bytes),
    }
}

/// The container's state.
///
/// # Errors
/// When stdin holds none.
pub fn state() -> Result<State, InputError> {
    let state: State = serde_json::from_slice(&bytes()?).map_err(InputError::State)?;
    if state.id.is_empty() {
        return Err(InputError::Missing("id"));
    }
    if !state.bundle.is_absolute() {
        return Err(InputError::Missing("absolute bundle path"));
    }
    Ok(state)
}
