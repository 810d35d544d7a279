//! A process's life: which call is answered in which phase.
//!
//! In: a phase and a call. Out: whether it may go on, or the sentence that
//! says why not. This table is the whole of it; what follows a call is where
//! the call is.

/// Where a process stands. A container stands where its first process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asked for by Exec and not started yet; a container is never here.
    Added,
    /// Made by the engine, and waiting for Start.
    Created,
    /// Its program runs.
    Running,
    /// Frozen.
    Paused,
    /// It has ended.
    Stopped,
}

/// What may be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Run the program.
    Start,
    /// Add another process.
    Exec,
    /// Freeze.
    Pause,
    /// Thaw.
    Resume,
    /// Change limits.
    Update,
    /// Send a signal.
    Kill,
    /// Remove.
    Delete,
}

/// A call in a phase that does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} a {} {}", call.name(), phase.name(), if *exec { "process" } else { "container" })]
pub struct Refused {
    /// What was asked.
    pub call: Call,
    /// Where the process stands.
    pub phase: Phase,
    /// Whether it came by Exec.
    pub exec: bool,
}

impl Phase {
    /// Whether the call is answered in this phase.
    #[must_use]
    #[rustfmt::skip]
    pub fn takes(self, call: Call) -> bool {
        use Call::{Delete, Exec, Kill, Pause, Resume, Start, Update};
        match self {
            Phase::Added   => matches!(call, Start |                                        Delete),
            Phase::Created => matches!(call, Start | Exec |                 Update | Kill | Delete),
            Phase::Running => matches!(call,         Exec | Pause |         Update | Kill         ),
            Phase::Paused  => matches!(call,                       Resume | Update | Kill         ),
            Phase::Stopped => matches!(call,                                                Delete),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Phase::Added => "not yet started",
            Phase::Created => "created",
            Phase::Running => "running",
            Phase::Paused => "paused",
            Phase::Stopped => "stopped",
        }
    }
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Call::Start => "start",
            Call::Exec => "exec in",
            Call::Pause => "pause",
            Call::Resume => "resume",
            Call::Update => "update",
            Call::Kill => "signal",
            Call::Delete => "delete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_sentence() {
        let refused = Refused {
            call: Call::Delete,
            phase: Phase::Running,
            exec: false,
        };
        assert_eq!(refused.to_string(), "cannot delete a running container");
    }

    #[test]
    fn what_runs_is_never_deleted_and_what_ended_only_that() {
        for call in [
            Call::Start,
            Call::Exec,
            Call::Pause,
            Call::Kill,
            Call::Resume,
        ] {
            assert!(!Phase::Stopped.takes(call));
        }
        assert!(Phase::Stopped.takes(Call::Delete));
        assert!(!Phase::Running.takes(Call::Delete) && !Phase::Paused.takes(Call::Delete));
    }
}
