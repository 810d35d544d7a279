//! The shim itself: one thread that waits.
//!
//! In: a listening socket as standard input. Out: the task service on it, until
//! containerd ends it; events to containerd; its log in containerd's.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use containerd_shim::Flags;
use containerd_shim_protos::ttrpc::r#async::Server;
use containerd_shim_protos::ttrpc::r#async::transport::Listener;
use rustix::process::{getpid, set_child_subreaper};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::events::{Events, forward};
use crate::exits::Exits;
use crate::shim::Shim;
use crate::{log_fifo, socket, transport};

/// containerd's name for the address of its socket for events.
pub const TTRPC_ADDRESS: &str = "TTRPC_ADDRESS";

/// Where the bundle keeps the address, as the stock shim does.
pub const ADDRESS_FILE: &str = "address";

/// How long a thread for what blocks stays when it has nothing to do.
const IDLE: Duration = Duration::from_millis(200);

/// How long the last events may take.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Serves until it is told to end.
///
/// # Errors
/// When the socket is none, or the kernel refuses.
pub fn serve(flags: &Flags) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_keep_alive(IDLE)
        .build();
    runtime
        .map_err(Error::io("start the event loop"))?
        .block_on(run(flags))
}

async fn run(flags: &Flags) -> Result<(), Error> {
    log_fifo::open(flags.debug);
    let stdin = std::io::stdin();
    let socket = stdin
        .as_fd()
        .try_clone_to_owned()
        .map_err(Error::io("take the socket"))?;
    let null = std::fs::File::open("/dev/null").map_err(Error::io("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(Error::io("leave standard input"))?;
    drop(null);
    set_child_subreaper(Some(getpid())).map_err(Error::io("become subreaper"))?;
    let exits = Arc::new(Exits::default());
    exits.start().map_err(Error::io("listen to SIGCHLD"))?;
    let (events, queue) = Events::queue();
    let address = std::env::var(TTRPC_ADDRESS).unwrap_or_default();
    let forwarding = tokio::spawn(forward(
        queue,
        with_scheme(address),
        flags.namespace.clone(),
    ));
    let shim = Shim::new(flags.namespace.clone(), exits, events);
    let listener = Listener::try_from(UnixListener::from(socket));
    let listener = listener.map_err(Error::io("listen"))?;
    let mut server = Server::new().add_listener(listener);
    server = server.register_service(transport::services(&shim));
    let started = server.start().await;
    started.map_err(|e| Error::io("serve")(std::io::Error::other(e.to_string())))?;
    let mut ends = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        ends.push(signal(kind).map_err(Error::io("listen to signals"))?);
    }
    let [terminate, interrupt] = &mut ends[..] else {
        return Ok(());
    };
    tokio::select! {
        () = shim.done() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // While it is ours: once nobody listens, the next shim of this id may be
    // there. containerd removes it as well, where it has the bundle.
    drop(std::fs::remove_file(socket::path(&flags.socket)));
    // The last answer is on its way: what was accepted is finished first.
    if let Err(error) = server.shutdown().await {
        log::warn!("{error}");
    }
    drop(server);
    drop(shim);
    // Whatever happened is told, if containerd is there to hear it.
    drop(tokio::time::timeout(LAST_EVENTS, forwarding).await);
    Ok(())
}

/// containerd names its socket with and without.
fn with_scheme(address: String) -> String {
    match address.contains("://") {
        true => address,
        false => format!("unix://{address}"),
    }
}
