//! In: a change to a plain configuration. Out: a bundle made of busybox, with a state directory and
//! a cgroup of its own; whatever is left of it is removed when the test ends, however it ends.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use packrank_skipped::skipped;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const ENGINE: &str = env!("CARGO_BIN_EXE_packrank-engine");
const BUSYBOX: &str = "/bin/busybox";
const PATIENCE: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub struct Lab {
    folder: TempDir,
    pub id: String,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    /// None, and a line that says why, where bundles cannot run.
    pub fn new(change: impl FnOnce(&mut Value)) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skipped("a bundle", "needs root");
            return None;
        }
        if !Path::new(BUSYBOX).exists() {
            skipped("a bundle", &format!("needs {BUSYBOX} (busybox-static)"));
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("packrank-engine-test-")
            .tempdir()
            .unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            folder,
            id: format!("pet-{}-{number}", std::process::id()),
        };
        let rootfs = lab.bundle().join("rootfs");
        for directory in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
            fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        packrank_executable::copy(Path::new(BUSYBOX), &rootfs.join("bin/busybox"));
        for applet in [
            "sh", "true", "cat", "sleep", "id", "env", "tty", "stty", "ls", "echo", "mknod",
            "head", "kill",
        ] {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        let mut config = lab.plain();
        change(&mut config);
        lab.configure(&config);
        Some(lab)
    }

    /// A bundle whose program is this shell script.
    pub fn script(script: &str) -> Option<Self> {
        Self::new(|config| config["process"]["args"] = json!(["/bin/sh", "-c", script]))
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn bundle(&self) -> PathBuf {
        self.path().join("bundle")
    }

    pub fn state_directory(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn cgroup(&self) -> String {
        // Of its own: a folder for all could be removed by one test while another's engine fills it.
        format!("/packrank-engine-tests-{}", self.id)
    }

    pub fn configure(&self, config: &Value) {
        fs::write(self.bundle().join("config.json"), config.to_string()).unwrap();
    }

    pub fn plain(&self) -> Value {
        let capabilities = json!(["CAP_KILL", "CAP_MKNOD", "CAP_SETUID", "CAP_SETGID"]);
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/true"],
                "env": ["PATH=/bin", "TERM=xterm"],
                "cwd": "/",
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities
                },
                "noNewPrivileges": true
            },
            "root": {"path": "rootfs"},
            "hostname": "lab",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}
            ],
            "linux": {
                "cgroupsPath": self.cgroup(),
                "namespaces": [
                    {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}
                ]
            }
        })
    }

    /// The engine with this lab's state directory.
    pub fn engine(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ENGINE);
        command
            .arg("--root")
            .arg(self.state_directory())
            .args(arguments)
            .current_dir(self.bundle());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end, or fails the test after 20 s.
    pub fn say(&self, arguments: &[&str]) -> Said {
        finish(self.engine(arguments).spawn().unwrap(), PATIENCE)
    }

    /// Runs and must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert!(said.status.success(), "{arguments:?}: {said:?}");
        said.stdout
    }

    /// `run` to the end, with what the container printed.
    pub fn run(&self) -> Said {
        self.say(&["run", &self.id])
    }

    pub fn create(&self) {
        // Not piped: the container's process would keep the pipe open.
        let mut command = self.engine(&["create", &self.id]);
        let output = File::create(self.path().join("output")).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let said = finish(command.spawn().unwrap(), PATIENCE);
        assert!(said.status.success(), "{said:?}: {}", self.output());
    }

    /// Created and started.
    pub fn up(&self) {
        self.create();
        self.must(&["start", &self.id]);
    }

    /// What the container that was created printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.path().join("output")).unwrap_or_default()
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.must(&["state", &self.id])).unwrap()
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().unwrap()).unwrap()
    }

    /// A file of the container's cgroup: v1's name and v2's. None if the host has no such file.
    pub fn cgroup_file(&self, controller: &str, v1: &str, v2: &str) -> Option<String> {
        let base = Path::new("/sys/fs/cgroup");
        let below = self.cgroup();
        let below = below.trim_start_matches('/');
        let paths = [
            base.join(controller).join(below).join(v1),
            base.join(below).join(v2),
        ];
        paths
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|text| text.trim().to_owned())
    }

    /// No state, and no cgroup in any hierarchy.
    pub fn assert_nothing_left(&self) {
        assert!(
            !self.state_directory().join(&self.id).exists(),
            "state left behind"
        );
        assert_eq!(self.cgroups_left(), Vec::<PathBuf>::new());
    }

    fn cgroups_left(&self) -> Vec<PathBuf> {
        let below = self.cgroup();
        let base = Path::new("/sys/fs/cgroup");
        let mounts = fs::read_dir(base)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .chain([base.to_owned()]);
        mounts
            .map(|mount| mount.join(below.trim_start_matches('/')))
            .filter(|path| path.exists())
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.state_directory())
            .into_iter()
            .flatten()
            .flatten()
        {
            let id = entry.file_name().to_string_lossy().into_owned();
            let _ = self.engine(&["delete", "--force", &id]).status();
        }
        for directory in self.cgroups_left() {
            for pid in fs::read_to_string(directory.join("cgroup.procs"))
                .unwrap_or_default()
                .lines()
            {
                let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            }
            sleep(Duration::from_millis(50));
            let _ = fs::remove_dir(&directory);
        }
    }
}

/// Waits for a child, never for ever.
pub fn finish(mut child: Child, patience: Duration) -> Said {
    let reader = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = reader(child.stdout.take().map(|it| Box::new(it) as _));
    let stderr = reader(child.stderr.take().map(|it| Box::new(it) as _));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            panic!("still running after {patience:?}");
        }
        sleep(Duration::from_millis(1));
    };
    Said {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// Waits until something holds, at most a minute.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "never came true: {what}"
        );
        sleep(Duration::from_millis(5));
    }
}
