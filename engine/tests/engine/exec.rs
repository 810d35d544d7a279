//! Another process in a running container.

use std::fs;

use serde_json::json;

use crate::lab::Lab;

fn sleeper() -> Option<Lab> {
    let lab = Lab::script("exec sleep 100")?;
    lab.up();
    Some(lab)
}

#[test]
fn status_streams_and_options() {
    let Some(lab) = sleeper() else { return };
    let said = lab.say(&[
        "exec",
        &lab.id,
        "/bin/sh",
        "-c",
        "echo out; echo err >&2; exit 5",
    ]);
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("out\n", "err\n")
    );
    let line = [
        "exec", "--cwd", "/tmp", "--env", "A=b=c", "--user", "5:6", "-g", "7", &lab.id, "sh", "-c",
    ];
    let said = lab.must(&[&line[..], &["pwd; echo $A; id"]].concat());
    assert_eq!(said, "/tmp\nb=c\nuid=5 gid=6 groups=7\n");
    let said = lab.must(&[
        "exec",
        &lab.id,
        "cat",
        "/proc/self/cgroup",
        "/proc/1/cgroup",
    ]);
    let lines: Vec<&str> = said.lines().collect();
    let (own, first) = lines.split_at(lines.len() / 2);
    assert_eq!(own, first, "not in the container's cgroups");
    let left: Vec<_> = fs::read_dir(lab.state_directory().join(&lab.id))
        .unwrap()
        .flatten()
        .collect();
    assert!(
        !left
            .iter()
            .any(|it| it.file_name().to_string_lossy().ends_with(".sock")),
        "{left:?}"
    );
}

#[test]
fn a_process_file_detached() {
    let Some(lab) = sleeper() else { return };
    let process = json!({
        "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", "echo $X > /tmp/made; exec sleep 100"],
        "env": ["PATH=/bin", "X=y"], "cwd": "/", "capabilities": {"bounding": ["CAP_KILL"]}
    });
    let file = lab.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let pid_file = lab.path().join("pid");
    let (file, pid_file) = (file.to_str().unwrap(), pid_file.to_str().unwrap());
    let mut command = lab.engine(&[
        "exec",
        "--process",
        file,
        "--detach",
        "--pid-file",
        pid_file,
        &lab.id,
    ]);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    let pid = fs::read_to_string(pid_file).unwrap();
    let pids: Vec<i32> = serde_json::from_str(&lab.must(&["ps", "-f", "json", &lab.id])).unwrap();
    assert!(
        pids.contains(&pid.parse().unwrap()),
        "{pid} not in {pids:?}"
    );
    crate::lab::eventually("it runs", || {
        fs::read_to_string(lab.bundle().join("rootfs/tmp/made")).is_ok_and(|text| text == "y\n")
    });
}

#[test]
fn a_program_that_is_not_there_is_one_sentence() {
    let Some(lab) = sleeper() else { return };
    let said = lab.say(&["exec", &lab.id, "nosuch"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains("nosuch") && said.stderr.contains("not found"),
        "{said:?}"
    );
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert_eq!(lab.status(), "running");
}

#[test]
fn seccomp_holds_for_exec_too() {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
    });
    for no_new_privileges in [json!(true), json!(false), json!(null)] {
        let Some(lab) = Lab::new(|config| {
            config["linux"]["seccomp"] = seccomp.clone();
            if no_new_privileges.is_null() {
                config["process"]
                    .as_object_mut()
                    .unwrap()
                    .remove("noNewPrivileges");
            } else {
                config["process"]["noNewPrivileges"] = no_new_privileges.clone();
            }
            config["process"]["args"] = json!([
                "/bin/sh",
                "-c",
                "busybox mkdir /tmp/first && echo BAD; echo asked; exec sleep 100"
            ]);
        }) else {
            return;
        };
        lab.up();
        crate::lab::eventually("it has asked", || lab.output().contains("asked"));
        assert!(!lab.output().contains("BAD"), "{}", lab.output());
        let said = lab.say(&["exec", &lab.id, "busybox", "mkdir", "/tmp/second"]);
        assert!(
            said.stderr.contains("not implemented"),
            "{no_new_privileges}: {said:?}"
        );
    }
}

#[test]
fn capabilities_can_be_added_and_none_come_from_nowhere() {
    let Some(lab) = sleeper() else { return };
    let script =
        "while read l; do case $l in CapEff*|CapBnd*) echo $l;; esac; done </proc/self/status";
    let plain = lab.must(&["exec", &lab.id, "sh", "-c", script]);
    // KILL, SETGID, SETUID, MKNOD
    assert_eq!(
        plain,
        "CapEff: 00000000080000e0\nCapBnd: 00000000080000e0\n"
    );
    let more = lab.must(&[
        "exec",
        "--cap",
        "CAP_NET_ADMIN",
        &lab.id,
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(more, "CapEff: 00000000080010e0\nCapBnd: 00000000080010e0\n");
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        config["process"]
            .as_object_mut()
            .unwrap()
            .remove("capabilities");
    }) else {
        return;
    };
    assert_eq!(
        lab.run().stdout,
        "CapEff: 0000000000000000\nCapBnd: 0000000000000000\n"
    );
}
