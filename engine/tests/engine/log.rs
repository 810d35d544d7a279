//! What callers read: the log file, and the first line of `--version`.

use std::fs;

use crate::lab::Lab;

#[test]
fn the_last_error_is_in_the_log_as_runc_writes_it() {
    let Some(lab) = Lab::new(|_| {}) else { return };
    let log = lab.path().join("log.json");
    let line = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    for arguments in [
        &["state", "absent"][..],
        &["create", "--nosuch"],
        &["checkpoint", "x"],
    ] {
        let said = lab.say(&[&line[..], arguments].concat());
        assert_eq!(said.status.code(), Some(1));
        let text = fs::read_to_string(&log).unwrap();
        let entry: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(entry["level"], "error");
        assert_eq!(
            format!("packrank-engine: {}", entry["msg"].as_str().unwrap()),
            said.stderr.trim()
        );
        assert!(entry["time"].as_str().unwrap().contains('T'));
    }
    let log = lab.path().join("log.text");
    let line = [
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "text",
        "state",
        "absent",
    ];
    assert_eq!(lab.say(&line).status.code(), Some(1));
    assert!(
        fs::read_to_string(&log)
            .unwrap()
            .contains("level=error msg=\"container does not exist: absent\"")
    );
}

#[test]
fn debug_lines_go_to_the_log_and_not_to_the_container() {
    let Some(lab) = Lab::script("echo out") else {
        return;
    };
    let log = lab.path().join("log.json");
    let said = lab.say(&[
        "--debug",
        "--log",
        log.to_str().unwrap(),
        "--log-format=json",
        "run",
        &lab.id,
    ]);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", ""));
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().count() > 5, "{text}");
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn options_that_go_callers_write() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    lab.up();
    lab.must(&[
        "--rootless=auto",
        "--criu",
        "criu",
        "--systemd-cgroup=false",
        "--debug=false",
        "list",
        "--quiet=true",
    ]);
    let version = lab.must(&["--version"]);
    assert!(version.starts_with("packrank-engine version "), "{version}");
    assert!(
        version.contains("\nspec: 1.") && version.contains("\nlibseccomp: "),
        "{version}"
    );
}
