//! A pod through containerd's CRI plugin, asked as kubelet asks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, ContainerStatsRequest, ContainerStatusRequest,
    CreateContainerRequest, ExecSyncRequest, ImageSpec, LinuxContainerResources,
    LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, RemoveContainerRequest,
    RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest, StopContainerRequest,
    StopPodSandboxRequest, UpdateContainerResourcesRequest,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use packrank_tests::containerd::{IMAGE, World, pods};

type Client = RuntimeServiceClient<Channel>;

async fn client(socket: PathBuf) -> Client {
    let connect = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is not used: the connector has its own.
    let endpoint = Endpoint::from_static("http://localhost").timeout(Duration::from_secs(60));
    Client::new(endpoint.connect_with_connector(connect).await.unwrap())
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// The pod: two classes by container, none by itself.
fn pod(world: &World) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "uid".to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        hostname: "pod".to_owned(),
        log_directory: world.path("logs").display().to_string(),
        annotations: map(&[
            ("web.packrank.io/priority", "low"),
            ("batch.packrank.io/priority", "scavenger"),
        ]),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("/{}", world.cgroup),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

/// Makes and starts one of the pod's containers.
async fn start(
    client: &mut Client,
    world: &World,
    sandbox: &str,
    name: &str,
    attempt: u32,
) -> String {
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
            attempt,
        }),
        image: Some(ImageSpec {
            image: IMAGE.to_owned(),
            ..ImageSpec::default()
        }),
        command: ["sleep", "300"].map(str::to_owned).to_vec(),
        log_path: format!("{name}-{attempt}.log"),
        ..ContainerConfig::default()
    };
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(config),
        sandbox_config: Some(pod(world)),
    };
    let id = client
        .create_container(request)
        .await
        .unwrap()
        .into_inner()
        .container_id;
    let request = StartContainerRequest {
        container_id: id.clone(),
    };
    client.start_container(request).await.unwrap();
    id
}

async fn remove(client: &mut Client, id: &str) {
    let container_id = id.to_owned();
    let request = StopContainerRequest {
        container_id: container_id.clone(),
        timeout: 0,
    };
    client.stop_container(request).await.unwrap();
    client
        .remove_container(RemoveContainerRequest { container_id })
        .await
        .unwrap();
}

async fn limit_memory(client: &mut Client, id: &str, bytes: i64) {
    let linux = LinuxContainerResources {
        memory_limit_in_bytes: bytes,
        ..LinuxContainerResources::default()
    };
    let request = UpdateContainerResourcesRequest {
        container_id: id.to_owned(),
        linux: Some(linux),
        ..UpdateContainerResourcesRequest::default()
    };
    client.update_container_resources(request).await.unwrap();
}

fn memory(world: &World, id: &str) -> String {
    let v2 = world.kernel("memory", id, "memory.max");
    match v2.contains("No such file") {
        true => world.kernel("memory", id, "memory.limit_in_bytes"),
        false => v2,
    }
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new("timeout")
        .arg("40")
        .arg(program)
        .args(args)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What of ours the kernel and the file system hold.
fn ours() -> (String, usize) {
    let count = |folder| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let links = output("ip", &["-o", "link"]);
    let ours: Vec<_> = links
        .lines()
        .filter(|line| line.contains(": prk") || line.contains(": veth"))
        .collect();
    (
        ours.join("\n"),
        count("/run/packrank/packs") + count("/run/packrank/networks"),
    )
}

#[test]
fn a_pod_has_one_shim_a_class_for_each_container_and_leaves_nothing() {
    pods("pods", |world| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(life(world));
        world.wait("its shim has gone", || world.shims("").is_empty());
        assert_eq!(ours(), (String::new(), 0));
    });
}

async fn life(world: &World) {
    let mut client = client(world.path("sock")).await;
    let request = RunPodSandboxRequest {
        config: Some(pod(world)),
        runtime_handler: "packrank".to_owned(),
    };
    let sandbox = client
        .run_pod_sandbox(request)
        .await
        .unwrap()
        .into_inner()
        .pod_sandbox_id;
    let web = start(&mut client, world, &sandbox, "web", 0).await;
    let batch = start(&mut client, world, &sandbox, "batch", 0).await;
    assert_eq!(world.shims("").len(), 1, "one shim for the pod");

    assert_eq!(world.kernel("pids", &web, "pids.max"), "512");
    assert_eq!(world.kernel("pids", &batch, "pids.max"), "128");
    assert_eq!(memory(world, &web), (512_u64 << 20).to_string());
    assert_eq!(memory(world, &batch), (256_u64 << 20).to_string());
    assert_eq!(
        world.kernel("pids", &sandbox, "pids.max"),
        "max",
        "the sandbox's own"
    );

    let request = ExecSyncRequest {
        container_id: web.clone(),
        cmd: ["sh", "-c", "echo here; exit 4"]
            .map(str::to_owned)
            .to_vec(),
        timeout: 20,
    };
    let said = client.exec_sync(request).await.unwrap().into_inner();
    assert_eq!((&said.stdout[..], said.exit_code), (&b"here\n"[..], 4));

    let request = ContainerStatsRequest {
        container_id: web.clone(),
    };
    let stats = client
        .container_stats(request)
        .await
        .unwrap()
        .into_inner()
        .stats
        .unwrap();
    assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
    assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);

    limit_memory(&mut client, &web, 64 << 20).await;
    assert_eq!(memory(world, &web), (64_u64 << 20).to_string());
    limit_memory(&mut client, &web, 8 << 30).await;
    assert_eq!(
        memory(world, &web),
        (512_u64 << 20).to_string(),
        "never past the plan"
    );

    // The network is the pod's, for the highest of its classes: 5 Mbit/s.
    remove(&mut client, &batch).await;
    let batch = start(&mut client, world, &sandbox, "batch", 1).await;
    assert_eq!(
        world.kernel("pids", &batch, "pids.max"),
        "128",
        "after its restart"
    );
    let request = ContainerStatusRequest {
        container_id: batch.clone(),
        verbose: true,
    };
    let status = client.container_status(request).await.unwrap().into_inner();
    let info: serde_json::Value = serde_json::from_str(&status.info["info"]).unwrap();
    rate(&info["pid"].to_string());

    for id in [&web, &batch] {
        remove(&mut client, id).await;
    }
    let pod_sandbox_id = sandbox;
    let stop = StopPodSandboxRequest {
        pod_sandbox_id: pod_sandbox_id.clone(),
    };
    client.stop_pod_sandbox(stop).await.unwrap();
    client
        .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id })
        .await
        .unwrap();
}

/// Measures from the pod to the bridge, past the burst. 5 Mbit/s of IP packets are 4.83 of TCP's
/// payload, and the next classes have 1 and 10. What a busy machine kept from being sent is measured
/// again; too much is too much.
fn rate(pid: &str) {
    let mut rates = Vec::new();
    let held = (0..4).any(|_| {
        rates.push(measured(pid).unwrap_or(0.0));
        rates.last().is_some_and(|rate| *rate >= 4.3e6)
    });
    let most = rates.iter().copied().fold(0.0, f64::max);
    assert!(held && most < 5.8e6, "{rates:?} bit/s");
}

/// Bits of payload per second; `None` where iperf3 did not come that far.
fn measured(pid: &str) -> Option<f64> {
    let mut server = Command::new("iperf3");
    server
        .args(["-s", "-1", "-B", "10.99.0.1"])
        .stdout(std::process::Stdio::null());
    let mut server = server.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let namespace = format!("--net=/proc/{pid}/ns/net");
    let client = ["iperf3", "-c", "10.99.0.1", "-O", "3", "-t", "4", "-J"];
    let report = output("nsenter", &[&[namespace.as_str()], &client[..]].concat());
    let _ = server.kill();
    let _ = server.wait();
    let report: serde_json::Value = serde_json::from_str(&report).ok()?;
    report["end"]["sum_received"]["bits_per_second"].as_f64()
}
