//! `delete`: a container whose shim is gone, or whose Create was never heard
//! of again.
//!
//! In: the id, and the bundles' folder around the working directory. Out:
//! nothing left of it, and how it ended: killed, now.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use containerd_shim::Flags;
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message;
use packrank_shim::attach::{self, RUN_FOLDER};
use packrank_shim::bundle::Bundle;

use crate::container::read_pid;
use crate::error::Error;
use crate::events::timestamp;
use crate::exits::Exit;
use crate::saved::Saved;
use crate::serve::ADDRESS_FILE;
use crate::shim::PID_FILE;
use crate::{rootfs, socket};

/// 128 and SIGKILL.
const KILLED: u32 = 137;

/// Removes all: what is to be printed. Every step is tried; what failed is on
/// standard error, which containerd logs.
///
/// # Errors
/// When there is no folder to look in.
pub fn delete(flags: &Flags) -> Result<Vec<u8>, Error> {
    let bundle = bundle(flags)?;
    let pid = read_pid(&bundle.join(PID_FILE)).unwrap_or(0);
    let tell = |error: Error| eprintln!("containerd-shim-packrank-v2: {error}");
    // containerd calls this after every shim's end; where the bundle is gone,
    // the shim has removed everything itself.
    let saved = match bundle.exists() {
        true => Saved::read(&bundle).map_err(tell).ok().flatten(),
        false => None,
    };
    if let Some(saved) = &saved {
        let words = [OsStr::new("--force"), OsStr::new(&flags.id)];
        if let Err(error) = saved.engine.run_alone("delete", &words) {
            tell(error);
        }
    }
    if saved.is_some_and(|saved| saved.ranked) {
        for failure in attach::detach(&flags.id, &bundle, Path::new(RUN_FOLDER)).failed {
            eprintln!("containerd-shim-packrank-v2: {failure}");
        }
    }
    if let Err(error) = rootfs::unmount_all(&bundle.join("rootfs")) {
        tell(error);
    }
    if let Err(error) = remove_socket(&bundle) {
        tell(error);
    }
    let exit = Exit::now(KILLED);
    let response = DeleteResponse {
        pid,
        exit_status: exit.status,
        exited_at: timestamp(exit.at),
        ..DeleteResponse::default()
    };
    response.write_to_bytes().map_err(Error::io("encode"))
}

/// Of the shim that was killed; the group's, if it lives, keeps its own.
fn remove_socket(bundle: &Path) -> Result<(), Error> {
    if !bundle.exists() {
        return Ok(());
    }
    let address = Bundle::open(bundle, None)?.read_beside(ADDRESS_FILE)?;
    let address = address.and_then(|bytes| String::from_utf8(bytes).ok());
    address.map_or(Ok(()), |address| {
        socket::remove_dead(socket::path(&address))
    })
}

/// containerd runs us in the bundle, or, for a pod's container, in another of
/// the pod's.
fn bundle(flags: &Flags) -> Result<PathBuf, Error> {
    if !flags.bundle.is_empty() {
        return Ok(PathBuf::from(&flags.bundle));
    }
    let here = std::env::current_dir().map_err(Error::io("working directory"))?;
    Ok(here.parent().unwrap_or(&here).join(&flags.id))
}
