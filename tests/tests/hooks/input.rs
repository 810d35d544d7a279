//! What comes on stdin may be anything: a clear sentence, and nothing shaped
//! that is not the container's.

use std::process::{Command, Stdio};

use serde_json::json;

use super::world::{id, world};

#[test]
fn a_bad_state_is_refused_in_one_sentence() {
    world("input", |world| {
        let bundle = world.bundle("one", |_| {});
        let state = |pid: u32| json!({ "ociVersion": "1.0.2", "id": "x1", "pid": pid, "bundle": bundle.path, "status": "creating" });
        // Somebody else's process, in a network of its own.
        let mut other = Command::new("unshare")
            .args(["-n", "sleep", "60"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let netns = format!("/proc/{}/ns/net", other.id());
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        while std::fs::read_link(&netns).unwrap() == own {
            std::thread::yield_now();
        }
        world.veth("vother", other.id());
        let whole = state(other.id()).to_string();
        for (stdin, says) in [
            (String::new(), "stdin is empty"),
            (
                whole[..whole.len() / 2].to_owned(),
                "stdin is no container state",
            ),
            ("[]".to_owned(), "stdin is no container state"),
            ("{}".to_owned(), "stdin is no container state"),
            (r#"{"id":"","bundle":"/x"}"#.to_owned(), "has no id"),
            (
                r#"{"id":"a","bundle":"x"}"#.to_owned(),
                "has no absolute bundle path",
            ),
            (
                r#"{"id":"a","bundle":"/nonexistent"}"#.to_owned(),
                "No such file or directory",
            ),
            (state(0).to_string(), "process 0 does not exist"),
            (state(u32::MAX).to_string(), "does not exist"),
            (state(1).to_string(), "process 1 is not this container's"),
            (whole, "is not this container's"),
        ] {
            let output = world.hook("createRuntime", stdin.as_bytes());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{stdin}: {said}");
            assert!(
                said.contains(says) && said.lines().count() == 1,
                "{stdin}: {said}"
            );
        }
        let qdiscs = world.run("tc", &["qdisc", "show", "dev", "vother"]);
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!qdiscs.contains("htb"), "{qdiscs}");
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn an_unknown_phase_warns_and_goes_on() {
    world("phase", |world| {
        let output = world.hook("sendAnEmail", b"");
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("\"sendAnEmail\" is unknown"));
    });
}

#[test]
fn what_was_never_there_is_cleaned_up_without_a_word() {
    world("nothing", |world| {
        let state = json!({ "id": id("never"), "bundle": "/gone" }).to_string();
        let output = world.hook("poststop", state.as_bytes());
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    });
}

#[test]
fn what_is_told_moves_no_terminals_cursor() {
    world("cursor", |world| {
        let state = r#"{ "id": "x", "pid": 1, "bundle": "/\u001b[2J\u009b2Kx" }"#;
        let output = world.hook("createRuntime", state.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("\\u{1b}[2J\\u{9b}2Kx"), "{said:?}");
        assert!(!said.trim_end().contains(char::is_control), "{said:?}");
    });
}
