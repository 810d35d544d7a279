//! Project quotas on real overlays. `PACKRANK_QUOTA` names a directory on an
//! ext4 or XFS that enforces them; without it these tests are skipped.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use packrank_kernel::disk::{
    Applied, Error, PROJECTS, Unsupported, change, limit, list, remove, sweep, used,
};
use packrank_skipped::skipped;

const MIB: u64 = 1 << 20;

/// A folder of its own on the file system under test.
struct Lab {
    top: PathBuf,
    registry: PathBuf,
}

impl Lab {
    fn open(name: &str) -> Option<Lab> {
        let Some(quota) = env::var_os("PACKRANK_QUOTA") else {
            skipped(
                name,
                "PACKRANK_QUOTA names no directory with project quotas",
            );
            return None;
        };
        let top = PathBuf::from(quota).join(name);
        fs::create_dir_all(&top).unwrap();
        let registry = top.join("registry");
        Some(Lab { top, registry })
    }

    fn overlay(&self, id: &str) -> Overlay {
        let folder = self.top.join(id);
        for part in ["lower/etc", "upper", "work", "merged"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        fs::write(folder.join("lower/etc/passwd"), "root\n").unwrap();
        let overlay = Overlay { folder };
        overlay.mount();
        overlay
    }

    fn limit(&self, root: &Path, id: &str, bytes: u64) -> Result<Applied, Error> {
        limit(root, id, bytes, &self.registry)
    }
}

/// A container's root file system.
struct Overlay {
    folder: PathBuf,
}

impl Overlay {
    fn root(&self) -> PathBuf {
        self.folder.join("merged")
    }

    fn mount(&self) {
        let at = |part: &str| self.folder.join(part).display().to_string();
        let (lower, upper, work) = (at("lower"), at("upper"), at("work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "-o", &options, "overlay"]);
        assert!(mount.arg(self.root()).status().unwrap().success());
    }

    fn unmount(&self) {
        let done = Command::new("umount").arg(self.root()).status();
        assert!(done.unwrap().success());
    }

    /// Writes as a container would: without CAP_SYS_RESOURCE, which passes
    /// ext4's limits. The error's words, or none.
    fn write(&self, name: &str, mib: u64) -> Option<String> {
        write(&self.root().join(name), mib)
    }

    /// As an engine does it.
    fn destroy(self) {
        self.unmount();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn write(path: &Path, mib: u64) -> Option<String> {
    write_with(&["--bounding-set", "-sys_resource"], path, mib)
}

fn write_with(rights: &[&str], path: &Path, mib: u64) -> Option<String> {
    let mut dd = Command::new("setpriv");
    dd.args(rights);
    dd.args(["dd", "if=/dev/zero", "bs=64k", "conv=fsync"]);
    dd.arg(format!("of={}", path.display()));
    dd.arg(format!("count={}", mib * 16));
    let output = dd.stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(words)
}

#[track_caller]
fn assert_full(said: Option<String>) {
    let said = said.expect("more than the limit was written");
    let full = said.contains("No space left") || said.contains("quota exceeded");
    assert!(full, "{said}");
    println!(
        "over the limit: {}",
        said.lines().next().unwrap_or_default()
    );
}

#[test]
fn a_full_layer_is_full_for_nobody_else() {
    let Some(lab) = Lab::open("full") else { return };
    let (one, two) = (lab.overlay("one"), lab.overlay("two"));
    let applied = lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    assert!(PROJECTS.contains(&applied.project));
    assert_eq!(applied.upper, one.folder.join("upper"));
    assert_eq!(
        lab.limit(&two.root(), "two", 64 * MIB).unwrap().bytes,
        64 * MIB
    );

    assert_eq!(one.write("within", 6), None);
    assert_full(one.write("over", 6));
    assert_eq!(two.write("elsewhere", 16), None);
    assert_eq!(write(&lab.top.join("outside"), 16), None);

    let usage = used("one", &lab.registry).unwrap();
    assert_eq!(usage.limit, Some(8 * MIB));
    assert!((6 * MIB..=8 * MIB).contains(&usage.bytes), "{usage:?}");

    // More, live; less than is held stops only what comes.
    assert_eq!(change("one", 24 * MIB, &lab.registry).unwrap(), 8 * MIB);
    assert_eq!(one.write("over", 10), None);
    assert_eq!(change("one", MIB, &lab.registry).unwrap(), 24 * MIB);
    assert_full(one.write("more", 2));
    for name in ["over", "within", "more"] {
        // XFS does not even begin a file over the limit.
        let _ = fs::remove_file(one.root().join(name));
    }
    assert_full(one.write("again", 2));

    assert!(remove("one", &lab.registry).unwrap());
    assert!(!remove("one", &lab.registry).unwrap());
    assert_eq!(one.write("free", 16), None);
    assert!(matches!(
        used("one", &lab.registry),
        Err(Error::Unknown { .. })
    ));
    assert!(remove("two", &lab.registry).unwrap());
    assert_eq!(list(&lab.registry).unwrap(), []);
    one.destroy();
    two.destroy();
}

/// What the documentation warns of.
#[test]
fn what_root_without_a_user_namespace_can_undo() {
    let Some(lab) = Lab::open("undo") else { return };
    let one = lab.overlay("one");
    lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    fs::write(one.root().join("file"), "").unwrap();
    let mut chattr = Command::new("setpriv");
    chattr.args([
        "--bounding-set",
        "-sys_resource,-sys_admin",
        "chattr",
        "-p",
        "0",
    ]);
    let left = chattr
        .arg(one.root().join("file"))
        .status()
        .unwrap()
        .success();
    let said = one.write("file", 12);
    println!("project changed from inside: {left}; then 12 of 8 MiB: {said:?}");
    let passed = write_with(&[], &one.root().join("passed"), 12);
    // An overlay writes without CAP_SYS_RESOURCE whoever writes.
    assert_full(passed);
    assert!(remove("one", &lab.registry).unwrap());
    one.destroy();
}

#[test]
fn an_overlay_works_as_before_inside_its_project() {
    let Some(lab) = Lab::open("overlay") else {
        return;
    };
    let one = lab.overlay("one");
    let root = one.root();
    // What an engine makes before the hook, among it a whiteout.
    fs::create_dir_all(root.join("run/secrets")).unwrap();
    fs::write(root.join("etc/hosts"), "").unwrap();
    let began = Instant::now();
    let applied = lab.limit(&root, "one", 16 * MIB).unwrap();
    println!("limited in {:?}: {applied:?}", began.elapsed());
    assert!(applied.assigned >= 6, "{applied:?}");
    // Copied up, moved, deleted, made again over what was deleted.
    fs::write(root.join("etc/passwd"), "other\n").unwrap();
    fs::rename(root.join("etc/passwd"), root.join("passwd")).unwrap();
    fs::write(root.join("etc/passwd"), "third\n").unwrap();
    fs::remove_dir_all(root.join("etc")).unwrap();
    fs::create_dir(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "fourth\n").unwrap();
    fs::rename(root.join("run/secrets"), root.join("secrets")).unwrap();
    fs::hard_link(root.join("passwd"), root.join("etc/linked")).unwrap();
    std::os::unix::fs::symlink("passwd", root.join("symbolic")).unwrap();
    fs::rename(root.join("symbolic"), root.join("etc/symbolic")).unwrap();
    assert!(remove("one", &lab.registry).unwrap());
    one.destroy();
}

#[test]
fn empty_files_end_somewhere_too() {
    let Some(lab) = Lab::open("files") else {
        return;
    };
    let one = lab.overlay("one");
    lab.limit(&one.root(), "one", MIB).unwrap();
    let script = format!(
        "cd {} && for i in $(seq 2000); do : >file$i || exit 1; done",
        one.root().display()
    );
    let mut shell = Command::new("setpriv");
    shell.args(["--bounding-set", "-sys_resource", "bash", "-c", &script]);
    let output = shell.output().unwrap();
    assert!(!output.status.success(), "2000 files fit into 1024");
    let files = used("one", &lab.registry).unwrap().files;
    assert!((1000..=1024).contains(&files), "{files}");
    assert!(remove("one", &lab.registry).unwrap());
    one.destroy();
}

#[test]
fn a_layer_that_stays_keeps_its_number_and_nobody_else_gets_it() {
    let Some(lab) = Lab::open("stays") else {
        return;
    };
    let one = lab.overlay("one");
    let first = lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    assert_eq!(one.write("file", 4), None);
    assert!(remove("one", &lab.registry).unwrap());
    one.unmount();

    // The same id's first choice, with another layer: taken by what is left.
    let another = lab.overlay("another");
    let second = lab.limit(&another.root(), "one", 8 * MIB).unwrap();
    assert_ne!(first.project, second.project);
    assert_eq!(used("one", &lab.registry).unwrap().bytes / MIB, 0);
    assert!(remove("one", &lab.registry).unwrap());
    another.destroy();

    // Started again, even by another id: the same number, and what is there counts.
    one.mount();
    let again = lab.limit(&one.root(), "renamed", 8 * MIB).unwrap();
    assert_eq!((again.project, again.assigned), (first.project, 0));
    assert!(used("renamed", &lab.registry).unwrap().bytes >= 4 * MIB);
    assert_full(one.write("more", 6));
    assert!(remove("renamed", &lab.registry).unwrap());
    one.destroy();

    // Gone: the number is free again.
    let last = lab.overlay("last");
    let free = lab.limit(&last.root(), "one", 8 * MIB).unwrap();
    assert_eq!(free.project, first.project);
    assert!(remove("one", &lab.registry).unwrap());
    last.destroy();
}

/// Neither depth nor number of what a container made lifts its limit.
#[test]
fn a_layer_of_any_form_is_limited_again_after_a_restart() {
    let Some(lab) = Lab::open("form") else { return };
    let one = lab.overlay("one");
    lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    let script = format!(
        "cd {} && for i in $(seq 270); do mkdir d && cd d || exit 1; done; : > file",
        one.root().display()
    );
    let made = Command::new("bash").args(["-c", &script]).status();
    assert!(made.unwrap().success());
    assert!(remove("one", &lab.registry).unwrap());

    let began = Instant::now();
    let again = lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    println!("limited again in {:?}", began.elapsed());
    assert_eq!((again.assigned, again.complete), (0, true));
    assert_full(one.write("over", 12));

    // One that got its number off its top, from inside, is gone through.
    fs::remove_file(one.root().join("over")).unwrap();
    assert!(remove("one", &lab.registry).unwrap());
    assert!(set_project(&one.folder.join("upper"), 0));
    let again = lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    assert!(again.assigned >= 270 && again.complete, "{again:?}");
    assert_full(one.write("over", 12));
    assert!(remove("one", &lab.registry).unwrap());
    one.destroy();
}

#[test]
fn a_plain_directory_is_limited_beside_what_it_holds() {
    let Some(lab) = Lab::open("plain") else {
        return;
    };
    let root = lab.top.join("rootfs");
    fs::create_dir_all(root.join("a/b")).unwrap();
    assert_eq!(write(&root.join("a/image"), 10), None);
    let applied = lab.limit(&root, "one", 4 * MIB).unwrap();
    assert_eq!(applied.assigned, 4);
    assert!(used("one", &lab.registry).unwrap().bytes < MIB);
    assert_eq!(write(&root.join("a/b/within"), 3), None);
    assert_full(write(&root.join("a/b/over"), 3));

    let error = lab.limit(&root, "two", 4 * MIB).unwrap_err();
    let Error::Unsupported { why, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*why, Unsupported::Shared("one".to_owned()));
    assert!(remove("one", &lab.registry).unwrap());
    assert_eq!(list(&lab.registry).unwrap(), []);
}

#[test]
fn what_can_have_no_quota_says_why() {
    let Some(lab) = Lab::open("reasons") else {
        return;
    };
    let reason = |root: &Path| {
        let error = lab.limit(root, "one", MIB).unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        error.to_string()
    };
    let tmpfs = lab.top.join("tmpfs");
    fs::create_dir_all(&tmpfs).unwrap();
    let mut mount = Command::new("mount");
    assert!(
        mount
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&tmpfs)
            .status()
            .unwrap()
            .success()
    );
    let said = reason(&tmpfs);
    assert!(
        said.contains("tmpfs on") && said.contains("has no project quotas"),
        "{said}"
    );
    assert!(
        Command::new("umount")
            .arg(&tmpfs)
            .status()
            .unwrap()
            .success()
    );

    let foreign = lab.top.join("foreign");
    fs::create_dir_all(&foreign).unwrap();
    assert!(set_project(&foreign, 42));
    assert!(reason(&foreign).ends_with("project 42 of somebody else"));
    assert!(reason(Path::new("/")).contains("the host's own root"));

    let one = lab.overlay("one");
    one.unmount();
    let read_only = format!("lowerdir={0}/lower:{0}/upper", one.folder.display());
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "overlay", "-o", &read_only, "overlay"])
        .arg(one.root());
    assert!(mount.status().unwrap().success());
    assert!(reason(&one.root()).ends_with("the root file system is read-only"));
    one.destroy();
    assert_eq!(list(&lab.registry).unwrap(), []);
}

fn set_project(path: &Path, project: u32) -> bool {
    let mut chattr = Command::new("chattr");
    chattr.arg("-p").arg(project.to_string()).arg(path);
    chattr.status().unwrap().success()
}

#[test]
fn fifty_at_once_have_fifty_numbers() {
    let Some(lab) = Lab::open("fifty") else {
        return;
    };
    let roots: Vec<PathBuf> = (0..50).map(|n| lab.top.join(format!("root{n}"))).collect();
    let projects: Vec<u32> = thread::scope(|scope| {
        let all: Vec<_> = roots
            .iter()
            .map(|root| {
                let lab = &lab;
                scope.spawn(move || {
                    fs::create_dir(root).unwrap();
                    let id = root.display().to_string();
                    lab.limit(root, &id, MIB).unwrap().project
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(projects.iter().collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(list(&lab.registry).unwrap().len(), 50);
    thread::scope(|scope| {
        for root in &roots {
            let lab = &lab;
            scope.spawn(move || {
                assert!(remove(&root.display().to_string(), &lab.registry).unwrap());
            });
        }
    });
    assert_eq!(list(&lab.registry).unwrap(), []);
    for root in &roots {
        assert_eq!(write(&root.join("free"), 2), None);
        fs::remove_dir_all(root).unwrap();
    }
}

/// The process that is killed: the test below runs this very test alone.
#[test]
fn limit_one_for_the_kill_test() {
    let (Some(root), Some(registry)) = (env::var_os("KILL_ROOT"), env::var_os("KILL_REGISTRY"))
    else {
        return;
    };
    let _ = limit(Path::new(&root), "killed", MIB, Path::new(&registry));
}

#[test]
fn a_process_killed_at_any_step_leaves_nothing_that_cleaning_up_does_not_find() {
    let Some(lab) = Lab::open("killed") else {
        return;
    };
    // Many files, so that a kill can come between them.
    let root = lab.top.join("root");
    for n in 0..20 {
        fs::create_dir_all(root.join(format!("d{n}"))).unwrap();
        for m in 0..20 {
            fs::write(root.join(format!("d{n}/f{m}")), "").unwrap();
        }
    }
    let (mut registered, mut before) = (0, 0);
    for round in 0..100 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "disk_quota::limit_one_for_the_kill_test"])
            .env("KILL_ROOT", &root)
            .env("KILL_REGISTRY", &lab.registry)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(round * 1500));
        child.kill().unwrap();
        child.wait().unwrap();
        match list(&lab.registry).unwrap_or_default().as_slice() {
            [] => before += 1,
            [one] => {
                assert_eq!(one.id, "killed");
                registered += 1;
            }
            more => panic!("{more:?}"),
        }
        // What gc does: leave for whoever is gone, then sweep.
        remove("killed", &lab.registry).unwrap();
        let swept = sweep(&lab.registry).unwrap();
        assert!(round == 0 || swept.is_empty(), "round {round}: {swept:?}");
        assert_eq!(list(&lab.registry).unwrap(), []);
    }
    println!("killed before registering {before} times, after it {registered} times");
    assert!(registered > 0);
    assert_eq!(write(&root.join("free"), 4), None);
}

#[test]
fn a_lost_registry_loses_no_limit_for_good() {
    let Some(lab) = Lab::open("lost") else { return };
    let one = lab.overlay("one");
    let applied = lab.limit(&one.root(), "one", 4 * MIB).unwrap();
    fs::remove_dir_all(&lab.registry).unwrap();
    assert_full(one.write("over", 6));
    let again = lab.limit(&one.root(), "one", 8 * MIB).unwrap();
    assert_eq!(again.project, applied.project);
    fs::remove_dir_all(&lab.registry).unwrap();
    // Its container may run, registered elsewhere.
    assert!(!sweep(&lab.registry).unwrap().contains(&applied.project));
    assert_full(one.write("over", 10));
    one.destroy();
    // XFS forgets removed files a little later; other file systems of the
    // machine may have limits of their own.
    let until = Instant::now() + Duration::from_secs(10);
    while !sweep(&lab.registry).unwrap().contains(&applied.project) {
        assert!(
            Instant::now() < until,
            "the limit of a layer that is gone stays"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
