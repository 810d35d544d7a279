//! What no containerd would send, on the shim's own socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use containerd_shim_protos::api::{CreateTaskRequest, DeleteRequest, StartRequest, StateRequest};
use containerd_shim_protos::ttrpc::context;
use containerd_shim_protos::{Client, TaskClient};

use packrank_tests::containerd::{PACKRANK, world};

#[test]
fn what_is_wrong_is_answered_and_harms_nothing() {
    world("wrong", |world| {
        world.sleeper(PACKRANK, "a", &["--annotation", "packrank.io/priority=low"]);
        let address = world.address("a");
        let path = address.trim_start_matches("unix://").to_owned();
        for garbage in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0xff; 64],
            &[0, 0, 0, 4, 0, 0, 0, 1, 1, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            stream.write_all(garbage).unwrap();
            // An answer, an end or nothing: all are well.
            let _ = stream.read(&mut [0; 256]);
        }
        let client = TaskClient::new(Client::connect(&address).unwrap());
        let patience = || context::with_duration(Duration::from_secs(20));
        let bundle = world.bundle("a").display().to_string();
        let create = CreateTaskRequest {
            id: "a".into(),
            bundle,
            ..CreateTaskRequest::default()
        };
        let refused = client.create(patience(), &create).unwrap_err().to_string();
        assert!(refused.contains("exists already"), "{refused}");
        let start = StartRequest {
            id: "b".into(),
            ..StartRequest::default()
        };
        let refused = client.start(patience(), &start).unwrap_err().to_string();
        assert!(refused.contains("does not exist"), "{refused}");
        let start = StartRequest {
            id: "a".into(),
            ..StartRequest::default()
        };
        let refused = client.start(patience(), &start).unwrap_err().to_string();
        assert!(
            refused.contains("cannot start a running container"),
            "{refused}"
        );
        let delete = DeleteRequest {
            id: "a".into(),
            ..DeleteRequest::default()
        };
        let refused = client.delete(patience(), &delete).unwrap_err().to_string();
        assert!(
            refused.contains("cannot delete a running container"),
            "{refused}"
        );

        let refused = world.update("a", "{").unwrap_err().to_string();
        assert!(refused.contains("resources"), "{refused}");
        // What is asked above the plan is given up to the plan.
        world.update("a", r#"{"pids": {"limit": 100}}"#).unwrap();
        assert_eq!(world.kernel("pids", "a", "pids.max"), "100");
        world.update("a", r#"{"pids": {"limit": 100000}}"#).unwrap();
        assert_eq!(world.kernel("pids", "a", "pids.max"), "512");

        let state = StateRequest {
            id: "a".into(),
            ..StateRequest::default()
        };
        assert!(client.state(patience(), &state).is_ok());
        world.remove("a");
    });
}
