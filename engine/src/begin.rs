//! In: a created container. Out: its program running, its poststart hooks run.

use std::fs;

use libcontainer::notify_socket::NotifySocket;

use crate::error::Error;
use crate::record::{Record, Status};
use crate::store::Home;
use crate::{destroy, hooks, payload};

pub fn begin(home: &Home, record: &Record) -> Result<(), Error> {
    match record.status(home) {
        Status::Created => {}
        other => {
            return Err(Error::Status {
                verb: "start",
                status: other.name(),
            });
        }
    }
    let socket = home.notify_socket();
    NotifySocket::new(&socket)
        .notify_container_start()
        .map_err(|cause| Error::Create(cause.to_string()))?;
    // Its absence is what says "started".
    fs::remove_file(&socket).map_err(Error::io("notify socket"))?;
    let begun = payload::wait(home)
        .map_err(Error::from)
        .and_then(|()| hooks::poststart(record, home));
    begun.inspect_err(|_| {
        // So that the caller finds it stopped. That it could not be killed would hide the failure.
        let _ = destroy::kill(record);
    })
}
