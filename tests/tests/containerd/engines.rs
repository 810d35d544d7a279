//! Engines other than runc under the shim, named by its options in a file.

use std::fs;

use containerd_shim_protos::api::UpdateTaskRequest;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::context;
use containerd_shim_protos::{Client, TaskClient};
use nix::mount::{MntFlags, umount2};
use packrank_tests::containerd::{IMAGE, PACKRANK, World, said, world};
use packrank_tests::program;
use packrank_tests::skipped::skipped;

#[test]
fn crun() {
    on("crun");
}

#[test]
fn youki() {
    on("youki");
}

#[test]
fn packrank_engine() {
    on("packrank-engine");
}

fn on(engine: &'static str) {
    let Some(path) = program::an_engine(engine) else {
        return skipped(&format!("containerd on {engine}"), "not installed");
    };
    world(engine, move |world| {
        if engine == "crun" {
            // Debian 12's refuses a hybrid host, by this mount.
            let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
        }
        let options = world.path("options.toml");
        fs::write(&options, format!("BinaryName = {path:?}\n")).unwrap();
        life(world, engine, options.to_str().unwrap());
    });
}

fn life(world: &World, engine: &str, options: &str) {
    let with = ["--runtime-config-path", options];
    let run = |id: &str, command: &[&str]| {
        let mut args = vec!["run", "--rm", "--runtime", PACKRANK];
        args.extend(with);
        args.extend([IMAGE, id]);
        args.extend(command);
        world.ctr(&args)
    };
    let ran = run("short", &["sh", "-c", "echo out; exit 7"]);
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "out\n",
        "{}",
        said(&ran)
    );
    assert_eq!(ran.status.code(), Some(7));
    let ran = run("nothing", &["/none"]);
    assert!(!ran.status.success());
    let told = said(&ran);
    assert!(
        told.contains("OCI runtime") && told.contains("/none"),
        "{told}"
    );
    world.ctr(&["container", "rm", "nothing"]);

    let class = ["--annotation", "packrank.io/priority=low"];
    world.sleeper(PACKRANK, "low", &[&with[..], &class].concat());
    assert_eq!(world.kernel("pids", "low", "pids.max"), "512");
    let record = fs::read_to_string("/run/packrank/packs/low.json").unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let used = record["engine"].as_str().unwrap();
    assert!(used.ends_with(engine), "{used}");

    let exec = world.ctr(&[
        "task",
        "exec",
        "--exec-id",
        "x",
        "low",
        "sh",
        "-c",
        "echo in; exit 5",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&exec.stdout),
        "in\n",
        "{}",
        said(&exec)
    );
    assert_eq!(exec.status.code(), Some(5));
    for (verb, status) in [("pause", "PAUSED"), ("resume", "RUNNING")] {
        let turned = world.ctr(&["task", verb, "low"]);
        assert!(turned.status.success(), "{verb}: {}", said(&turned));
        assert_eq!(world.status("low"), status);
    }
    let metrics = world.ctr(&["task", "metrics", "low"]);
    assert!(metrics.status.success(), "{}", said(&metrics));

    let client = TaskClient::new(Client::connect(&world.address("low")).unwrap());
    for (asked, given) in [("100", "100"), ("100000", "512")] {
        let resources = Any {
            type_url: "x".into(),
            value: format!(r#"{{"pids": {{"limit": {asked}}}}}"#).into_bytes(),
            ..Any::default()
        };
        let request = UpdateTaskRequest {
            id: "low".into(),
            resources: MessageField::some(resources),
            ..UpdateTaskRequest::default()
        };
        let patience = context::with_duration(std::time::Duration::from_secs(30));
        client.update(patience, &request).unwrap();
        assert_eq!(world.kernel("pids", "low", "pids.max"), given);
    }

    // All of a container's processes at once.
    let killed = world.ctr(&["task", "kill", "--all", "-s", "KILL", "low"]);
    assert!(killed.status.success(), "{}", said(&killed));
    world.wait("it has ended", || world.status("low") == "STOPPED");
    world.remove("low");
    assert!(!fs::exists("/run/packrank/packs/low.json").unwrap());
    let left = world.kernel("pids", "low", "pids.max");
    assert!(left.contains("No such file"), "{left}");
    world.wait("every shim has gone", || world.shims("").is_empty());
}
