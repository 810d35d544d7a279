//! A shim's own socket, asked as containerd asks it, and the fifos of a client.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use containerd_shim_protos::Client;
use containerd_shim_protos::api::{
    CloseIORequest, DeleteRequest, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    ResizePtyRequest, ResumeRequest, StartRequest, StartResponse, StateRequest, StateResponse,
    WaitRequest, WaitResponse,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::ttrpc::{Code, Error, Request, Status};
use nix::sys::stat::Mode;
use packrank_tests::containerd::World;

/// A shim's socket, asked about one container.
pub struct Calls<'w> {
    pub world: &'w World,
    pub id: &'w str,
    pub client: Client,
    service: String,
}

pub type Answer<T> = Result<T, Status>;

impl<'w> Calls<'w> {
    pub fn of(world: &'w World, id: &'w str) -> Calls<'w> {
        Calls::through(world, id, id)
    }

    /// On the socket of another container's shim.
    pub fn through(world: &'w World, shim: &str, id: &'w str) -> Calls<'w> {
        let (address, version) = world.listens(shim);
        Calls {
            world,
            id,
            client: Client::connect(&address).unwrap(),
            service: format!("containerd.task.v{version}.Task"),
        }
    }

    /// In the version of the API that the shim said it speaks.
    pub fn ask<T: Message>(&self, method: &str, request: &impl Message) -> Answer<T> {
        let request = Request {
            service: self.service.clone(),
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

    pub fn state(&self, exec_id: &str) -> Answer<StateResponse> {
        let request = StateRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..StateRequest::default()
        };
        self.ask("State", &request)
    }

    pub fn start(&self, exec_id: &str) -> Answer<StartResponse> {
        let request = StartRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..StartRequest::default()
        };
        self.ask("Start", &request)
    }

    pub fn delete(&self, exec_id: &str) -> Answer<Empty> {
        let request = DeleteRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..DeleteRequest::default()
        };
        self.ask("Delete", &request)
    }

    pub fn kill(&self, exec_id: &str) -> Answer<Empty> {
        let request = KillRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            signal: 9,
            ..KillRequest::default()
        };
        self.ask("Kill", &request)
    }

    pub fn status(&self, exec_id: &str) -> u32 {
        let request = WaitRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            ..WaitRequest::default()
        };
        let waited: WaitResponse = self.ask("Wait", &request).unwrap();
        waited.exit_status
    }

    pub fn turn(&self, method: &str) -> Answer<Empty> {
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

    pub fn resize(&self, exec_id: &str) -> Answer<Empty> {
        let request = ResizePtyRequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            width: 120,
            height: 40,
            ..ResizePtyRequest::default()
        };
        self.ask("ResizePty", &request)
    }

    pub fn close_input(&self, exec_id: &str) -> Answer<Empty> {
        let request = CloseIORequest {
            id: self.id.into(),
            exec_id: exec_id.into(),
            stdin: true,
            ..CloseIORequest::default()
        };
        self.ask("CloseIO", &request)
    }

    /// Adds a process with fifos of its own.
    pub fn exec(&self, exec_id: &str, args: &[&str], terminal: bool) -> (Answer<Empty>, Fifos) {
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
pub struct Fifos {
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
    pub fn writer(&self) -> File {
        File::options().write(true).open(&self.input).unwrap()
    }

    /// Reads until `part` has come.
    pub fn until(&mut self, part: &str) -> String {
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
pub fn kind<T>(answer: Answer<T>) -> String {
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
