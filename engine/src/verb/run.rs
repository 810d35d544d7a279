//! `run`: create, start, attend, delete; the exit status is the container's.

use nix::sys::prctl::set_child_subreaper;

use crate::begin::begin;
use crate::context::Context;
use crate::destroy::destroy;
use crate::error::Error;
use crate::foreground;
use crate::launch::{self, Launched, Request};

pub fn perform(options: liboci_cli::Run, context: &mut Context) -> Result<i32, Error> {
    let request = Request {
        id: options.container_id,
        bundle: options.bundle,
        console_socket: options.console_socket,
        pid_file: options.pid_file,
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        preserve_fds: options.preserve_fds,
        detached: options.detach,
    };
    if options.detach {
        let Launched { home, record, .. } = launch::create(context, &request)?;
        return match begin(&home, &record) {
            Ok(()) => Ok(0),
            Err(error) => {
                destroy(&home, &record)?;
                Err(error)
            }
        };
    }
    let signals = foreground::hold_signals()?;
    if !options.no_subreaper {
        set_child_subreaper(true).map_err(Error::io("subreaper"))?;
    }
    let Launched {
        home,
        record,
        master,
    } = launch::create(context, &request)?;
    let status =
        begin(&home, &record).and_then(|()| foreground::attend(record.pid, &signals, master));
    if !options.keep || status.is_err() {
        destroy(&home, &record)?;
    }
    status
}
