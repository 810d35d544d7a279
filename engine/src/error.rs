//! In: whatever a verb failed with. Out: [`Error`], which prints as the one sentence that people
//! and callers see. Some sentences are runc's, word for word, because containerd and Podman look
//! for them to tell "gone" from "broken".

use std::path::PathBuf;

use libcontainer::error::{ErrInvalidSpec, LibcontainerError};

use crate::cgroup::CgroupError;
use crate::payload::StartError;
use crate::resources::ResourceError;
use crate::seal::SealError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0} is not supported by packrank-engine")]
    NotSupported(String),
    #[error("unknown log format {0:?}: text or json")]
    LogFormat(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Resources(#[from] ResourceError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot protect the engine's own executable: {0}")]
    Seal(#[from] SealError),
    #[error("bundle {path}: {cause}")]
    Bundle {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{path}: {cause}")]
    SpecRead {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{path} is not a valid OCI configuration: {cause}")]
    SpecParse {
        path: PathBuf,
        cause: serde_json::Error,
    },
    #[error("config.json: {0} is missing")]
    SpecMissing(&'static str),
    #[error("config.json: {0}")]
    SpecInvalid(#[from] ErrInvalidSpec),
    #[error("config.json: {0}")]
    SpecRefused(String),
    #[error("rootfs {path}: {cause}")]
    Rootfs {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("cannot allocate tty if packrank-engine will detach without setting console socket")]
    ConsoleSocketRequired,
    #[error("cannot use console socket if packrank-engine will not detach or allocate tty")]
    ConsoleSocketUnused,
    #[error("console socket {path}: {cause}")]
    ConsoleSocket {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("unable to start container process: {0}")]
    Create(String),
    #[error("unable to exec in container: {0}")]
    Exec(String),
    #[error("cannot set oom_score_adj to {value}: {cause}{}", lacking(cause))]
    OomScore { value: i32, cause: std::io::Error },
    #[error("cannot {verb} a container that is {status}")]
    Status {
        verb: &'static str,
        status: &'static str,
    },
    #[error("container not running")]
    NotRunning,
    #[error("container not paused")]
    NotPaused,
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped { id: String, status: &'static str },
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    #[error("{hook} hook {path}: {cause}")]
    Hook {
        hook: &'static str,
        path: PathBuf,
        cause: libcontainer::hooks::HookError,
    },
    #[error("{what}: {cause}")]
    Io { what: String, cause: std::io::Error },
    #[error("{what}: {cause}")]
    Json {
        what: String,
        cause: serde_json::Error,
    },
    #[error(transparent)]
    Library(#[from] LibcontainerError),
}

impl Error {
    /// For `map_err`: an I/O error with what was being done.
    pub fn io<E: Into<std::io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::Io {
            what: what.into(),
            cause: cause.into(),
        }
    }

    /// For `map_err`: a JSON error with what was being read or written.
    pub fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        move |cause| Self::Json {
            what: what.into(),
            cause,
        }
    }
}

fn lacking(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::PermissionDenied => " (lowering it needs CAP_SYS_RESOURCE)",
        _ => "",
    }
}
