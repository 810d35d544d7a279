//! The engines, and what each file here must know of one.
//!
//! In: the node and the runtimes to register. Out: the engine's draft.

use std::fmt;

use clap::ValueEnum;
use packrank_core::Priority;

use super::activate::Takes;
use super::edit::Edit;
use super::node::Node;
use super::programs::runtime;
use super::{InstallError, containerd, crio, docker, podman};

/// An engine that packrank can be registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// `/etc/docker/daemon.json`
    Docker,
    /// A drop-in of containers.conf, and hooks.d
    Podman,
    /// `/etc/containerd/config.toml`, or a drop-in of it
    Containerd,
    /// A drop-in of crio.conf
    Crio,
}

impl Engine {
    pub(crate) const ALL: [Engine; 4] = [
        Engine::Docker,
        Engine::Podman,
        Engine::Containerd,
        Engine::Crio,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
            Engine::Containerd => "containerd",
            Engine::Crio => "crio",
        }
    }

    /// What must be changed, judged by the engine itself.
    pub(super) fn draft(self, node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
        match self {
            Engine::Docker => docker::draft(node, wish),
            Engine::Podman => podman::draft(node, wish),
            Engine::Containerd => containerd::draft(node, wish),
            Engine::Crio => crio::draft(node, wish),
        }
    }

    /// The text of the file without what is ours in it; `None` for no file.
    pub(super) fn without(self, path: &str, text: &str) -> Result<Option<String>, InstallError> {
        match self {
            Engine::Docker => docker::without(path, text),
            Engine::Containerd => containerd::without(path, text),
            // Whole files of ours.
            Engine::Podman | Engine::Crio => Ok(None),
        }
    }

    /// Whether the engine takes what would be there after these edits.
    pub(super) fn check(self, node: &Node, edits: &[Edit]) -> Result<(), InstallError> {
        match self {
            Engine::Docker => docker::check(node, edits),
            Engine::Containerd => containerd::check(node, edits),
            // Less of our files is no change to anybody else's, who may name what is in them.
            Engine::Podman => podman::check(node),
            Engine::Crio => crio::check(node),
        }
    }

    /// The program that is this engine, whose presence says it is installed.
    pub(super) fn program(self) -> &'static str {
        match self {
            Engine::Docker => "dockerd",
            Engine::Podman => "podman",
            Engine::Containerd => "containerd",
            Engine::Crio => "crio",
        }
    }

    /// The programs of ours that the engine would start, each with the name
    /// it has there. Nothing is written to find out.
    pub(super) fn registered(self, node: &Node) -> Result<Vec<Runtime>, InstallError> {
        match self {
            Engine::Docker => docker::registered(node),
            Engine::Podman => podman::registered(node),
            Engine::Containerd => containerd::registered(node),
            Engine::Crio => crio::registered(node),
        }
    }

    /// How it sees a changed configuration.
    pub(super) fn takes(self) -> Takes {
        match self {
            Engine::Docker => Takes::Reload("docker"),
            Engine::Podman => Takes::Nothing,
            Engine::Containerd => Takes::Restart("containerd"),
            Engine::Crio => Takes::Restart("crio"),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A runtime to register: its name with the engine, and its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runtime {
    pub name: String,
    pub program: String,
}

/// What is to be registered.
#[derive(Debug)]
pub(super) struct Wish {
    /// The folder of the programs, on the node.
    pub folder: String,
    /// `packrank`, and one for each class where they are wanted.
    pub runtimes: Vec<Runtime>,
}

impl Wish {
    pub(super) fn new(folder: &str, classes: bool) -> Wish {
        let classes = Priority::ALL.into_iter().rev().filter(|_| classes);
        let named = [None].into_iter().chain(classes.map(Some));
        let runtimes = named.map(|class| Runtime {
            name: class.map_or("packrank".to_owned(), |class| format!("packrank-{class}")),
            program: format!("{folder}/{}", runtime(class)),
        });
        Wish {
            folder: folder.to_owned(),
            runtimes: runtimes.collect(),
        }
    }
}

/// Whether a runtime of this name is one of ours.
pub(super) fn is_our_name(name: &str) -> bool {
    let class = name.strip_prefix("packrank-").map(str::parse::<Priority>);
    name == "packrank" || matches!(class, Some(Ok(_)))
}

/// Whether a runtime's program is one of ours.
pub(super) fn is_our_program(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name == "packrank-runtime" || name.starts_with("packrank-runtime-")
}

/// What would be changed.
#[derive(Debug)]
pub(super) struct Draft {
    pub edits: Vec<Edit>,
    /// What a person should know of it.
    pub notes: Vec<String>,
    pub takes: Takes,
}

impl Draft {
    pub(super) fn changes(&self) -> bool {
        self.edits.iter().any(Edit::changes)
    }
}
