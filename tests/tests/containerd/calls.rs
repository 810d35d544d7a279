//! What `ctr` never asks, asked of both shims on their own sockets.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use containerd_shim_protos::Client;
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, DeleteRequest, Empty,
    ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest,
    ResumeRequest, StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest,
    StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::ttrpc::{Code, Error, Request, Status};
use containerd_shim_protos::types::introspection::RuntimeInfo;
use nix::sys::stat::Mode;
use packrank_tests::containerd::{IMAGE, PACKRANK, STOCK, World, said, world};
use packrank_tests::program;
use packrank_tests::skipped::skipped;

/// A shim's socket, asked about one container.
struct Calls<'w> {
    world: &'w World,
    id: &'w str,
    client: Client,
}

type Answer<T> = Result<T, Status>;

impl<'w> Calls<'w> {
    fn of(world: &'w World, id: &'w str) -> Calls<'w> {
        let client = Client::connect(&world.address(id)).unwrap();
        Calls { world, id, client }
    }

    /// By the name that all versions of containerd's own shim know.
    fn ask<T: Message>(&self, method: &str, request: &impl Message) -> Answer<T> {
        let request = Request {
            service: "containerd.task.v2.Task".to_owned(),
            method: method.to_owned(),
            payload: request.write_to_bytes().unwrap(),
            timeout_nano: Duration::from_secs(60).as_nanos().try_into().unwrap(),
            ..Request::default()
        };
        match self.client.request(request) {
            Ok(response) => Ok(T::parse_from_bytes(&response.payload).unwrap()),
            Err(Error::RpcStatus(status)) => Err(status),
            Err(other) => panic!("{method}: {other}"),
        }
    }

    fn state(&self, exec_id: &str) -> Answer<StateResponse> {
        let request = StateRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..StateRequest::default()
        };
        self.ask("State", &request)
    }

    fn start(&self, exec_id: &str) -> Answer<StartResponse> {
        let request = StartRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..StartRequest::default()
        };
        self.ask("Start", &request)
    }

    fn delete(&self, exec_id: &str) -> Answer<Empty> {
        let request = DeleteRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..DeleteRequest::default()
        };
        self.ask("Delete", &request)
    }

    fn kill(&self, exec_id: &str) -> Answer<Empty> {
        let request = KillRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            signal: 9,
            ..KillRequest::default()
        };
        self.ask("Kill", &request)
    }

    fn status(&self, exec_id: &str) -> u32 {
        let request = WaitRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..WaitRequest::default()
        };
        let waited: WaitResponse = self.ask("Wait", &request).unwrap();
        waited.exit_status
    }

    fn turn(&self, method: &str) -> Answer<Empty> {
        // Pause and Resume have the same one member.
        match method {
            "Pause" => {
                let request = PauseRequest {
                    id: self.id.into(),
                    ..PauseRequest::default()
                };
                self.ask(method, &request)
            }
            _ => {
                let request = ResumeRequest {
                    id: self.id.into(),
                    ..ResumeRequest::default()
                };
                self.ask(method, &request)
            }
        }
    }

    fn resize(&self, exec_id: &str) -> Answer<Empty> {
        let request = ResizePtyRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            width: 120,
            height: 40,
            ..ResizePtyRequest::default()
        };
        self.ask("ResizePty", &request)
    }

    fn close_input(&self, exec_id: &str) -> Answer<Empty> {
        let request = CloseIORequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            stdin: true,
            ..CloseIORequest::default()
        };
        self.ask("CloseIO", &request)
    }

    /// Adds a process with fifos of its own.
    fn exec(&self, exec_id: &str, args: &[&str], terminal: bool) -> (Answer<Empty>, Fifos) {
        let fifos = Fifos::make(self.world, &format!("{}-{exec_id}", self.id));
        let spec = serde_json::json!({
            "args": args, "cwd": "/", "env": ["PATH=/bin"], "terminal": terminal,
            "user": { "uid": 0, "gid": 0 },
        });
        let request = ExecProcessRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            terminal,
            stdin: fifos.input.display().to_string(),
            stdout: fifos.output.display().to_string(),
            stderr: match terminal {
                true => String::new(),
                false => fifos.errors.display().to_string(),
            },
            spec: MessageField::some(Any {
                type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".into(),
                value: spec.to_string().into_bytes(),
                ..Any::default()
            }),
            ..ExecProcessRequest::default()
        };
        (self.ask("Exec", &request), fifos)
    }
}

/// What a client of containerd's has.
struct Fifos {
    input: PathBuf,
    output: PathBuf,
    errors: PathBuf,
    reader: File,
    /// Nobody reads it, but the stock shim waits until somebody could.
    _errors: File,
}

impl Fifos {
    fn make(world: &World, name: &str) -> Fifos {
        let make = |end: &str| {
            let path = world.path(&format!("{name}-{end}"));
            let _ = std::fs::remove_file(&path);
            nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            path
        };
        let (input, output, errors) = (make("in"), make("out"), make("err"));
        // Opened for both, it neither waits for a writer nor ends without one.
        let mut options = File::options();
        options.read(true).write(true);
        options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
        let reader = options.open(&output).unwrap();
        let held = options.open(&errors).unwrap();
        Fifos {
            input,
            output,
            errors,
            reader,
            _errors: held,
        }
    }

    /// Its other end is the shim's.
    fn writer(&self) -> File {
        File::options().write(true).open(&self.input).unwrap()
    }

    /// Reads until `part` has come.
    fn until(&mut self, part: &str) -> String {
        let start = Instant::now();
        let mut text = String::new();
        while !text.contains(part) {
            assert!(start.elapsed() < Duration::from_secs(30), "{text:?}");
            let mut bytes = [0; 4096];
            match self.reader.read(&mut bytes) {
                Ok(count) => text += &String::from_utf8_lossy(&bytes[..count]),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        text
    }
}

/// What containerd makes of an answer: it looks at these codes and no others.
fn kind<T>(answer: Answer<T>) -> String {
    let Err(status) = answer else {
        return "done".to_owned();
    };
    match status.code() {
        Code::NOT_FOUND => "not found",
        Code::ALREADY_EXISTS => "exists already",
        Code::UNIMPLEMENTED => "not implemented",
        _ => "refused",
    }
    .to_owned()
}

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
    let absent = Calls {
        id: "none",
        client: Client::connect(&world.address(id)).unwrap(),
        world,
    };
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
            let script = "read line; echo got $line; exit 4";
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
            writeln!(attach.stdin.take().unwrap(), "this").unwrap();
            let output = attach.wait_with_output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout);
            let answer = (&*out, output.status.code());
            assert_eq!(answer, ("got this\n", Some(4)), "{id}: {}", said(&output));
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
