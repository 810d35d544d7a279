//! `start`: containerd wants a shim for a bundle.
//!
//! In: the flags, containerd's word on stdin, and config.json in the working
//! directory. Out: the address of a shim that listens: that of the group's, if
//! there is one, else of a new process that goes on when this one ends.

use std::io::{IsTerminal, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use containerd_shim::bootstrap::{BootstrapParams, BootstrapResult};
use containerd_shim::cgroup::adjust_oom_score;
use containerd_shim::{Flags, StartOpts};
use containerd_shim_protos::TASK_API_VERSION;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use packrank_shim::bundle::Bundle;

use crate::error::Error;
use crate::facts;
use crate::options::Options;
use crate::place::{TOP, place};
use crate::serve::{ADDRESS_FILE, TTRPC_ADDRESS};
use crate::socket;

/// What containerd said.
struct Said {
    /// The address of its socket for events, where it is on stdin and not in
    /// the environment.
    events: Option<String>,
    folder: Option<String>,
    options: Option<Any>,
    /// Since 2.3, an answer in protobuf, which can name the newer task API. To
    /// those before it, it is a bare address: they take it for version 2's.
    bootstrap: bool,
}

/// Starts one, or finds it: what is to be printed.
///
/// # Errors
/// When the bundle is none, or there can be no socket or process.
pub fn start(flags: &Flags) -> Result<Vec<u8>, Error> {
    let said = hear(flags)?;
    let here = std::env::current_dir().map_err(Error::io("working directory"))?;
    let bundle = Bundle::open(&here, None)?;
    let group = facts::group(&bundle.read()?).map_err(Error::path("read config.json in", &here))?;
    let opts = StartOpts {
        address: flags.address.clone(),
        namespace: flags.namespace.clone(),
        socket_dir: said.folder,
        ..StartOpts::default()
    };
    let address = opts.socket_address(group.as_deref().unwrap_or(&flags.id));
    // First, so that whoever ends knows what to remove.
    bundle.write_beside(ADDRESS_FILE, address.as_bytes())?;
    if let Some(listener) = socket::listen(socket::path(&address))? {
        let options = Options::read(said.options.as_ref()).unwrap_or_default();
        go_on(flags, &address, listener, said.events, &options)?;
    }
    if !said.bootstrap {
        return Ok(address.into_bytes());
    }
    let result = BootstrapResult {
        version: TASK_API_VERSION,
        address,
        protocol: "ttrpc".to_owned(),
        ..BootstrapResult::default()
    };
    result.write_to_bytes().map_err(Error::io("encode"))
}

fn hear(flags: &Flags) -> Result<Said, Error> {
    /// containerd's own bound.
    const MOST: u64 = 10 << 20;
    let mut input = Vec::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let read = stdin.lock().take(MOST).read_to_end(&mut input);
        read.map_err(Error::io("read stdin"))?;
    }
    let params = BootstrapParams::parse_from_bytes(&input).ok();
    // Before 2.3 it is the options, which can be read as such a message too:
    // but not as one for this container.
    let ours = |p: &BootstrapParams| p.instance_id == flags.id && p.namespace == flags.namespace;
    if let Some(params) = params.filter(|params| !input.is_empty() && ours(params)) {
        let options = params
            .extensions
            .into_iter()
            .filter_map(|e| e.value.into_option());
        let named = |any: &Any| any.type_url.ends_with(".Options");
        return Ok(Said {
            events: Some(params.containerd_ttrpc_address),
            folder: params.socket_dir.filter(|folder| !folder.is_empty()),
            options: options.into_iter().find(named),
            bootstrap: true,
        });
    }
    Ok(Said {
        events: None,
        folder: None,
        options: Any::parse_from_bytes(&input).ok(),
        bootstrap: false,
    })
}

/// Starts the process that serves. The socket is its standard input: it is
/// listening already, so that nobody needs to wait for it.
fn go_on(
    flags: &Flags,
    address: &str,
    listener: UnixListener,
    events: Option<String>,
    options: &Options,
) -> Result<(), Error> {
    let own = std::env::current_exe().map_err(Error::io("find this program"))?;
    let mut command = Command::new(own);
    command.args(["-namespace", &flags.namespace, "-id", &flags.id]);
    command.args(["-address", &flags.address, "-socket", address]);
    if flags.debug {
        command.arg("-debug");
    }
    if let Some(address) = events {
        command.env(TTRPC_ADDRESS, address);
    }
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // containerd signals its own group.
    command.process_group(0);
    let mut child = command.spawn().map_err(Error::io("start the shim"))?;
    let placed = match &*options.shim_cgroup {
        "" => Ok(()),
        cgroup => place(Path::new(TOP), cgroup, child.id()),
    };
    let scored = |()| adjust_oom_score(child.id()).map_err(std::io::Error::other);
    if let Err(error) = placed.and_then(scored) {
        // It serves nobody yet; the first error is the one worth telling.
        let _ = child.kill();
        return Err(Error::io("place the shim")(error));
    }
    Ok(())
}
