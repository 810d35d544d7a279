//! Hooks of every stage; many of them, many times, with children that end at any moment.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, finish};

fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
}

#[test]
fn twenty_and_twenty_hooks_fifty_times_never_hang() {
    let Some(lab) = Lab::new(|config| {
        let many: Vec<Value> = (0..20).map(|_| json!({"path": "/bin/true"})).collect();
        config["hooks"] = json!({"createRuntime": many, "poststart": many});
    }) else {
        return;
    };
    let begun = Instant::now();
    for round in 0..50 {
        // Each far below the limit; a hang would end here, not in the test runner.
        let said = finish(
            lab.engine(&["run", &lab.id]).spawn().unwrap(),
            Duration::from_secs(60),
        );
        assert!(said.status.success(), "round {round}: {said:?}");
    }
    lab.assert_nothing_left();
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn every_stage_in_its_order_with_the_state_on_stdin() {
    let Some(lab) = Lab::new(|_| {}) else { return };
    let mut config = lab.plain();
    let log = lab.path().join("hooks.log");
    let note = |stage: &str| {
        hook(&format!(
            "printf '%s ' {stage} >> {0}; cat >> {0}; echo >> {0}",
            log.display()
        ))
    };
    config["annotations"] = json!({"key": "value"});
    config["hooks"] = json!({
        "prestart": [note("prestart")], "createRuntime": [note("createRuntime")],
        "createContainer": [note("createContainer")],
        "poststart": [note("poststart")], "poststop": [note("poststop")]
    });
    lab.configure(&config);
    assert!(lab.run().status.success());
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<(&str, Value)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(stage, state)| (stage, serde_json::from_str(state).unwrap()))
        .collect();
    let stages: Vec<&str> = lines.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(
        stages,
        [
            "prestart",
            "createRuntime",
            "createContainer",
            "poststart",
            "poststop"
        ]
    );
    for (stage, state) in &lines {
        assert_eq!(state["id"], lab.id, "{stage}");
        assert_eq!(state["bundle"], lab.bundle().to_str().unwrap(), "{stage}");
        assert_eq!(state["annotations"]["key"], "value", "{stage}");
        assert_eq!(
            state["pid"].as_i64().unwrap_or(0) > 0,
            !matches!(*stage, "poststop" | "createContainer"),
            "{stage}: {state}"
        );
    }
    let statuses: Vec<&str> = lines
        .iter()
        .filter_map(|(_, state)| state["status"].as_str())
        .collect();
    assert_eq!(
        statuses,
        ["creating", "creating", "creating", "running", "stopped"]
    );
}

#[test]
fn a_failing_hook_fails_the_verb_and_leaves_nothing() {
    for stage in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let Some(lab) = Lab::new(|config| {
            config["process"]["args"] = json!(["/bin/sleep", "100"]);
            config["hooks"] = json!({stage: [hook("exit 3")]});
        }) else {
            return;
        };
        let said = lab.run();
        assert_eq!(said.status.code(), Some(1), "{stage}: {said:?}");
        assert!(
            said.stderr.contains("hook") && said.stderr.contains('3'),
            "{stage}: {said:?}"
        );
        assert_eq!(said.stderr.lines().count(), 1, "{stage}: {said:?}");
        lab.assert_nothing_left();
    }
}

#[test]
fn a_failing_poststop_hook_does_not_stop_the_removal() {
    let Some(lab) = Lab::new(|config| config["hooks"] = json!({"poststop": [hook("exit 3")]}))
    else {
        return;
    };
    let said = lab.run();
    assert!(said.status.success(), "{said:?}");
    assert!(said.stderr.contains("poststop hook /bin/sh"), "{said:?}");
    lab.assert_nothing_left();
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    let Some(lab) = Lab::new(|config| {
        let mut slow = hook("exec sleep 100");
        slow["timeout"] = json!(1);
        config["hooks"] = json!({"createRuntime": [slow]});
    }) else {
        return;
    };
    let begun = Instant::now();
    let said = lab.run();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("timeout"), "{said:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    lab.assert_nothing_left();
}
