//! Pods through containerd's CRI plugin, asked as kubelet asks: under our shim, and under the stock one
//! as `packrank install` sets it up.

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
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use packrank_tests::containerd::{IMAGE, PACKRANK, STOCK, World, pods};

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

/// A pod to be asked for.
struct Pod<'a> {
    /// As a RuntimeClass names it.
    handler: &'a str,
    namespace: &'a str,
    annotations: &'a [(&'a str, &'a str)],
}

/// Two classes by container, none by itself.
const TWO: [(&str, &str); 2] = [
    ("web.packrank.io/priority", "low"),
    ("batch.packrank.io/priority", "scavenger"),
];

/// One in the example's namespace.
fn shop<'a>(handler: &'a str, annotations: &'a [(&'a str, &'a str)]) -> Pod<'a> {
    Pod {
        handler,
        namespace: "shop",
        annotations,
    }
}

impl Pod<'_> {
    fn config(&self, world: &World) -> PodSandboxConfig {
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "pod".to_owned(),
                uid: "uid".to_owned(),
                namespace: self.namespace.to_owned(),
                attempt: 0,
            }),
            hostname: "pod".to_owned(),
            log_directory: world.path("logs").display().to_string(),
            annotations: map(self.annotations),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", world.cgroup),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    /// Its sandbox, started.
    async fn run(&self, client: &mut Client, world: &World) -> String {
        let request = RunPodSandboxRequest {
            config: Some(self.config(world)),
            runtime_handler: self.handler.to_owned(),
        };
        let ran = client.run_pod_sandbox(request).await.unwrap();
        ran.into_inner().pod_sandbox_id
    }

    /// It, and a container of it; what that came to.
    async fn with_web(
        &self,
        client: &mut Client,
        world: &World,
    ) -> (String, Result<String, Status>) {
        let sandbox = self.run(client, world).await;
        let web = start(client, world, self, &sandbox, ("web", 0)).await;
        (sandbox, web)
    }
}

async fn stop(client: &mut Client, pod_sandbox_id: String) {
    let stop = StopPodSandboxRequest {
        pod_sandbox_id: pod_sandbox_id.clone(),
    };
    client.stop_pod_sandbox(stop).await.unwrap();
    client
        .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id })
        .await
        .unwrap();
}

/// Makes and starts one of the pod's containers.
async fn start(
    client: &mut Client,
    world: &World,
    pod: &Pod<'_>,
    sandbox: &str,
    (name, attempt): (&str, u32),
) -> Result<String, Status> {
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
        sandbox_config: Some(pod.config(world)),
    };
    let created = client.create_container(request).await?;
    let container_id = created.into_inner().container_id;
    let request = StartContainerRequest {
        container_id: container_id.clone(),
    };
    client.start_container(request).await?;
    Ok(container_id)
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
        // What `install` registers, in the example's namespace; and our own shim.
        for (handler, shim, namespace) in
            [("packrank", STOCK, "shop"), ("shim", PACKRANK, "default")]
        {
            let pod = Pod {
                handler,
                namespace,
                annotations: &TWO,
            };
            runtime.block_on(life(world, &pod, shim));
            world.wait("its shim has gone", || world.shims_of(shim, "").is_empty());
            assert_eq!(ours(), (String::new(), 0), "{handler}");
        }
        runtime.block_on(bounds(world));
        assert_eq!(ours(), (String::new(), 0), "at last");
    });
}

/// A class by the handler's name; and what the example's policy refuses the namespace, in its words.
async fn bounds(world: &World) {
    let mut client = client(world.path("sock")).await;
    let (sandbox, web) = shop("packrank-scavenger", &[])
        .with_web(&mut client, world)
        .await;
    let web = web.unwrap();
    assert_eq!(world.kernel("pids", &web, "pids.max"), "128");
    assert_eq!(memory(world, &web), (256_u64 << 20).to_string());
    stop(&mut client, sandbox).await;
    let limit = "web.packrank.io/memory.limit";
    for (class, key, value, why) in [
        ("low", limit, "64Mi", "at least 128 MiB"),
        ("high", limit, "9Gi", "at most 8 GiB"),
        ("critical", "web.packrank.io/pids", "9", "high"),
    ] {
        let annotations = [("web.packrank.io/priority", class), (key, value)];
        let pod = shop("packrank", &annotations);
        let (sandbox, web) = pod.with_web(&mut client, world).await;
        let said = web.unwrap_err();
        assert!(said.message().contains(why), "{said}");
        stop(&mut client, sandbox).await;
    }
}

async fn life(world: &World, pod: &Pod<'_>, shim: &str) {
    let mut client = client(world.path("sock")).await;
    let sandbox = pod.run(&mut client, world).await;
    let web = start(&mut client, world, pod, &sandbox, ("web", 0)).await;
    let batch = start(&mut client, world, pod, &sandbox, ("batch", 0)).await;
    let (web, batch) = (web.unwrap(), batch.unwrap());
    let shims = world.shims_of(shim, "").len();
    assert_eq!(shims, 1, "one shim for the pod");

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
    let batch = start(&mut client, world, pod, &sandbox, ("batch", 1)).await;
    let batch = batch.unwrap();
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
    stop(&mut client, sandbox).await;
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
