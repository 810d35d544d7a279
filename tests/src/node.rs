//! A node in small: real packs in real cgroups, and a real watcher.
//!
//! In: classes and what each pack runs. Out: records, processes and a watcher
//! whose folders are the test's own. Everything is gone when it is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::program;

/// The hierarchies a pack is in, where they are.
const HIERARCHIES: [&str; 7] = [
    "unified", "memory", "cpu", "cpuacct", "blkio", "freezer", "pids",
];

/// A node in small.
pub struct Node {
    pub folder: tempfile::TempDir,
    name: String,
    packs: Vec<(Child, Vec<PathBuf>)>,
    watcher: Option<Child>,
}

impl Node {
    /// `None`, with the reason, where no cgroups can be made.
    pub fn new(test: &str) -> Result<Node, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        for part in ["run/packs", "etc"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
            fs::set_permissions(folder.path().join(part), Permissions::from_mode(0o700)).unwrap();
        }
        let mut node = Node {
            folder,
            name: format!("packrank-test-{test}-{}", std::process::id()),
            packs: Vec::new(),
            watcher: None,
        };
        node.start("probe", &["sleep", "9"])
            .map_err(|e| format!("no cgroups can be made here: {e}"))?;
        node.clear();
        Ok(node)
    }

    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The policy, before the watcher starts.
    pub fn policy(&self, text: &str) {
        let path = self.folder.path().join("etc/policy.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn start(&mut self, id: &str, program: &[&str]) -> io::Result<BTreeMap<String, PathBuf>> {
        let top = Path::new("/sys/fs/cgroup");
        let v2 = top.join("cgroup.controllers").exists();
        let path = Path::new("/").join(format!("{}-{id}", self.name));
        let (mut folders, mut names) = (Vec::new(), BTreeMap::new());
        for hierarchy in HIERARCHIES {
            let root = match (v2, hierarchy) {
                (true, "unified") => top.to_owned(),
                (true, _) => continue,
                (false, name) => top.join(name),
            };
            if !root.join("cgroup.procs").exists() {
                continue;
            }
            let folder = root.join(path.strip_prefix("/").unwrap());
            fs::create_dir(&folder)?;
            folders.push(folder);
            names.insert(hierarchy.to_owned(), path.clone());
        }
        // It waits for its cgroups before it becomes the program.
        let mut child = Command::new("sh")
            .args(["-c", "read go; exec \"$@\"", "sh"])
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        for folder in &folders {
            fs::write(folder.join("cgroup.procs"), child.id().to_string())?;
        }
        writeln!(child.stdin.take().unwrap(), "go")?;
        self.packs.push((child, folders));
        Ok(names)
    }

    /// A pack that runs `program`, with the record that a hook would write,
    /// `more` laid over it; its limits are set as the record says.
    pub fn pack(&mut self, id: &str, class: &str, program: &[&str], more: &Json) {
        let cgroups = self.start(id, program).unwrap();
        let (child, folders) = self.packs.last().unwrap();
        let pid = child.id();
        let mut record = json!({
            "version": 1, "id": id, "priority": class, "pid": pid, "started": started(pid),
            "cgroups": cgroups, "bundle": "/", "engine": "/",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            record[key] = value.clone();
        }
        let write = |names: &[&str], value: String| {
            let files = folders
                .iter()
                .flat_map(|f| names.iter().map(|name| f.join(name)));
            if let Some(file) = files.into_iter().find(|file| file.exists()) {
                fs::write(&file, value).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            }
        };
        let settings = &record["settings"];
        if let Some(bytes) = settings["memory.limit"].as_u64() {
            write(&["memory.max", "memory.limit_in_bytes"], bytes.to_string());
        }
        if let Some(percent) = settings["cpu.quota"].as_u64() {
            write(&["cpu.cfs_quota_us"], (percent * 1_000).to_string());
            write(&["cpu.max"], format!("{} 100000", percent * 1_000));
        }
        for device in record["devices"].as_array().into_iter().flatten() {
            let device = device.as_str().unwrap();
            for (key, v2, v1) in [
                ("io.read-bps", "rbps", "read_bps"),
                ("io.write-bps", "wbps", "write_bps"),
            ] {
                if let Some(bytes) = settings[key].as_u64() {
                    let v1 = format!("blkio.throttle.{v1}_device");
                    write(&[&v1], format!("{device} {bytes}"));
                    write(&["io.max"], format!("{device} {v2}={bytes}"));
                }
            }
        }
        let path = self.run().join(format!("packs/{id}.json"));
        fs::write(&path, record.to_string()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// A pack's first process.
    pub fn pid(&self, id: &str) -> u32 {
        let text = fs::read(self.run().join(format!("packs/{id}.json"))).unwrap();
        let record: Json = serde_json::from_slice(&text).unwrap();
        u32::try_from(record["pid"].as_u64().unwrap()).unwrap()
    }

    /// What a file of a pack's cgroup says, in whichever hierarchy it is.
    pub fn cgroup(&self, id: &str, file: &str) -> Option<String> {
        let pid = self.pid(id);
        let (_, folders) = self.packs.iter().find(|(child, _)| child.id() == pid)?;
        let mut files = folders.iter().map(|folder| folder.join(file));
        files.find_map(|file| fs::read_to_string(file).ok())
    }

    /// The watcher, with `packrank` beside it, until it answers.
    pub fn watch(&mut self) {
        self.watch_as(&["--foreground", "--guest"]);
    }

    /// The same with these options.
    pub fn watch_as(&mut self, options: &[&str]) {
        let watcher = program::watcher();
        assert!(program::cli().exists());
        let said = File::create(self.folder.path().join("said")).unwrap();
        let command = Command::new(watcher)
            .args(options)
            .arg("--run")
            .arg(self.run())
            .arg("--policy")
            .arg(self.folder.path().join("etc"))
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn();
        self.watcher = Some(command.unwrap());
        self.wait("the watcher answers", || {
            self.ask(&json!({ "verb": "node" })).is_some()
        });
    }

    /// SIGKILL, at once.
    pub fn kill_watcher(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }

    pub fn watcher(&self) -> u32 {
        self.watcher.as_ref().unwrap().id()
    }

    /// What the watcher answers; nothing when it does not.
    pub fn ask(&self, request: &Json) -> Option<Json> {
        let mut stream = UnixStream::connect(self.run().join("watcher.sock")).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        writeln!(stream, "{request}").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// `packrank VERB…` on this node.
    pub fn packrank(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program::cli());
        let (verb, rest) = words.split_first().unwrap();
        command.arg(verb).arg("--run").arg(self.run()).args(rest);
        command
    }

    /// Waits until it is so; generous, for machines with more to do.
    pub fn wait(&self, what: &str, so: impl FnMut() -> bool) {
        let said = || fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        assert!(self.comes(so), "not so: {what}\n{}", said());
    }

    /// Whether it is so within a minute.
    pub fn comes(&self, mut so: impl FnMut() -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match so() {
                true => return true,
                false if Instant::now() >= until => return false,
                false => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn clear(&mut self) {
        for (mut child, folders) in self.packs.drain(..) {
            // Its children too: all that is in its cgroup.
            for _ in 0..200 {
                let procs = folders.first().map(|f| f.join("cgroup.procs"));
                let text = procs
                    .and_then(|p| fs::read_to_string(p).ok())
                    .unwrap_or_default();
                for pid in text.lines().filter_map(|line| line.parse().ok()) {
                    let _ = nix::sys::signal::kill(
                        nix::unistd::Pid::from_raw(pid),
                        nix::sys::signal::Signal::SIGKILL,
                    );
                }
                let _ = child.try_wait();
                let gone = folders
                    .iter()
                    .filter(|f| fs::remove_dir(f).is_err() && f.exists());
                if gone.count() == 0 {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill_watcher();
        self.clear();
    }
}

/// Field 22 of its stat, counted behind the name.
fn started(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(19).unwrap().parse().unwrap()
}

/// `GET path`, as who knows OpenMetrics: the head and the body.
pub fn http(stream: impl Read + Write, path: &str) -> io::Result<(String, String)> {
    http_of(stream, path, "application/openmetrics-text")
}

/// `GET path`, as who accepts this.
pub fn http_of(
    mut stream: impl Read + Write,
    path: &str,
    accept: &str,
) -> io::Result<(String, String)> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let split = text.split_once("\r\n\r\n");
    let (head, body) = split.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((head.to_owned(), body.to_owned()))
}
