//! What a call answers when it cannot be done: one sentence, and the code by
//! which containerd tells what kind of thing it is.

use std::io;
use std::path::{Path, PathBuf};

use containerd_shim_protos::ttrpc::{self, Code};
use packrank_shim::attach::AttachError;
use packrank_shim::bundle::BundleError;
use packrank_shim::engine::EngineError as NoEngine;
use packrank_shim::runtime::RuntimeError;
use packrank_shim::update::UpdateError;

use crate::life::Refused;

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such container or process.
    #[error("{what} {id:?} does not exist")]
    Absent {
        /// `container` or `process`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// There is one already.
    #[error("{what} {id:?} exists already")]
    Exists {
        /// `container` or `process`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Not in this phase of its life.
    #[error(transparent)]
    Life(#[from] Refused),
    /// The process has ended.
    #[error("process already finished")]
    Finished,
    /// The container's first process is gone, so nothing can be added.
    #[error("container {0:?}: its first process is not running")]
    Ending(String),
    /// A member of the request is no use.
    #[error("{member} {value:?}: {problem}")]
    Request {
        /// Which.
        member: &'static str,
        /// What it was.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not offered.
    #[error("{0} is not implemented")]
    Unimplemented(&'static str),
    /// The container is refused, by its annotations or the policy.
    #[error(transparent)]
    Refused(#[from] RuntimeError),
    /// What its spec cannot carry could not be put in force.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// An update goes past the plan, or cannot be read.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The bundle cannot be used.
    #[error("bundle {0}")]
    Bundle(#[from] BundleError),
    /// No engine.
    #[error(transparent)]
    NoEngine(#[from] NoEngine),
    /// The engine said no.
    #[error("OCI runtime {verb} failed: {message}")]
    Engine {
        /// What it was asked.
        verb: String,
        /// Its last word.
        message: String,
    },
    /// The root file system cannot be mounted.
    #[error("mount rootfs: {0}")]
    Mount(#[from] containerd_shim::Error),
    /// The kernel said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system's answer about a path.
    pub fn path<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
        let path: PathBuf = path.to_owned();
        move |source| Error::Io {
            what: format!("{what} {}", path.display()),
            source: source.into(),
        }
    }

    /// For `map_err`: the system's answer.
    pub fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Io {
            what: what.to_owned(),
            source: source.into(),
        }
    }

    /// The code that goes with it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Absent { .. } | Error::Finished => Code::NOT_FOUND,
            Error::Exists { .. } => Code::ALREADY_EXISTS,
            Error::Life(_) | Error::Ending(_) => Code::FAILED_PRECONDITION,
            Error::Request { .. } | Error::Refused(_) | Error::Update(_) => Code::INVALID_ARGUMENT,
            Error::Unimplemented(_) => Code::UNIMPLEMENTED,
            _ => Code::UNKNOWN,
        }
    }
}

impl From<Error> for ttrpc::Error {
    fn from(error: Error) -> ttrpc::Error {
        ttrpc::Error::RpcStatus(ttrpc::get_status(error.code(), error.to_string()))
    }
}
