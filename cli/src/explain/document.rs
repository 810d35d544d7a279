//! The document that is explained.
//!
//! In: a path, and annotations of the command line. Out: the config.json's
//! bytes and the folder that its relative paths start from.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use packrank_core::spec::{self, MOST_BYTES, Spec, SpecError, quote};
use packrank_shim::bundle::{Bundle, BundleError};

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    /// There is nothing of that name.
    #[error("{}: {source}", path.display())]
    Path {
        /// What was named.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The bundle or config.json.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// stdin failed.
    #[error("stdin: {0}")]
    Stdin(io::Error),
    /// config.json is none.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The member to be annotated.
    #[error("config.json: {0}")]
    Member(#[from] spec::DocumentError),
    /// An `-a` without its `=`.
    #[error("-a: {0:?} is not accepted: expected key=value")]
    Pair(String),
    /// An `-a` that is no text.
    #[error("-a: {0:?} is not accepted: expected key=value in UTF-8")]
    NotUtf8(OsString),
}

/// A config.json.
pub(super) struct Document {
    pub bytes: Vec<u8>,
    /// Where relative paths start.
    pub folder: PathBuf,
    /// Set where a bundle was named: it will be judged as one.
    pub bundle: Option<Bundle>,
}

/// Reads the document: `-` is stdin, a folder a bundle, all else a config.json.
pub(super) fn read(path: &Path) -> Result<Document, DocumentError> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        // One byte more than is taken, so that too much is seen to be so.
        let limit = MOST_BYTES as u64 + 1;
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        read.map_err(DocumentError::Stdin)?;
        let folder = std::path::absolute(".").unwrap_or_default();
        return Ok(Document {
            bytes,
            folder,
            bundle: None,
        });
    }
    let meta = std::fs::metadata(path).map_err(|source| DocumentError::Path {
        path: path.to_owned(),
        source,
    })?;
    let bundle = match path.parent() {
        _ if meta.is_dir() => Bundle::open(path, None)?,
        Some(parent) if parent != Path::new("") => Bundle::open(parent, Some(path_name(path)))?,
        _ => Bundle::open(Path::new("."), Some(path))?,
    };
    Ok(Document {
        bytes: bundle.read()?,
        folder: bundle.path().to_owned(),
        bundle: Some(bundle).filter(|_| meta.is_dir()),
    })
}

fn path_name(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// The document with the command line's annotations in it.
pub(super) fn annotate(bytes: Vec<u8>, pairs: &[OsString]) -> Result<Vec<u8>, DocumentError> {
    if pairs.is_empty() {
        return Ok(bytes);
    }
    let mut document = Spec::parse(&bytes)?.document;
    let annotations = document.inside("annotations")?;
    for pair in pairs {
        let text = pair.to_str();
        let text = text.ok_or_else(|| DocumentError::NotUtf8(pair.clone()))?;
        let (key, value) = match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => return Err(DocumentError::Pair(text.to_owned())),
        };
        annotations.set(key, quote(value))?;
    }
    Ok(document.render().into_bytes())
}
