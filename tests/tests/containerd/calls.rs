//! What `ctr` never asks, asked of both shims on their own sockets.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use containerd_shim_protos::api::{
    CheckpointTaskRequest, ConnectRequest, ConnectResponse, Empty, PidsRequest, PidsResponse,
    StatsRequest, StatsResponse, UpdateTaskRequest,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::ttrpc::Code;
use containerd_shim_protos::types::introspection::RuntimeInfo;
use packrank_tests::containerd::{IMAGE, PACKRANK, STOCK, World, said, world};
use packrank_tests::program;
use packrank_tests::skipped::skipped;

use super::asked::{Calls, kind};

fn answers(world: &World, runtime: &str, id: &str) -> Vec<(&'static str, String)> {
    let mut answers = Vec::new();
    let mut tell = |what, answer: String| answers.push((what, answer));
    world.sleeper(runtime, id, &[]);
    let calls = Calls::of(world, id);

    let state = calls.state("").unwrap();
    tell("state", format!("{:?} {}", state.status, state.exit_status));
    let connect = ConnectRequest {
        id: id.into(),
        ..ConnectRequest::default()
    };
    let connected: ConnectResponse = calls.ask("Connect", &connect).unwrap();
    assert_eq!(connected.task_pid, state.pid);
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", connected.shim_pid));
    assert!(line.unwrap().contains(id));
    let stats = StatsRequest {
        id: id.into(),
        ..StatsRequest::default()
    };
    let stats: StatsResponse = calls.ask("Stats", &stats).unwrap();
    tell("figures", stats.stats.type_url.clone());

    tell("start what runs", kind(calls.start("")));
    tell("delete what runs", kind(calls.delete("")));
    tell("resume what runs", kind(calls.turn("Resume")));
    tell("resize what has no terminal", kind(calls.resize("")));
    tell("a process that is not there", kind(calls.state("none")));
    tell("start it", kind(calls.start("none")));
    tell("signal it", kind(calls.kill("none")));
    tell("delete it", kind(calls.delete("none")));
    let absent = Calls::through(world, id, "none");
    tell("a container that is not there", kind(absent.state("")));
    tell("start it", kind(absent.start("")));
    tell("pause it", kind(absent.turn("Pause")));
    let update = UpdateTaskRequest {
        id: id.into(),
        resources: MessageField::some(Any {
            value: b"{".to_vec(),
            ..Any::default()
        }),
        ..UpdateTaskRequest::default()
    };
    tell(
        "an update that is none",
        kind(calls.ask::<Empty>("Update", &update)),
    );

    // Input that ends when its caller says so, and not before.
    tell("add a process", kind(calls.exec("cat", &["cat"], false).0));
    // Its fifos are opened when it starts: by then they are these.
    let (again, mut fifos) = calls.exec("cat", &["cat"], false);
    tell("add it again", kind(again));
    tell("signal it too early", kind(calls.kill("cat")));
    let started = calls.start("cat").unwrap();
    writeln!(fifos.writer(), "to and fro").unwrap();
    tell("its output", fifos.until("to and fro"));
    let state = calls.state("cat").unwrap();
    tell("it still runs", format!("{:?}", state.status));
    assert_eq!(state.pid, started.pid);
    let pids = PidsRequest {
        id: id.into(),
        ..PidsRequest::default()
    };
    let pids: PidsResponse = calls.ask("Pids", &pids).unwrap();
    let named = pids.processes.iter().filter_map(|p| p.info.as_ref());
    let named = named.map(|info| {
        ProcessDetails::parse_from_bytes(&info.value)
            .unwrap()
            .exec_id
    });
    tell(
        "processes",
        format!("{} {:?}", pids.processes.len(), named.collect::<Vec<_>>()),
    );
    tell("delete it as it runs", kind(calls.delete("cat")));
    tell("pause", kind(calls.turn("Pause")));
    tell("pause again", kind(calls.turn("Pause")));
    let state = calls.state("cat").unwrap();
    tell("its process meanwhile", format!("{:?}", state.status));
    tell(
        "add a process meanwhile",
        kind(calls.exec("late", &["true"], false).0),
    );
    tell("resume", kind(calls.turn("Resume")));
    tell("close its input", kind(calls.close_input("cat")));
    tell("its end", calls.status("cat").to_string());
    tell("signal what ended", kind(calls.kill("cat")));
    tell("delete what ended", kind(calls.delete("cat")));
    tell("delete it again", kind(calls.delete("cat")));

    let (_, mut fifos) = calls.exec("shell", &["sh"], true);
    calls.start("shell").unwrap();
    tell("resize", kind(calls.resize("shell")));
    let mut writer = fifos.writer();
    writeln!(writer, "stty size").unwrap();
    fifos.until("40 120");
    writeln!(writer, "exit 3").unwrap();
    tell("a terminal's end", calls.status("shell").to_string());
    tell("delete it", kind(calls.delete("shell")));

    // Added, never started, removed.
    calls.exec("never", &["true"], false).0.unwrap();
    tell("delete what never started", kind(calls.delete("never")));
    // One that cannot start can be removed, and its name used again.
    let (added, _held) = calls.exec("none", &["/none"], false);
    added.unwrap();
    tell("start what is no program", kind(calls.start("none")));
    tell("delete that", kind(calls.delete("none")));
    let (added, _held) = calls.exec("none", &["sh", "-c", "exit 9"], false);
    added.unwrap();
    calls.start("none").unwrap();
    tell("its end", calls.status("none").to_string());

    tell("kill", kind(calls.kill("")));
    tell("the end", calls.status("").to_string());
    tell(
        "exec in what ended",
        kind(calls.exec("x", &["true"], false).0),
    );
    tell("pause what ended", kind(calls.turn("Pause")));
    tell("kill what ended", kind(calls.kill("")));
    world.ctr(&["task", "rm", id]);
    world.ctr(&["container", "rm", id]);
    answers
}

#[test]
fn the_sockets_answer_alike() {
    world("calls", |world| {
        let ours = answers(world, PACKRANK, "ours");
        let stock = answers(world, STOCK, "stock");
        let pairs = ours.iter().zip(&stock);
        let unlike: Vec<_> = pairs.filter(|(ours, stock)| ours != stock).collect();
        assert!(unlike.is_empty(), "{unlike:#?}");
    });
}

#[test]
fn what_is_not_offered_says_so() {
    world("not-offered", |world| {
        world.sleeper(PACKRANK, "a", &[]);
        let calls = Calls::of(world, "a");
        let checkpoint = CheckpointTaskRequest {
            id: "a".into(),
            ..CheckpointTaskRequest::default()
        };
        let refused = calls.ask::<Empty>("Checkpoint", &checkpoint).unwrap_err();
        assert_eq!(refused.code(), Code::UNIMPLEMENTED);
        assert_eq!(refused.message(), "checkpoint is not implemented");
        // It runs on.
        assert!(calls.state("").is_ok());
        world.remove("a");
    });
}

#[test]
fn a_detached_container_can_be_attached_to() {
    world("attach", |world| {
        for (runtime, id) in [(PACKRANK, "ours"), (STOCK, "stock")] {
            // Until its answer was read: ctr does not wait for output when the program ends.
            let script = "read line; echo got $line; read line; exit 4";
            let ran = world.ctr(&[
                "run",
                "-d",
                "--runtime",
                runtime,
                IMAGE,
                id,
                "sh",
                "-c",
                script,
            ]);
            assert!(ran.status.success(), "{}", said(&ran));
            let mut attach = world
                .command(&["task", "attach", id])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut typed = attach.stdin.take().unwrap();
            writeln!(typed, "this").unwrap();
            let mut answer = String::new();
            let mut out = BufReader::new(attach.stdout.take().unwrap());
            out.read_line(&mut answer).unwrap();
            assert_eq!(answer, "got this\n", "{id}");
            writeln!(typed, "bye").unwrap();
            let output = attach.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(4), "{id}: {}", said(&output));
            world.ctr(&["task", "rm", id]);
            world.ctr(&["container", "rm", id]);
        }
    });
}

#[test]
fn it_says_what_it_is() {
    if program::an_engine("runc").is_none() {
        return skipped("-info", "no runc");
    }
    let output = Command::new(program::containerd_shim())
        .arg("-info")
        .env("PATH", "/usr/sbin:/usr/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let info = RuntimeInfo::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!(info.name, PACKRANK);
    assert!(!info.version.version.is_empty());
    // What the engine can do; runc has told it since 1.1.
    if let Some(features) = info.features.as_ref() {
        let features: serde_json::Value = serde_json::from_slice(&features.value).unwrap();
        assert!(features["ociVersionMax"].is_string(), "{features}");
    }
}
