//! `state`: what a container is now, as runc prints it.

use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;

use chrono::SecondsFormat;
use nix::unistd::{Uid, User};

use crate::context::Context;
use crate::error::Error;
use crate::record::{Record, Status};
use crate::store::Home;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    oci_version: &'static str,
    pub id: String,
    pub pid: i32,
    pub status: &'static str,
    pub bundle: PathBuf,
    rootfs: PathBuf,
    pub created: String,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    annotations: HashMap<String, String>,
    pub owner: String,
}

impl State {
    pub fn of(home: &Home, record: Record) -> Self {
        let status = record.status(home);
        let name = User::from_uid(Uid::from_raw(record.owner))
            .ok()
            .flatten()
            .map(|user| user.name);
        Self {
            oci_version: OCI_VERSION,
            pid: if status == Status::Stopped {
                0
            } else {
                record.pid
            },
            status: status.name(),
            id: record.id,
            bundle: record.bundle,
            rootfs: record.rootfs,
            created: record.created.to_rfc3339_opts(SecondsFormat::Nanos, true),
            annotations: record.annotations,
            owner: name.unwrap_or_else(|| format!("#{}", record.owner)),
        }
    }
}

/// The version of the runtime specification that libcontainer follows.
pub const OCI_VERSION: &str = libcontainer::oci_spec::runtime::VERSION;

pub fn perform(options: &liboci_cli::State, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let state = State::of(&home, home.record()?);
    let text = serde_json::to_string_pretty(&state).map_err(Error::json("state"))?;
    println!("{text}");
    Ok(0)
}
