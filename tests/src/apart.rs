//! A host of the test's own.
//!
//! In: what to do, and folders. Out: done in a thread that has its own network
//! and mounts, with each of the folders empty. Every process that it starts is
//! in them too, and what is left there goes with the last of them.

use std::fs;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Runs `body` there, as root; its panic is the caller's.
pub fn apart(name: &str, empty: &[&str], body: impl FnOnce() + Send) {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        for folder in empty {
            fs::create_dir_all(folder).unwrap();
            let tmpfs = Some("tmpfs");
            mount(tmpfs, *folder, tmpfs, MsFlags::empty(), none).unwrap();
        }
        body();
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        if let Err(panic) = thread.spawn_scoped(scope, inside).unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    });
}
