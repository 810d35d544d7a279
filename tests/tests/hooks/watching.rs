//! The first ranked container has a watcher started, the next ones find it;
//! killed, the next one brings it back; a while after the last it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use packrank_tests::program;
use serde_json::{Value, json};

use super::world::{SOCKET, World, id, world};

/// Long enough for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process that listens.
fn listener() -> Option<Pid> {
    let stream = UnixStream::connect(SOCKET).ok()?;
    Some(Pid::from_raw(
        getsockopt(&stream, PeerCredentials).unwrap().pid(),
    ))
}

fn ids() -> Vec<String> {
    let mut stream = UnixStream::connect(SOCKET).unwrap();
    stream.write_all(b"{\"verb\":\"status\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let status: Value = serde_json::from_str(&line).unwrap();
    let packs = status["packs"].as_array().unwrap().iter();
    packs
        .map(|p| p["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Creates a container, with a policy whose watcher does not linger.
fn create(world: &World, name: &str) -> String {
    let policy = world.path("policy.toml");
    fs::write(&policy, "[watch]\nlinger = 1\nadaptive.every = 1\n").unwrap();
    let (bundle, id) = (world.bundle(name, |_| {}), id(name));
    world.call(&[
        "--policy",
        policy.to_str().unwrap(),
        "create",
        "--bundle",
        bundle.path.to_str().unwrap(),
        &id,
    ]);
    id
}

#[test]
fn one_watcher_comes_with_the_first_pack_and_goes_after_the_last() {
    world("watching", |world| {
        program::watcher();
        world.unwatched();
        let mut all = vec![create(world, "one")];
        let first = wait("it listens", listener);
        let cgroups = fs::read_to_string(format!("/proc/{first}/cgroup")).unwrap();
        assert!(cgroups.contains(":/packrank-watcher\n"), "{cgroups}");
        all.push(create(world, "two"));
        wait("it finds both", || (ids() == all).then_some(()));
        assert_eq!(listener(), Some(first), "one is enough");

        kill(first, Signal::SIGKILL).unwrap();
        wait("it is gone", || listener().is_none().then_some(()));
        all.insert(1, create(world, "three"));
        let second = wait("another listens", listener);
        assert_ne!(second, first);
        wait("it finds all three", || (ids() == all).then_some(()));

        let cli = program::cli().to_str().unwrap();
        let said = world.run(cli, &["pause"]);
        assert!(said.contains("touches nothing"), "{said}");
        let status = world.run(cli, &["status"]);
        assert!(status.contains("pressure: memory ") && status.contains("; the watcher is paused"));
        world.run(cli, &["resume"]);
        assert!(!world.run(cli, &["status"]).contains("paused"));
        let events = world.run(cli, &["events", "--json", "--since", "1h"]);
        let events: Vec<Value> = events
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let numbers: Vec<u64> = events
            .iter()
            .map(|e| e["number"].as_u64().unwrap())
            .collect();
        assert!(
            numbers.is_sorted() && events.iter().any(|e| e["text"] == "paused"),
            "{events:?}"
        );
        assert!(
            world
                .run(cli, &["events"])
                .lines()
                .any(|l| l.ends_with("  paused"))
        );
        assert_eq!(world.run(cli, &["events", "--since", "0s"]), "");

        all.iter().for_each(|id| world.remove(id));
        wait("it ends", || listener().is_none().then_some(()));
        wait("its process too", || kill(second, None).err());
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn without_a_watcher_to_start_the_container_runs_and_it_is_said() {
    world("nobody", |world| {
        world.unwatched();
        let alone = program::alone(program::hook(), &world.path(""));
        let hook = alone.to_str().unwrap();
        let bundle = world.bundle("one", |spec| {
            let entry = |phase: &str| json!([{ "path": hook, "args": ["packrank-hook", phase] }]);
            spec["hooks"] =
                json!({ "createRuntime": entry("createRuntime"), "poststop": entry("poststop") });
        });
        let id = id("nobody");
        let pid = world.create_bare(&bundle, &id);
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok());
        let state = json!({ "id": id, "pid": pid, "bundle": bundle.path }).to_string();
        let mut poststart = Command::new(&alone)
            .arg("poststart")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        poststart
            .stdin
            .take()
            .unwrap()
            .write_all(state.as_bytes())
            .unwrap();
        let output = poststart.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("nobody watches: ") && said.contains("is not installed"),
            "{said}"
        );
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}
