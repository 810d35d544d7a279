//! The engines that run on this machine.
//!
//! In: their names. Out: each one that is here, under packrank-runtime, with a
//! folder and a state of its own; a line that says SKIPPED for each that is
//! not.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use packrank_tests::apart::apart;
use packrank_tests::bundle::Bundle;
use packrank_tests::kernel;
use packrank_tests::program;
use packrank_tests::skipped::skipped;

pub struct Engine {
    /// What it is called.
    pub name: &'static str,
    program: PathBuf,
    folder: tempfile::TempDir,
    test: &'static str,
    running: RefCell<Vec<String>>,
}

/// Runs the test on each engine, in a mount namespace of its own.
pub fn each(test: &'static str, body: impl Fn(&Engine) + Send + Sync) {
    if !nix::unistd::geteuid().is_root() {
        return skipped(test, "not root");
    }
    if kernel::v2() {
        return skipped(
            test,
            "the host is on cgroup v2: the guest's cases read that back",
        );
    }
    let _ = (program::runtime(), program::hook());
    for name in ["runc", "crun", "youki", "packrank-engine"] {
        let Some(program) = program::an_engine(name) else {
            skipped(&format!("{test} on {name}"), "not installed");
            continue;
        };
        let body = &body;
        apart(name, &["/run/packrank"], move || {
            // Nobody watches: what is read back is not to follow this
            // machine's load.
            let watched = UnixListener::bind("/run/packrank/watcher.sock");
            let _watched = watched.unwrap();
            if name == "crun" {
                // Debian 12's refuses a hybrid host, by this mount.
                let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
            }
            // On a disk, so that there is one to throttle.
            let folder = tempfile::Builder::new()
                .prefix("packrank-")
                .tempdir_in("/var/tmp")
                .unwrap();
            let running = RefCell::default();
            body(&Engine {
                name,
                program,
                folder,
                test,
                running,
            });
        });
    }
}

impl Engine {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An id that no other test run has.
    pub fn id(&self, name: &str) -> String {
        format!(
            "packrank-{}-{}-{}-{name}",
            self.test,
            std::process::id(),
            self.name
        )
    }

    /// packrank-runtime in front of the engine, to be called.
    pub fn ranked(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program::runtime());
        let errors = fs::File::create(self.path("errors")).unwrap();
        command
            .arg("--engine")
            .arg(&self.program)
            .arg("--root")
            .arg(self.path("state"));
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        command
    }

    /// What the last call said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("errors")).unwrap()
    }

    /// Creates and starts; the first process.
    pub fn run(&self, bundle: &Bundle, name: &str) -> u32 {
        let (id, pid) = (self.id(name), self.path(&format!("{name}.pid")));
        self.running.borrow_mut().push(name.to_owned());
        let bundle = bundle.path.to_str().unwrap();
        self.call(&[
            "create",
            "--bundle",
            bundle,
            "--pid-file",
            pid.to_str().unwrap(),
            &id,
        ]);
        self.call(&["start", &id]);
        fs::read_to_string(pid).unwrap().trim().parse().unwrap()
    }

    fn call(&self, args: &[&str]) {
        let status = self.ranked(args).status().unwrap();
        assert!(status.success(), "{} {args:?}: {}", self.name, self.said());
    }

    pub fn remove(&self, name: &str) {
        // As a manager does it: again, when the engine's delete fails. A scavenger's processes are slow to leave
        // their cgroup on a busy machine, and runc and youki give up on a cgroup that is not empty soon.
        for _ in 0..5 {
            let delete = ["delete", "--force", &self.id(name)];
            let done = self.ranked(&delete).status();
            if done.is_ok_and(|status| status.success()) && self.left().is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(500));
        }
        if self.name == "crun" {
            // Without the mount, crun makes and leaves a plain folder where it was.
            let _ = fs::remove_dir_all(Path::new("/sys/fs/cgroup/unified").join(self.id(name)));
        }
        self.running.borrow_mut().retain(|n| n != name);
    }

    /// Cgroups and records that should have gone.
    pub fn left(&self) -> Vec<String> {
        let prefix = format!(
            "packrank-{}-{}-{}",
            self.test,
            std::process::id(),
            self.name
        );
        let mut left = Vec::new();
        search(Path::new("/sys/fs/cgroup"), &prefix, 4, &mut left);
        search(Path::new("/run/packrank"), &prefix, 2, &mut left);
        left
    }
}

fn search(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(path.display().to_string());
        } else if depth > 0 && entry.file_type().is_ok_and(|t| t.is_dir()) {
            search(&path, prefix, depth - 1, found);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let running = self.running.borrow().clone();
        running.iter().for_each(|name| self.remove(name));
    }
}
