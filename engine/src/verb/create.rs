//! `create`: everything but the start.

use crate::context::Context;
use crate::error::Error;
use crate::launch::{self, Request};

pub fn perform(options: liboci_cli::Create, context: &mut Context) -> Result<i32, Error> {
    let request = Request {
        id: options.container_id,
        bundle: options.bundle,
        console_socket: options.console_socket,
        pid_file: options.pid_file,
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        preserve_fds: options.preserve_fds,
        detached: true,
    };
    launch::create(context, &request)?;
    Ok(0)
}
