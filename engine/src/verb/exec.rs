//! `exec`: another process in a running container; the exit status is the process's.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use libcontainer::oci_spec::runtime::{Capability, Process, Spec};

use crate::console::Console;
use crate::context::Context;
use crate::error::Error;
use crate::foreground;
use crate::join::{self, Request};
use crate::record::Status;
use crate::store::write_pid;

pub fn perform(options: liboci_cli::Exec, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    match record.status(&home) {
        Status::Running => {}
        Status::Paused if options.ignore_paused => {}
        other => {
            return Err(Error::Status {
                verb: "exec in",
                status: other.name(),
            });
        }
    }
    let mut spec = join::configuration(&home)?;
    let process = process(&options, &spec)?;
    spec.set_process(Some(process));
    let terminal = crate::spec::wants_terminal(&spec);
    let console = Console::new(terminal, options.detach, options.console_socket.as_deref())?;
    let signals = if options.detach {
        None
    } else {
        Some(foreground::hold_signals()?)
    };
    let request = Request {
        home: &home,
        record: &record,
        spec,
        console: &console,
        preserve_fds: options.preserve_fds,
        detached: options.detach,
        sub_cgroup: options.cgroup.as_deref().map(sub_cgroup).transpose()?,
    };
    let pid = join::start(context, request)?;
    if let Some(path) = &options.pid_file {
        let written = write_pid(path, pid);
        written.map_err(Error::io(format!("pid file {}", path.display())))?;
    }
    let master = console.master()?;
    match signals {
        None => Ok(0),
        Some(signals) => foreground::attend(pid, &signals, master),
    }
}

/// runc allows `controller:path` on v1; the path holds for every controller here. It leads down
/// only.
fn sub_cgroup(text: &str) -> Result<PathBuf, Error> {
    let path = Path::new(text.rsplit_once(':').map_or(text, |(_, path)| path));
    let down = |part: Component<'_>| !matches!(part, Component::ParentDir);
    match path.components().all(down) {
        true => Ok(path.to_owned()),
        false => Err(Error::Usage(format!(
            "exec: --cgroup {text:?} is not a sub cgroup path"
        ))),
    }
}

/// From the file, or the container's own process with the options laid over it.
fn process(options: &liboci_cli::Exec, spec: &Spec) -> Result<Process, Error> {
    let own = spec
        .process()
        .as_ref()
        .ok_or(Error::SpecMissing("process"))?;
    let mut process = match &options.process {
        Some(path) => from_file(path)?,
        None => with_options(options, own)?,
    };
    if process.args().iter().flatten().next().is_none() {
        return Err(Error::Usage(
            "exec: process args cannot be empty".to_owned(),
        ));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::Usage(format!(
            "exec: working directory {:?} is not absolute",
            process.cwd()
        )));
    }
    if process.oom_score_adj().is_none() {
        // As easy or hard a victim as the container it belongs to.
        process.set_oom_score_adj(own.oom_score_adj());
    }
    // As under runc: what the container is held to holds for every process in it.
    if process.rlimits().is_none() {
        process.set_rlimits(own.rlimits().clone());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*own.io_priority());
    }
    if process.apparmor_profile().is_none() {
        process.set_apparmor_profile(own.apparmor_profile().clone());
    }
    if process.selinux_label().is_none() {
        process.set_selinux_label(own.selinux_label().clone());
    }
    Ok(process)
}

fn from_file(path: &Path) -> Result<Process, Error> {
    let failed = || Error::io(format!("process file {}", path.display()));
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).map_err(failed())?;
    } else {
        text = fs::read(path).map_err(failed())?;
    }
    serde_json::from_slice(&text).map_err(Error::json(format!("process file {}", path.display())))
}

fn with_options(options: &liboci_cli::Exec, own: &Process) -> Result<Process, Error> {
    let mut process = own.clone();
    process
        .set_args(Some(options.command.clone()))
        .set_terminal(Some(options.tty))
        .set_console_size(None);
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut env = own.env().clone().unwrap_or_default();
    env.extend(
        options
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    process.set_env(Some(env));
    if let Some(profile) = &options.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(label) = &options.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if options.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    let user = process.user_mut();
    if let Some((uid, gid)) = options.user {
        user.set_uid(uid);
        if let Some(gid) = gid {
            user.set_gid(gid);
        }
    }
    if !options.additional_gids.is_empty() {
        let mut gids = user.additional_gids().clone().unwrap_or_default();
        gids.extend(&options.additional_gids);
        user.set_additional_gids(Some(gids));
    }
    add_capabilities(&mut process, &options.cap)?;
    Ok(process)
}

/// To every set but the inheritable one, which would hand them on through any program.
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    if process.capabilities().is_none() {
        sets.set_bounding(None)
            .set_effective(None)
            .set_permitted(None)
            .set_inheritable(None)
            .set_ambient(None);
    }
    for name in names {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let capability: Capability = Capability::from_str(short)
            .or_else(|_| serde_json::from_value(serde_json::Value::String(format!("CAP_{short}"))))
            .map_err(|_| Error::Usage(format!("exec: unknown capability {name:?}")))?;
        let with = |set: &Option<std::collections::HashSet<Capability>>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(capability);
            Some(set)
        };
        let (bounding, effective, permitted) = (
            with(sets.bounding()),
            with(sets.effective()),
            with(sets.permitted()),
        );
        sets.set_bounding(bounding)
            .set_effective(effective)
            .set_permitted(permitted);
        if sets
            .inheritable()
            .as_ref()
            .is_some_and(|set| set.contains(&capability))
        {
            let ambient = with(sets.ambient());
            sets.set_ambient(ambient);
        }
    }
    process.set_capabilities(Some(sets));
    Ok(())
}
