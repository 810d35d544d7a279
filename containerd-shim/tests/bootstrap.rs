//! `start` as containerd asks it since 2.3: its word on stdin, the answer in
//! protobuf, and a shim that is called by the task API's newer name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use containerd_shim::bootstrap::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::api::{ShutdownRequest, StateRequest};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::ttrpc::{Code, Error, context};
use containerd_shim_protos::{Client, TaskClient};

/// What `start` prints for a container of this bundle.
fn start(folder: &Path, bundle: &str, group: &str) -> BootstrapResult {
    let bundle = folder.join(bundle);
    fs::create_dir(&bundle).unwrap();
    fs::set_permissions(&bundle, Permissions::from_mode(0o700)).unwrap();
    let annotation = "io.containerd.runc.v2.group";
    let config =
        format!(r#"{{"ociVersion": "1.0.2", "annotations": {{"{annotation}": "{group}"}}}}"#);
    fs::write(bundle.join("config.json"), config).unwrap();
    let id = bundle.file_name().unwrap().to_str().unwrap();
    let params = BootstrapParams {
        instance_id: id.to_owned(),
        namespace: "bootstrap".to_owned(),
        containerd_ttrpc_address: folder.join("nobody.ttrpc").display().to_string(),
        socket_dir: Some(folder.join("sockets").display().to_string()),
        ..BootstrapParams::default()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_containerd-shim-packrank-v2"));
    command.args(["-namespace", "bootstrap", "-id", id, "-address"]);
    command.arg(folder.join("nobody")).arg("start");
    command.current_dir(&bundle);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&params.write_to_bytes().unwrap()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    BootstrapResult::parse_from_bytes(&output.stdout).unwrap()
}

#[test]
fn a_group_has_one_shim_that_speaks_the_newer_api() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path(), "first", "pod");
    assert_eq!((first.version, &*first.protocol), (3, "ttrpc"));
    let path = first.address.strip_prefix("unix://").unwrap();
    assert!(
        Path::new(path).starts_with(folder.path().join("sockets")),
        "{path}"
    );
    let second = start(folder.path(), "second", "pod");
    assert_eq!(second.address, first.address, "one shim for both");

    let client = TaskClient::new(Client::connect(&first.address).unwrap());
    let patience = || context::with_duration(Duration::from_secs(30));
    let request = StateRequest {
        id: "first".to_owned(),
        ..StateRequest::default()
    };
    match client.state(patience(), &request) {
        Err(Error::RpcStatus(status)) => assert_eq!(status.code(), Code::NOT_FOUND),
        other => panic!("{other:?}"),
    }
    // It has no container: it goes, and its socket with it. It may be gone before it has answered.
    let _ = client.shutdown(patience(), &ShutdownRequest::default());
    let start = Instant::now();
    while Path::new(path).exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
}
