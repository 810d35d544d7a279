//! Having an engine take notice of its configuration.
//!
//! In: the service and what it must do. Out: it runs, or why not.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Engine;
use super::engine::is_our_name;
use super::node::Node;

/// An engine that does not answer so long after a restart is down. Starting
/// takes 1 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// One that is told to read its configuration again is up already. Docker asks
/// each runtime for its version meanwhile.
const RELOADING: Duration = Duration::from_secs(30);

/// Docker forgets runtimes that it is not told of any more only where it is
/// told of others, as soon as it has reloaded.
const FORGETTING: Duration = Duration::from_secs(5);

/// What an engine must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// It reads its configuration each time it is called.
    Nothing,
    /// The service reads it again when told so; containers notice nothing.
    Reload(&'static str),
    /// The service must be restarted; containers go on under their shims.
    Restart(&'static str),
}

impl Takes {
    /// The command, as a person would type it.
    pub(super) fn command(self) -> String {
        match self {
            Takes::Nothing => String::new(),
            Takes::Reload(service) => format!("systemctl reload {service}"),
            Takes::Restart(service) => format!("systemctl restart {service}"),
        }
    }

    /// Whether the service runs now.
    pub(super) fn runs(self, node: &Node) -> bool {
        let (Takes::Reload(service) | Takes::Restart(service)) = self else {
            return false;
        };
        let asked = node.ask("systemctl", |c| c.args(["is-active", "--quiet", service]));
        matches!(asked, Ok(Some(answer)) if answer.ok)
    }

    /// Does it, and waits until the engine answers, and knows of packrank what
    /// its configuration says.
    ///
    /// # Errors
    /// In words, when it does not.
    pub(super) fn carry_out(self, node: &Node, engine: Engine) -> Result<(), String> {
        let (verb, service, patience) = match self {
            Takes::Nothing => return Ok(()),
            Takes::Reload(service) => ("reload", service, RELOADING),
            Takes::Restart(service) => ("restart", service, PATIENCE),
        };
        let wanted = match engine {
            Engine::Docker | Engine::Crio => engine.registered(node).map_err(|e| e.to_string())?,
            Engine::Podman | Engine::Containerd => Vec::new(),
        };
        let wanted: BTreeSet<String> = wanted.into_iter().map(|r| r.name).collect();
        let done = node.ask("systemctl", |c| c.args([verb, service]));
        match done {
            Ok(Some(answer)) if answer.ok => {}
            Ok(Some(answer)) => return Err(answer.last_line().to_owned()),
            Ok(None) => return Err("there is no systemctl here".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let start = Instant::now();
        loop {
            let there = answers(node, engine);
            // Told of none at all, dockerd keeps those it had until it is restarted.
            let forgotten = engine == Engine::Docker && wanted.is_empty();
            if forgotten && there.is_ok() && start.elapsed() > FORGETTING {
                return Ok(());
            }
            match there.and_then(|()| knows(node, engine, &wanted)) {
                Ok(()) => return Ok(()),
                Err(problem) if start.elapsed() > patience => return Err(problem),
                Err(_) => sleep(Duration::from_millis(200)),
            }
        }
    }
}

/// Whether the engine answers, and under containerd, whether its CRI does.
fn answers(node: &Node, engine: Engine) -> Result<(), String> {
    let (program, args): (&str, &[&str]) = match engine {
        Engine::Docker => ("docker", &["version"]),
        Engine::Containerd => ("ctr", &["plugins", "list"]),
        Engine::Podman | Engine::Crio => {
            return match engine.takes().runs(node) || engine == Engine::Podman {
                true => Ok(()),
                false => Err("the service is not active".to_owned()),
            };
        }
    };
    match node.ask(program, |c| c.args(args)) {
        Ok(Some(answer)) if !answer.ok => Err(answer.last_line().to_owned()),
        Ok(Some(answer)) => match engine == Engine::Containerd && cri_failed(&answer.said) {
            true => Err("its CRI plugin failed to load".to_owned()),
            false => Ok(()),
        },
        // Without its client, the service is all that can be asked.
        Ok(None) => match engine.takes().runs(node) {
            true => Ok(()),
            false => Err("the service is not active".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Whether an engine that can be asked knows these runtimes, and no other of
/// ours. Docker goes on as before where it does not take a configuration, and
/// CRI-O without a handler that it does not take; both only say so in a log.
fn knows(node: &Node, engine: Engine, wanted: &BTreeSet<String>) -> Result<(), String> {
    let asked = match engine {
        Engine::Docker => node.ask("docker", |c| {
            c.args(["info", "--format", "{{json .Runtimes}}"])
        }),
        Engine::Crio => node.ask("crio", |c| c.args(["status", "config"])),
        Engine::Podman | Engine::Containerd => return Ok(()),
    };
    let answer = match asked {
        Ok(Some(answer)) if answer.ok => answer,
        // Docker answered before; CRI-O before 1.28 has no such verb.
        Ok(Some(answer)) if engine == Engine::Docker => return Err(answer.last_line().to_owned()),
        Ok(_) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let known: BTreeSet<String> = match engine {
        Engine::Docker => {
            let all: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&answer.said).unwrap_or_default();
            all.into_iter().map(|(name, _)| name).collect()
        }
        _ => super::crio::handlers(&answer.said)
            .into_iter()
            .map(|r| r.name)
            .collect(),
    };
    let known: BTreeSet<String> = known.into_iter().filter(|n| is_our_name(n)).collect();
    match (
        wanted.difference(&known).next(),
        known.difference(wanted).next(),
    ) {
        (None, None) => Ok(()),
        (Some(lacks), _) => Err(format!(
            "it does not take runtime {lacks}: its log says why"
        )),
        (None, Some(keeps)) => Err(format!("it keeps runtime {keeps}: its log says why")),
    }
}

/// Whether the list of plugins has a CRI that failed.
fn cri_failed(list: &str) -> bool {
    list.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let cri = words.first().is_some_and(|kind| kind.contains(".cri"))
            || words.get(1).is_some_and(|name| *name == "cri");
        cri && words.last() == Some(&"error")
    })
}

#[cfg(test)]
mod tests {
    use super::cri_failed;

    #[test]
    fn a_cri_that_failed() {
        let list = |cri: &str| {
            format!(
                "TYPE                      ID       PLATFORMS      STATUS\n\
                 io.containerd.snapshotter.v1 zfs   linux/amd64    error\n{cri}\n"
            )
        };
        assert!(!cri_failed(&list(
            "io.containerd.grpc.v1  cri  linux/amd64  ok"
        )));
        assert!(cri_failed(&list(
            "io.containerd.grpc.v1  cri  linux/amd64  error"
        )));
        assert!(cri_failed(&list(
            "io.containerd.cri.v1  runtime  linux/amd64  error"
        )));
        assert!(!cri_failed(&list(
            "io.containerd.cri.v1  runtime  linux/amd64  ok"
        )));
    }
}
