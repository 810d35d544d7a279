//! A host of the benchmark's own.
//!
//! In: what is to be measured there. Out: done in a thread with its own
//! network and mounts, records on a tmpfs as on every node, and somebody who
//! listens where a watcher would, so that none is started.

use std::os::unix::net::UnixListener;
use std::path::Path;

use packrank_tests::apart::apart;
use packrank_tests::skipped::skipped;

use crate::place::Place;

/// Does `work` there, with runc's path; skips where it cannot be had.
pub fn own(place: &Place, name: &str, work: impl FnOnce(&Path) + Send) {
    let runc = place.installed("runc");
    let (true, Some(runc)) = (nix::unistd::geteuid().is_root(), runc) else {
        return skipped(name, "needs root and runc");
    };
    let run = place.path("run");
    apart(name, &[run.to_str().unwrap()], || {
        let _watched = UnixListener::bind(run.join("watcher.sock")).unwrap();
        work(&runc);
    });
}
