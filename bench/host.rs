//! A host of the benchmark's own.
//!
//! In: what is to be measured there. Out: done in a thread with its own
//! network and mounts, records on a tmpfs as on every node, and somebody who
//! listens where a watcher would, so that none is started.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use packrank_tests::skipped::skipped;

use crate::place::Place;

/// Does `work` there, with runc's path; skips where it cannot be had.
pub fn own(place: &Place, name: &str, work: impl FnOnce(&Path) + Send) {
    let runc = place.installed("runc");
    let (true, Some(runc)) = (nix::unistd::geteuid().is_root(), runc) else {
        return skipped(name, "needs root and runc");
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            let run = place.path("run");
            fs::create_dir_all(&run).unwrap();
            mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), none).unwrap();
            let _watched = UnixListener::bind(run.join("watcher.sock")).unwrap();
            work(&runc);
        });
    });
}
