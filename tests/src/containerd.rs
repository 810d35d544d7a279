//! A containerd of the test's own, on a host of its own.
//!
//! In: what the test does. Out: done in a thread with its own network and mount
//! namespaces, `/run/containerd` and `/run/packrank`; containers, shims and
//! cgroups go with it. Every command has a time limit.

mod image;
mod installed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use containerd_shim_protos::api::{Empty, UpdateTaskRequest};
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::{self, context};
use containerd_shim_protos::{Client, TaskClient};
use nix::mount::{MntFlags, umount2};

use crate::apart::apart;
use crate::program;
use crate::skipped::skipped;

/// Ours.
pub const PACKRANK: &str = "io.containerd.packrank.v2";
/// The stock one.
pub const STOCK: &str = "io.containerd.runc.v2";
/// Where containerd reads, in the world's folder.
const CONFIG: &str = "etc/containerd/config.toml";
/// The only image.
pub const IMAGE: &str = "localhost/busybox:latest";

/// A host with a containerd.
pub struct World {
    folder: tempfile::TempDir,
    /// The namespace of its containers, as containerd counts.
    pub namespace: String,
    /// The cgroup above its containers'.
    pub cgroup: String,
    daemon: Mutex<Child>,
    /// Where nobody may listen but us, so that no watcher is started.
    _watched: std::os::unix::net::UnixListener,
}

/// Runs `test` in a world, unless it cannot be had here.
pub fn world(name: &'static str, test: impl FnOnce(&World) + Send + 'static) {
    host(name, false, test);
}

/// The same with the CRI plugin, a bridge for pods, what `packrank install`
/// makes of it, and the policy of the example for Kubernetes.
pub fn pods(name: &'static str, test: impl FnOnce(&World) + Send + 'static) {
    host(name, true, test);
    // Where it was not there before. What is in one that was stays.
    let _ = fs::remove_dir(installed::POLICY_FOLDER);
}

fn host(name: &'static str, pods: bool, test: impl FnOnce(&World) + Send + 'static) {
    let there = |path: &str| Path::new(path).exists();
    let missing = match () {
        () if !nix::unistd::geteuid().is_root() => Some("not root"),
        () if !there("/usr/bin/containerd") || !there("/usr/bin/ctr") => Some("no containerd"),
        () if pods && !there("/usr/lib/cni/bridge") => Some("no containernetworking-plugins"),
        () if pods && !there("/usr/bin/iperf3") => Some("no iperf3"),
        () if !there("/bin/busybox") => Some("no busybox"),
        () if !there("/usr/sbin/runc") && !there("/usr/bin/runc") => Some("no runc"),
        () => None,
    };
    if let Some(why) = missing {
        return skipped(name, why);
    }
    let shim = program::containerd_shim().parent().unwrap().to_owned();
    let mut empty = vec!["/run/packrank", "/run/containerd"];
    empty.extend(pods.then_some(installed::POLICY_FOLDER));
    apart(name, &empty, move || {
        let world = World::up(name, pods, &shim);
        test(&world);
    });
}

impl World {
    fn up(name: &str, pods: bool, shims: &Path) -> World {
        let folder = tempfile::Builder::new()
            .prefix("packrank-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let root = folder.path().display().to_string();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let shim = "containerd-shim-packrank-v2";
        packrank_executable::copy(&shims.join(shim), &folder.path().join("bin").join(shim));
        fs::create_dir_all(folder.path().join("etc/containerd")).unwrap();
        fs::write(folder.path().join(CONFIG), config(&root, pods)).unwrap();
        if pods {
            up("lo");
            fs::create_dir(folder.path().join("cni")).unwrap();
            let network = serde_json::json!({
                "cniVersion": "0.4.0", "name": "pods", "type": "bridge", "bridge": "pods0",
                "isGateway": true, "ipam": {
                    "type": "host-local", "dataDir": format!("{root}/addresses"),
                    "ranges": [[{ "subnet": "10.99.0.0/24" }]],
                },
            });
            fs::write(folder.path().join("cni/pods.conf"), network.to_string()).unwrap();
            installed::install(folder.path());
        }
        let cgroup = format!("packrank-{name}-{}", std::process::id());
        let daemon = Mutex::new(spawn(folder.path()));
        let world = World {
            folder,
            namespace: if pods {
                "k8s.io".to_owned()
            } else {
                cgroup.clone()
            },
            cgroup,
            daemon,
            _watched: std::os::unix::net::UnixListener::bind("/run/packrank/watcher.sock").unwrap(),
        };
        world.ready();
        let image = image::archive(world.folder.path());
        let imported = world.ctr(&["images", "import", &image]);
        assert!(imported.status.success(), "{}", said(&imported));
        world
    }

    /// A file of the world's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ready(&self) {
        self.wait("containerd answers", || {
            self.ctr(&["version"]).status.success()
        });
    }

    /// Kills containerd and starts it again.
    pub fn restart(&self) {
        let mut daemon = self.daemon.lock().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        *daemon = spawn(self.folder.path());
        drop(daemon);
        self.ready();
    }

    /// `ctr`, for at most a minute.
    pub fn ctr(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The same, to be started.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_for(Duration::from_secs(60), args)
    }

    /// The same with a time of its own.
    pub fn command_for(&self, time: Duration, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "1", &time.as_secs().to_string(), "ctr"])
            // Its own patience, ten seconds, is less than fifty at once may need.
            .args(["--connect-timeout", "60s", "-a"])
            .arg(self.path("sock"));
        command.args(["-n", &self.namespace]).args(args);
        command
    }

    /// Starts a container that sleeps.
    pub fn sleeper(&self, runtime: &str, id: &str, flags: &[&str]) {
        let mut args = vec!["run", "-d", "--runtime", runtime];
        args.extend(flags);
        args.extend([IMAGE, id, "sleep", "300"]);
        let ran = self.ctr(&args);
        assert!(ran.status.success(), "{}", said(&ran));
    }

    /// Kills and removes a container.
    pub fn remove(&self, id: &str) {
        self.ctr(&["task", "kill", "-s", "KILL", id]);
        self.wait("it has ended", || self.status(id) != "RUNNING");
        self.ctr(&["task", "rm", id]);
        self.ctr(&["container", "rm", id]);
    }

    /// A task's status in containerd's list; `none` when there is no such.
    pub fn status(&self, id: &str) -> String {
        let list = self.ctr(&["task", "ls"]);
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let line = list
            .lines()
            .find(|line| line.starts_with(&format!("{id} ")));
        let status = line.and_then(|line| line.split_whitespace().nth(2));
        status.unwrap_or("none").to_owned()
    }

    /// A container's bundle.
    pub fn bundle(&self, id: &str) -> PathBuf {
        let tasks = self.path("state/io.containerd.runtime.v2.task");
        tasks.join(&self.namespace).join(id)
    }

    /// A cgroup file of a container's, on the hierarchy that has it.
    pub fn kernel(&self, controller: &str, id: &str, file: &str) -> String {
        let top = Path::new("/sys/fs/cgroup");
        let below = Path::new(&self.cgroup).join(id).join(file);
        let v2 = top.join("cgroup.controllers").exists();
        let path = if v2 {
            top.join(below)
        } else {
            top.join(controller).join(below)
        };
        fs::read_to_string(&path)
            .unwrap_or_else(|e| format!("{e}"))
            .trim()
            .to_owned()
    }

    /// Where the shim of a container listens, and the version of the task API
    /// that it speaks there, as containerd was told. containerd 2 keeps it in
    /// JSON; before it, it was the address alone, and version 2's.
    pub fn listens(&self, id: &str) -> (String, u64) {
        let Ok(told) = fs::read(self.bundle(id).join("bootstrap.json")) else {
            let address = fs::read_to_string(self.bundle(id).join("address"));
            return (address.unwrap(), 2);
        };
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        let address = told["address"].as_str().unwrap().to_owned();
        (address, told["version"].as_u64().unwrap())
    }

    /// The address alone.
    pub fn address(&self, id: &str) -> String {
        self.listens(id).0
    }

    /// Asks the shim of a container for an update; what of, containerd writes
    /// in JSON.
    pub fn update(&self, id: &str, resources: &str) -> ttrpc::Result<Empty> {
        let client = TaskClient::new(Client::connect(&self.address(id))?);
        let any = Any {
            type_url: "x".into(),
            value: resources.as_bytes().to_vec(),
            ..Any::default()
        };
        let request = UpdateTaskRequest {
            id: id.into(),
            resources: MessageField::some(any),
            ..UpdateTaskRequest::default()
        };
        client.update(context::with_duration(Duration::from_secs(30)), &request)
    }

    /// containerd's process.
    pub fn daemon(&self) -> i32 {
        self.daemon.lock().unwrap().id().try_into().unwrap()
    }

    /// Waits, not for ever, until something is so.
    pub fn wait(&self, what: &str, mut so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !so() {
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "not so: {what}\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Processes of this world's shims of ours.
    pub fn shims(&self, id: &str) -> Vec<i32> {
        self.shims_of(PACKRANK, id)
    }

    /// Processes of this world's shims: their command line names its
    /// containerd. Those of every container where the id is empty.
    pub fn shims_of(&self, runtime: &str, id: &str) -> Vec<i32> {
        let name = runtime
            .trim_start_matches("io.containerd")
            .replace('.', "-");
        let sock = self.path("sock").display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            let shim = words[0].ends_with(name.as_bytes()) && words.contains(&sock.as_bytes());
            if shim && (id.is_empty() || words.contains(&id.as_bytes())) {
                found.push(entry.file_name().to_str().unwrap().parse().unwrap());
            }
        }
        found
    }
}

fn up(link: &str) {
    let ip = Command::new("ip")
        .args(["link", "set", link, "up"])
        .status();
    assert!(ip.unwrap().success());
}

/// containerd's configuration; the CRI plugin only where pods are tested. This
/// machine may not lower an OOM score, as sandboxes' are.
fn config(root: &str, pods: bool) -> String {
    let disabled = match pods {
        true => "",
        false => "\"io.containerd.grpc.v1.cri\", ",
    };
    format!(
        r#"version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = [{disabled}"io.containerd.internal.v1.opt"]
[grpc]
address = "{root}/sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
restrict_oom_score_adj = true
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{root}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "{STOCK}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.shim]
runtime_type = "{PACKRANK}"
pod_annotations = ["packrank.io/*", "*.packrank.io/*"]
container_annotations = ["packrank.io/*", "*.packrank.io/*"]
"#
    )
}

fn spawn(folder: &Path) -> Child {
    let log = fs::File::options()
        .append(true)
        .create(true)
        .open(folder.join("log"))
        .unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("containerd");
    command.arg("-c").arg(folder.join(CONFIG));
    command.env(
        "PATH",
        format!("{}/bin:{path}:/usr/sbin:/sbin", folder.display()),
    );
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

/// What a program said of its failure.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let told = log.lines().filter(|line| !line.contains("level=info"));
            eprintln!("containerd: {}", told.collect::<Vec<_>>().join("\n"));
        }
        let list = self.ctr(&["container", "ls", "-q"]);
        for id in String::from_utf8_lossy(&list.stdout).lines() {
            self.ctr(&["task", "rm", "-f", id]);
            self.ctr(&["container", "rm", id]);
        }
        if let Ok(mut daemon) = self.daemon.lock() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        detach(self.folder.path());
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.cgroup));
        for entry in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = fs::remove_dir(entry.path().join(&self.cgroup));
        }
    }
}

/// Takes off every mount below the folder, the last one first: it is about to
/// be removed with all that it holds, and what is mounted there may be the
/// host's.
fn detach(folder: &Path) {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let below: Vec<_> = points
        .filter(|at| Path::new(at).starts_with(folder))
        .collect();
    for at in below.into_iter().rev() {
        if let Err(error) = umount2(at, MntFlags::MNT_DETACH) {
            eprintln!("{at} stays mounted ({error}): nothing below it may be removed");
            std::process::abort();
        }
    }
}
