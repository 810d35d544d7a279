//! A refusal reaches people where engines look for it.

use packrank_tests::fake_engine::Scene;
use serde_json::Value;

use super::ENGINE;
use super::config::ranked;

#[test]
fn a_refusal_is_one_line_on_stderr_and_the_last_error_in_the_log() {
    let sentence = "packrank.io/priority: \"urgent\" is not accepted: expected one of critical, high, normal, low, scavenger";
    for format in [&[][..], &["--log-format", "text"], &["--log-format=json"]] {
        let scene = Scene::new(ENGINE, ranked("urgent"));
        let log = scene.write("log", "what the engine wrote before\n");
        let options = [format, &["--log", log.to_str().unwrap()]].concat();
        let ended = scene.create(&options);
        assert_eq!(ended.status, Some(1));
        assert_eq!(ended.stderr, format!("packrank-runtime: {sentence}\n"));
        let text = std::fs::read_to_string(&log).unwrap();
        let last = text.lines().last().unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        if format.last() == Some(&"--log-format=json") {
            let line: Value = serde_json::from_str(last).unwrap();
            assert_eq!(
                (&line["level"], &line["msg"]),
                (&"error".into(), &sentence.into())
            );
            let time = line["time"].as_str().unwrap();
            assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        } else {
            let quoted = Value::from(sentence).to_string();
            assert!(last.starts_with("time=\"20"), "{last}");
            assert!(
                last.ends_with(&format!(" level=error msg={quoted}")),
                "{last}"
            );
        }
    }
}

#[test]
fn a_log_that_cannot_be_opened_hides_nothing() {
    let scene = Scene::new(ENGINE, ranked("urgent"));
    let ended = scene.create(&["--log", "/nonexistent/log"]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("\"urgent\" is not accepted"));
}

#[test]
fn what_was_done_stands_in_the_log_and_not_on_stderr() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let log = scene.path("log");
    let ended = scene.create(&["--log-format=json", "--log", log.to_str().unwrap()]);
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["level"], "info");
    assert!(lines[0]["msg"].as_str().unwrap().starts_with("ranked"));
    assert!(lines.iter().all(|line| line["level"] != "error"));
}

#[test]
fn our_own_options_are_refused_in_the_log_too() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let log = scene.path("log");
    let ended = scene.create(&["--log", log.to_str().unwrap(), "--priority", "urgent"]);
    assert_eq!(ended.status, Some(1));
    let sentence = "--priority: \\\"urgent\\\" is no class";
    let text = std::fs::read_to_string(log).unwrap_or_default();
    assert!(
        text.contains(sentence),
        "{text:?} on stderr: {}",
        ended.stderr
    );
}
