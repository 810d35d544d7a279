//! What `delete` must know of a container whose shim was killed.
//!
//! In: how its engine is called. Out: a file beside its config.json, mode
//! 0600, and what it says when it is read again.

use std::path::Path;

use packrank_shim::bundle::Bundle;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::Error;

/// Its name.
const FILE: &str = ".packrank-shim.json";

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// How the engine is called.
    pub engine: Engine,
    /// Whether anything of ours was made for it.
    pub ranked: bool,
}

impl Saved {
    /// Writes it.
    ///
    /// # Errors
    /// When the bundle cannot be written.
    pub fn write(&self, bundle: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(Error::io("encode"))?;
        Ok(Bundle::open(bundle, None)?.write_beside(FILE, &text)?)
    }

    /// Reads it; `None` where no container got as far.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(bundle: &Path) -> Result<Option<Saved>, Error> {
        let bytes = Bundle::open(bundle, None)?.read_beside(FILE)?;
        let saved = bytes.map(|bytes| serde_json::from_slice(&bytes));
        saved
            .transpose()
            .map_err(Error::path("read", &bundle.join(FILE)))
    }
}
