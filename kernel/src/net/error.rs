//! In: what the kernel or the caller got wrong. Out: one sentence an operator
//! can act on, with the object it happened to.

use std::io;

/// What went wrong while reading or changing the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An id that can be neither hashed into a name nor written beside an object.
    #[error("{id:?} cannot own network objects: {why}")]
    Id {
        /// The id as it was given.
        id: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A rate or limit the kernel has no way to express.
    #[error("{setting}: {value} is out of range")]
    Range {
        /// The setting's key.
        setting: &'static str,
        /// The value as it was given.
        value: u64,
    },
    /// The network namespace could not be opened, compared or entered.
    #[error("cannot {step} the network namespace")]
    Namespace {
        /// Which step failed.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A netlink socket could not be opened or used.
    #[error("cannot {step} a netlink socket")]
    Socket {
        /// Which step failed.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel answered a request with an error.
    #[error("{action} {object}{}", detail.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        action: &'static str,
        /// The interface, table or class it was asked for.
        object: String,
        /// The kernel's own explanation, where it gives one.
        detail: Option<String>,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer was cut short or made no sense.
    #[error("{action} {object}: the kernel's answer is malformed")]
    Malformed {
        /// What was asked for.
        action: &'static str,
        /// The interface, table or class it was asked for.
        object: String,
    },
    /// What is named for this container holds an interface of a container in
    /// another network namespace.
    #[error(
        "the network objects of {id:?} hold {interface}, an interface of another network namespace, and \
         are left alone (two containers of one id, or a sandbox id that is not this pod's)"
    )]
    Elsewhere {
        /// Who asked for them.
        id: String,
        /// The host's end of the other container's interface.
        interface: String,
    },
    /// Something by this container's name is there and belongs to another.
    #[error("{object} belongs to {owner:?}, not to {id:?}")]
    Taken {
        /// The interface or table.
        object: String,
        /// Whom it says it belongs to.
        owner: String,
        /// Who asked for it.
        id: String,
    },
}

impl Error {
    /// The kernel's errno, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Namespace { source, .. }
            | Self::Socket { source, .. }
            | Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the kernel said that it has no such thing: an unknown qdisc,
    /// filter or expression (ENOENT), an unknown link kind or hook
    /// (EOPNOTSUPP), no such protocol family or subsystem.
    pub(crate) fn is_lacking(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
        )
    }

    /// Whether somebody else at work on the same object can have caused this:
    /// what was to be made is there, what was seen is gone.
    pub(crate) fn may_be_a_race(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::EEXIST | libc::ENOENT | libc::ENODEV | libc::EINVAL | libc::EBUSY)
        )
    }

    /// Whether the object asked for does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
    }
}
