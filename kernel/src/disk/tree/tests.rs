use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::SFlag;
use packrank_skipped::skipped;

use super::*;
use crate::disk::layer::directory;

const PROJECT: u32 = 0x7061_0abc;

/// Runs `test` with a small file system that knows projects (quotas it needs not),
/// in a mount namespace that ends with it.
fn on_a_disk(test: impl FnOnce(&Path) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let run = move || {
        if unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).is_err() {
            return skipped("projects of a tree", "no mount namespace without root");
        }
        let image = folder.path().join("image");
        let top = folder.path().join("top");
        fs::create_dir(&top).unwrap();
        let file = fs::File::create(&image).unwrap();
        file.set_len(SIZE).unwrap();
        succeeds(Command::new("mount").args(["--make-rprivate", "/"]));
        let made = |(mkfs, options): &(&str, &[&str])| {
            succeeds(Command::new(mkfs).args(*options).arg(&image))
                && succeeds(
                    Command::new("mount")
                        .args(["-o", "loop"])
                        .args([&image, &top]),
                )
        };
        if !MKFS.iter().any(made) {
            return skipped(
                "projects of a tree",
                "neither ext4 nor XFS with projects can be made and mounted here",
            );
        }
        test(&top);
    };
    thread::spawn(run).join().unwrap();
}

/// A kernel without quotas mounts no ext4 with projects, but XFS.
const MKFS: [(&str, &[&str]); 2] = [
    ("mkfs.ext4", &["-q", "-F", "-O", "quota,project"]),
    ("mkfs.xfs", &["-q", "-f"]),
];

/// The smallest mkfs.xfs takes; it stays sparse.
const SIZE: u64 = 300 << 20;

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|o| o.status.success())
}

fn project(path: &Path) -> u32 {
    project::of(fs::File::open(path).unwrap().as_fd()).unwrap()
}

fn run(top: &Path) -> Result<Walked, Stop> {
    assign(directory(top).unwrap(), PROJECT, later())
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn what_is_there_gets_the_project_and_what_comes_inherits_it() {
    on_a_disk(|top| {
        let layer = top.join("layer");
        fs::create_dir_all(layer.join("a/b/c")).unwrap();
        fs::write(layer.join("a/b/file"), "x").unwrap();
        fs::write(top.join("outside"), "x").unwrap();
        let walked = run(&layer).unwrap();
        assert_eq!((walked.assigned, walked.skipped), (5, 0));
        assert_eq!(run(&layer).unwrap(), Walked::default());
        fs::create_dir(layer.join("a/b/c/new")).unwrap();
        fs::write(layer.join("a/b/c/new/file"), "x").unwrap();
        for name in ["", "a", "a/b/c", "a/b/file", "a/b/c/new", "a/b/c/new/file"] {
            assert_eq!(project(&layer.join(name)), PROJECT, "{name}");
        }
        assert_eq!(project(&top.join("outside")), 0);
    });
}

#[test]
fn nothing_leads_out_of_a_hostile_layer() {
    on_a_disk(|top| {
        let (layer, victim) = (top.join("layer"), top.join("victim"));
        fs::create_dir_all(layer.join("mounted")).unwrap();
        fs::create_dir_all(victim.join("inside")).unwrap();
        fs::write(victim.join("file"), "x").unwrap();
        symlink(&victim, layer.join("absolute")).unwrap();
        symlink("../victim", layer.join("relative")).unwrap();
        symlink("../victim/file", layer.join("file")).unwrap();
        symlink("self", layer.join("self")).unwrap();
        nix::unistd::mkfifo(&layer.join("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(layer.join("socket")).unwrap();
        let device = nix::sys::stat::makedev(0, 0);
        let whiteout = layer.join("whiteout");
        nix::sys::stat::mknod(&whiteout, SFlag::S_IFCHR, Mode::empty(), device).unwrap();
        let mounted = layer.join("mounted");
        let mut bind = Command::new("mount");
        assert!(succeeds(bind.arg("--bind").args([&victim, &mounted])));
        let locked = layer.join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();

        let walked = run(&layer).unwrap();
        assert_eq!((walked.assigned, walked.skipped), (2, 8));
        for name in ["", "inside", "file"] {
            assert_eq!(project(&victim.join(name)), 0, "{name}");
        }
    });
}

/// Deeper than a process may have descriptors, each directory with a neighbour.
#[test]
fn no_depth_is_too_deep() {
    on_a_disk(|top| {
        let layer = top.join("layer");
        let mut deepest = layer.clone();
        for _ in 0..600 {
            deepest.push("d");
            fs::create_dir_all(deepest.join("e")).unwrap();
            fs::write(deepest.join("e/file"), "x").unwrap();
        }
        let files = fs::read_dir("/proc/self/fd").unwrap().count();
        let walked = run(&layer).unwrap();
        assert_eq!((walked.assigned, walked.cut), (1 + 600 * 3, false));
        assert_eq!(fs::read_dir("/proc/self/fd").unwrap().count(), files);
        assert_eq!(project(&deepest.join("e/file")), PROJECT);
        // What was gone through is not gone through again.
        fs::write(deepest.join("new"), "x").unwrap();
        assert_eq!(run(&layer).unwrap(), Walked::default());
        assert_eq!(project(&deepest.join("new")), PROJECT);
    });
}

#[test]
fn what_takes_too_long_is_cut_and_what_comes_is_counted() {
    on_a_disk(|top| {
        let layer = top.join("layer");
        fs::create_dir_all(layer.join("a/b")).unwrap();
        let late = Instant::now();
        let walked = assign(directory(&layer).unwrap(), PROJECT, late).unwrap();
        assert!(walked.cut);
        fs::write(layer.join("new"), "x").unwrap();
        assert_eq!(project(&layer.join("new")), PROJECT);
        assert_eq!(project(&layer.join("a/b")), 0);
    });
}
