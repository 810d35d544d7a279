//! In: a container's record. Out: its poststart or poststop hooks run, each failure with the hook's
//! name. The hooks before start are libcontainer's to run.

use std::path::Path;

use libcontainer::container::ContainerStatus;
use libcontainer::hooks::run_hooks;
use libcontainer::oci_spec::runtime::Hook;

use crate::error::Error;
use crate::record::Record;
use crate::store::Home;

/// Stops at the first failure: a container whose poststart hook fails does not run.
pub fn poststart(record: &Record, home: &Home) -> Result<(), Error> {
    let hooks = record
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.poststart().as_deref())
        .unwrap_or_default();
    hooks.iter().try_for_each(|hook| {
        run(
            "poststart",
            hook,
            record,
            ContainerStatus::Running,
            Some(home.path()),
        )
    })
}

/// Runs all of them and returns what failed.
pub fn poststop(record: &Record, status: ContainerStatus) -> Vec<Error> {
    let hooks = record
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.poststop().as_deref())
        .unwrap_or_default();
    hooks
        .iter()
        .filter_map(|hook| run("poststop", hook, record, status, None).err())
        .collect()
}

fn run(
    kind: &'static str,
    hook: &Hook,
    record: &Record,
    status: ContainerStatus,
    directory: Option<&Path>,
) -> Result<(), Error> {
    run_hooks(
        Some(&vec![hook.clone()]),
        Some(&record.state(status)),
        directory,
        None,
        None,
    )
    .map_err(|cause| Error::Hook {
        hook: kind,
        path: hook.path().clone(),
        cause,
    })
}
