//! What the engine writes is nobody else's to read, and what it adds to a container stays in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::lab::{ENGINE, Lab};

/// Everything below a folder and the folder itself, with its mode.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    let mut found = vec![(folder.display().to_string(), mode(folder))];
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(modes(&entry.path())),
            false => found.push((entry.path().display().to_string(), mode(&entry.path()))),
        }
    }
    found
}

#[test]
fn no_umask_opens_what_is_written() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    let log = lab.path().join("log.json");
    let open = |arguments: &[&str]| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 0; exec \"$@\"", "sh", ENGINE, "--root"]);
        command.arg(lab.state_directory()).arg("--log").arg(&log);
        command.args(arguments).current_dir(lab.bundle());
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        quiet.stderr(Stdio::null()).status().unwrap()
    };
    assert!(open(&["create", &lab.id]).success());
    let created = modes(&lab.state_directory());
    assert!(open(&["start", &lab.id]).success());
    assert!(!open(&["exec", &lab.id, "nosuch"]).success());
    let started = modes(&lab.state_directory());
    let names = ["record.json", "config.json", "exec.lock", "notify.sock"];
    for name in names {
        assert!(
            created.iter().any(|(path, _)| path.ends_with(name)),
            "{name}: {created:?}"
        );
    }
    for (path, mode) in created.iter().chain(&started) {
        assert_eq!(mode & 0o077, 0, "{path}: {mode:04o}");
    }
    let log = fs::metadata(log).unwrap().permissions().mode();
    assert_eq!(log & 0o7777, 0o600);
}

#[test]
fn a_sub_cgroup_is_below_the_containers() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    lab.up();
    for path in ["..", "a/../..", "/../x", "memory:..", "pids:/a/../../.."] {
        let said = lab.say(&["exec", "--cgroup", path, &lab.id, "true"]);
        assert_eq!(said.status.code(), Some(1), "{path}");
        assert!(said.stderr.contains("is not a sub cgroup path"), "{said:?}");
    }
}

#[test]
fn what_a_process_file_leaves_out_is_the_containers() {
    let limits = json!([{ "type": "RLIMIT_NOFILE", "hard": 77, "soft": 55 }]);
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", "exec sleep 100"]);
        config["process"]["rlimits"] = limits;
    }) else {
        return;
    };
    lab.up();
    let script = "ulimit -n; ulimit -Hn";
    let process = json!({ "args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", "user": { "uid": 0, "gid": 0 } });
    let file = lab.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let said = lab.must(&["exec", "--process", file.to_str().unwrap(), &lab.id]);
    assert_eq!(said, "55\n77\n");
}
