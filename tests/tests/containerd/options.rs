//! What the stock shim takes as options, each seen at work, and the engine that
//! the policy names.

use std::fs;
use std::path::{Path, PathBuf};

use packrank_tests::containerd::{IMAGE, PACKRANK, World, said, world};
use packrank_tests::program;
use packrank_tests::skipped::skipped;

/// The options as a file, and the flag that names it.
fn flags(world: &World, name: &str, options: &str) -> [String; 2] {
    let path = world.path(&format!("{name}.toml"));
    fs::write(&path, options).unwrap();
    let path = path.display().to_string();
    ["--runtime-config-path".to_owned(), path]
}

/// A container that sleeps under these options.
fn sleeper(world: &World, id: &str, options: &str, more: &[&str]) {
    let flags = flags(world, id, options);
    let mut all: Vec<&str> = flags.iter().map(String::as_str).collect();
    all.extend(more);
    world.sleeper(PACKRANK, id, &all);
}

/// A program in the engine's place.
fn engine(world: &World, name: &str, script: &str) -> PathBuf {
    let path = world.path(name);
    packrank_executable::write(&path, format!("#!/bin/sh\n{script}\n"));
    path
}

/// One that writes down what it is called with, and whose its output
/// and its errors are.
fn telling(world: &World, name: &str) -> (PathBuf, PathBuf) {
    let heard = world.path(&format!("{name}.heard"));
    let runc = program::an_engine("runc").unwrap();
    let script = format!(
        "owners=$(stat -L -c 'end %u:%g' /proc/$$/fd/1 /proc/$$/fd/2)
        printf '%s\\n' \"$*\" \"$owners\" >>{}
        exec {} \"$@\"",
        heard.display(),
        runc.display()
    );
    (engine(world, name, &script), heard)
}

#[test]
fn root_and_the_pipes_owner() {
    world("options", |world| {
        let (engine, heard) = telling(world, "engine");
        let root = world.path("state-of-engines");
        let options =
            format!("BinaryName = {engine:?}\nRoot = {root:?}\nIoUid = 1234\nIoGid = 4321\n");
        let log = format!("file://{}", world.path("a.log").display());
        sleeper(world, "a", &options, &["--log-uri", &log]);
        let state = root.join(&world.namespace).join("a");
        assert!(
            state.exists(),
            "the engine's root is not where it was asked for"
        );
        let usual = Path::new("/run/containerd/runc").join(&world.namespace);
        assert!(!usual.exists(), "{usual:?}");
        let heard = fs::read_to_string(&heard).unwrap();
        let mut lines = heard.lines().skip_while(|line| !line.contains(" create "));
        assert!(lines.next().is_some(), "{heard}");
        let owners: Vec<_> = lines.take_while(|line| line.starts_with("end ")).collect();
        assert_eq!(owners, ["end 1234:4321"; 2], "{heard}");
        // What cleans up after a killed shim knows the root too.
        let [shim] = world.shims("a")[..] else {
            panic!("one shim was expected")
        };
        let pid = nix::unistd::Pid::from_raw(shim);
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
        world.wait("its task has gone", || world.status("a") == "none");
        world.wait("the engine has forgotten it", || !state.exists());
        world.ctr(&["container", "rm", "a"]);
    });
}

/// Without it runc pivots; with it runc moves the root, which it does where no
/// root can be pivoted, as in an initramfs.
#[test]
fn no_pivot_root_and_no_new_keyring() {
    world("pivot", |world| {
        let (engine, heard) = telling(world, "engine");
        let named = format!("BinaryName = {engine:?}\n");
        let asked = format!("{named}NoPivotRoot = true\nNoNewKeyring = true\n");
        for (id, options, given) in [("a", &named, false), ("b", &asked, true)] {
            let [flag, path] = flags(world, id, options);
            let args = [
                "run",
                "--rm",
                "--runtime",
                PACKRANK,
                &flag,
                &path,
                IMAGE,
                id,
                "echo",
                "in",
            ];
            let ran = world.ctr(&args);
            let out = String::from_utf8_lossy(&ran.stdout);
            assert_eq!(out, "in\n", "{}", said(&ran));
            let heard = fs::read_to_string(&heard).unwrap();
            let mut lines = heard.lines().rev();
            let create = lines.find(|line| line.contains(" create ")).unwrap();
            for flag in [" --no-pivot ", " --no-new-keyring "] {
                assert_eq!(create.contains(flag), given, "{create}");
            }
        }
        world.wait("every shim has gone", || world.shims("").is_empty());
    });
}

#[test]
fn the_shims_own_cgroup() {
    world("shim-cgroup", |world| {
        let name = format!("{}-shim", world.cgroup);
        let made: Vec<PathBuf> = hierarchies().map(|top| top.join(&name)).collect();
        made.iter()
            .for_each(|folder| fs::create_dir(folder).unwrap());
        sleeper(world, "a", &format!("ShimCgroup = \"/{name}\"\n"), &[]);
        let [shim] = world.shims("a")[..] else {
            panic!("one shim was expected")
        };
        let inside = |folder: &PathBuf| {
            let inside = fs::read_to_string(folder.join("cgroup.procs")).unwrap();
            inside.lines().any(|line| line == shim.to_string())
        };
        let outside: Vec<_> = made.iter().filter(|folder| !inside(folder)).collect();
        world.remove("a");
        world.wait("every shim has gone", || world.shims("").is_empty());
        for folder in &made {
            world.wait("its cgroup is empty", || fs::remove_dir(folder).is_ok());
        }
        assert!(outside.is_empty(), "the shim is not in {outside:?}");
    });
}

/// The hierarchies that a shim is put into: v2's, or each of v1's controllers.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let v2 = top.join("cgroup.controllers").exists();
    let v1 = ["cpu", "memory", "pids"].map(|name| top.join(name));
    let v2 = v2.then(|| top.to_owned());
    let v1 = v1
        .into_iter()
        .filter(|path| path.join("cgroup.procs").exists());
    v2.into_iter().chain(v1)
}

#[test]
fn cgroups_by_systemd() {
    if !Path::new("/run/systemd/system").is_dir() {
        return skipped("SystemdCgroup", "no systemd here");
    }
    world("systemd", |world| {
        let id = format!("{}-a", world.namespace);
        let path = format!("system.slice:packrank:{id}");
        let (engine, heard) = telling(world, "engine");
        let options = format!("BinaryName = {engine:?}\nSystemdCgroup = true\n");
        let low = [
            "--cgroup",
            &path,
            "--annotation",
            "packrank.io/priority=low",
        ];
        sleeper(world, &id, &options, &low);
        let heard = fs::read_to_string(heard).unwrap();
        assert!(heard.contains(" --systemd-cgroup create "), "{heard}");
        let scope = Path::new("/sys/fs/cgroup/system.slice").join(format!("packrank-{id}.scope"));
        let read = |file: &str| fs::read_to_string(scope.join(file)).unwrap();
        assert_eq!(read("pids.max"), "512\n");
        assert_eq!(read("cpu.max"), "50000 100000\n");
        world.remove(&id);
        world.wait("its scope has gone", || !scope.exists());
    });
}

#[test]
fn the_policys_engine_and_the_options_before_it() {
    world("policy", |world| {
        let (by_policy, first) = telling(world, "by-policy");
        let (by_option, second) = telling(world, "by-option");
        let policy = world.path("policy.toml");
        fs::write(&policy, format!("[engine]\npath = {by_policy:?}\n")).unwrap();
        let named = format!("Policy = {policy:?}\n");
        let both = format!("{named}BinaryName = {by_option:?}\n");
        for (id, options, wanted) in [("a", &named, &by_policy), ("b", &both, &by_option)] {
            sleeper(
                world,
                id,
                options,
                &["--annotation", "packrank.io/priority=low"],
            );
            let record = fs::read_to_string(format!("/run/packrank/packs/{id}.json")).unwrap();
            let record: serde_json::Value = serde_json::from_str(&record).unwrap();
            assert_eq!(record["engine"], wanted.display().to_string());
            world.remove(id);
        }
        let calls = |path| fs::read_to_string(path).unwrap_or_default();
        assert!(calls(&first).contains(" create ") && calls(&first).contains(" a\n"));
        assert!(!calls(&first).contains(" b\n"), "{}", calls(&first));
        assert!(calls(&second).contains(" b\n"), "{}", calls(&second));
    });
}
