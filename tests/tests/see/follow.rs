//! `packrank events --follow`, and `packrank status`, beside a watcher that is
//! none: it answers, is silent, ends in the middle, and comes anew.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use packrank_tests::program;
use serde_json::{Value as Json, json};

/// Somebody at the watcher's socket.
fn listen(run: &Path) -> UnixListener {
    let path = run.join("watcher.sock");
    let _ = fs::remove_file(&path);
    UnixListener::bind(path).unwrap()
}

/// The next question, and where to answer it.
fn asked(listener: &UnixListener) -> (UnixStream, Json) {
    let (stream, _) = listener.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    (stream, serde_json::from_str(&line).unwrap())
}

fn answer(stream: &mut UnixStream, began: u64, texts: &[&str], from: u64) {
    let events: Vec<Json> = (from..)
        .zip(texts)
        .map(|(number, text)| json!({ "number": number, "at": 0, "text": text }))
        .collect();
    let next = from + texts.len() as u64;
    writeln!(
        stream,
        "{}",
        json!({ "events": events, "next": next, "began": began })
    )
    .unwrap();
}

/// Ends with the test.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_follows_goes_on_when_the_watcher_is_silent_or_another() {
    let run = tempfile::tempdir().unwrap();
    let first = listen(run.path());
    let mut follower = Command::new(program::cli())
        .args(["events", "--follow", "--json", "--run"])
        .arg(run.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Follower)
        .unwrap();
    let said = BufReader::new(follower.0.stdout.take().unwrap());
    let mut said = said.lines().map(|line| {
        let event: Json = serde_json::from_str(&line.unwrap()).unwrap();
        event["text"].as_str().unwrap().to_owned()
    });

    let (mut stream, question) = asked(&first);
    assert_eq!(question, json!({ "verb": "events", "after": 0 }));
    answer(&mut stream, 1, &["one", "two"], 1);
    drop(stream);
    assert_eq!([said.next().unwrap(), said.next().unwrap()], ["one", "two"]);
    // No answer, then half of one.
    drop(asked(&first));
    asked(&first).0.write_all(b"{\"events\":[").unwrap();
    let (mut stream, question) = asked(&first);
    assert_eq!(question["after"], 2, "it goes on where it was");
    answer(&mut stream, 1, &["three"], 3);
    drop(stream);
    assert_eq!(said.next().unwrap(), "three");

    // Nobody is there for a while; another has said more than the first.
    drop(first);
    let second = listen(run.path());
    let (mut stream, question) = asked(&second);
    assert_eq!(question["after"], 3);
    answer(&mut stream, 2, &["five"], 5);
    drop(stream);
    let (mut stream, question) = asked(&second);
    assert_eq!(question["after"], 0, "another is asked for all of it");
    answer(&mut stream, 2, &["first", "second", "third"], 1);
    drop(stream);
    let of_another = [said.next(), said.next(), said.next()].map(Option::unwrap);
    assert_eq!(of_another, ["first", "second", "third"]);
    assert!(follower.0.try_wait().unwrap().is_none());
}

#[test]
fn status_tells_of_the_pressure_where_nothing_runs() {
    let run = tempfile::tempdir().unwrap();
    let watcher = listen(run.path());
    let status = Command::new(program::cli())
        .args(["status", "--run"])
        .arg(run.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, question) = asked(&watcher);
    assert_eq!(question["verb"], "status");
    let pressure = json!({ "memory": "low", "cpu": "none", "io": "high" });
    writeln!(stream, "{}", json!({ "pressure": pressure, "packs": [] })).unwrap();
    drop(stream);
    let said = String::from_utf8(status.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        said,
        "pressure: memory low, cpu none, io high\nno ranked container runs here\n"
    );
}
