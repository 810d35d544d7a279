//! Real cgroups with real processes, a real watcher, and a made-up
//! `/proc/meminfo`, so that memory presses when the test says so.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packrank_core::record::{Packs, Record};
use packrank_kernel::cgroup::{Cgroup, Mounts, Version, start_time};
use packrank_skipped::skipped;
use packrank_watcher::Roots;
use serde_json::{Value as Json, json};

pub struct Lab {
    pub folder: tempfile::TempDir,
    pub packs: Packs,
    mounts: Mounts,
    name: String,
    pods: Vec<Pod>,
    watcher: Option<Child>,
    /// Somebody waits for memory, says /proc.
    short: Arc<AtomicBool>,
}

pub struct Pod {
    pub child: Child,
    pub cgroup: Cgroup,
    folders: Vec<PathBuf>,
}

impl Lab {
    /// `None`, with the reason printed, where no cgroups can be made.
    pub fn new(test: &str) -> Option<Lab> {
        let skipped = |why: &dyn std::fmt::Display| skipped(test, &why.to_string());
        let mounts = Mounts::find(Path::new("/sys/fs/cgroup"))
            .map_err(|e| skipped(&e))
            .ok()?;
        let name = format!("packrank-test-{test}-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        let packs = Packs::under(&folder.path().join("run"));
        packs.make().unwrap();
        let mut lab = Lab {
            folder,
            packs,
            mounts,
            name,
            pods: Vec::new(),
            watcher: None,
            short: Arc::default(),
        };
        lab.used(10);
        lab.reclaim();
        lab.policy(
            "[watch]\nhold = 1\nlinger = 600\nadaptive.every = 1\nladder.give-back-every = 1\n\
             ladder.dying = 1\n",
        );
        match lab.try_pod() {
            Ok(()) => {
                lab.pods.clear();
                Some(lab)
            }
            Err(error) => {
                skipped(&error);
                None
            }
        }
    }

    pub fn policy(&self, text: &str) {
        let policy = self.folder.path().join("etc");
        fs::create_dir_all(&policy).unwrap();
        // Sleeping processes hold next to nothing.
        let text = format!("{text}ladder.kill-least = 0\nladder.starting = 0\n");
        fs::write(policy.join("policy.toml"), text).unwrap();
        fs::set_permissions(policy.join("policy.toml"), Permissions::from_mode(0o600)).unwrap();
    }

    /// The node reclaims for as long as it is short.
    fn reclaim(&self) {
        let path = self.folder.path().join("proc/vmstat");
        let short = Arc::downgrade(&self.short);
        let file = fs::File::create(path).unwrap();
        let mut pages = 0;
        let mut tell = move || {
            pages += 1;
            let text = format!("pgscan_kswapd {pages:>10}\npgscan_direct {pages:>10}\n");
            file.write_all_at(text.as_bytes(), 0).unwrap();
        };
        tell();
        std::thread::spawn(move || {
            while let Some(short) = short.upgrade() {
                if short.load(Ordering::Relaxed) {
                    tell();
                }
                drop(short);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
    }

    /// So many percent of memory are in use, says /proc, and from 92 on that
    /// is too much: somebody waits for it.
    pub fn used(&self, percent: u64) {
        self.well_used(percent);
        self.reclaims(percent >= 92);
    }

    /// Whether the node scans its memory and makes tasks wait for it.
    pub fn reclaims(&self, does: bool) {
        self.short.store(does, Ordering::Relaxed);
    }

    /// So many percent are in use, and nobody waits for any.
    pub fn well_used(&self, percent: u64) {
        let text = format!(
            "MemTotal:       1000000 kB\nMemFree: 0 kB\nMemAvailable:    {} kB\n",
            (100 - percent) * 10_000
        );
        let proc = self.folder.path().join("proc");
        fs::write(proc.join("next"), text).unwrap();
        // In place: the watcher keeps the file open.
        let text = fs::read(proc.join("next")).unwrap();
        fs::write(proc.join("meminfo"), text).unwrap();
    }

    fn try_pod(&mut self) -> std::io::Result<()> {
        let number = self.pods.len();
        let v2 = self.mounts.version() == Version::V2;
        let wanted: &[&str] = match v2 {
            true => &["unified"],
            false => &["unified", "memory", "cpu", "cpuacct", "freezer"],
        };
        let child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()?;
        let mut folders = Vec::new();
        let mut names = BTreeMap::new();
        for controller in wanted {
            let Some(root) = self.mounts.root(controller) else {
                continue;
            };
            let name = format!("{}-{number}", self.name);
            let folder = root.path().join(&name);
            fs::create_dir(&folder)?;
            folders.push(folder.clone());
            fs::write(folder.join("cgroup.procs"), child.id().to_string())?;
            names.insert((*controller).to_owned(), Path::new("/").join(name));
        }
        let cgroup = Cgroup::open(&self.mounts, &names).map_err(std::io::Error::other)?;
        self.pods.push(Pod {
            child,
            cgroup,
            folders,
        });
        Ok(())
    }

    /// A container with its record; `more` is laid over it.
    pub fn pack(&mut self, class: &str, more: Json) -> usize {
        self.try_pod().unwrap();
        let at = self.pods.len() - 1;
        let pid = self.pods[at].child.id();
        let path = format!("/{}-{at}", self.name);
        let cgroups: BTreeMap<String, String> = ["unified", "memory", "cpu", "cpuacct", "freezer"]
            .iter()
            .filter(|name| self.mounts.root(name).is_some())
            .map(|name| ((*name).to_owned(), path.clone()))
            .collect();
        let mut record = json!({
            "version": 1, "id": format!("p{at}"), "priority": class, "pid": pid,
            "started": start_time(pid).unwrap(), "cgroups": cgroups, "bundle": "/", "engine": "/",
            "settings": { "memory.limit": 1 << 30, "cpu.quota": 100 },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            record[key] = value.clone();
        }
        let record: Record = serde_json::from_value(record).unwrap();
        self.packs.write(&record).unwrap();
        at
    }

    pub fn pod(&mut self, at: usize) -> &mut Pod {
        &mut self.pods[at]
    }

    pub fn alive(&mut self, at: usize) -> bool {
        self.pods[at].child.try_wait().unwrap().is_none()
    }

    /// What it is handed.
    pub fn roots(&self) -> Roots {
        let at = |name: &str| self.folder.path().join(name);
        Roots {
            run: at("run"),
            proc: at("proc"),
            policy: at("etc"),
            journald: None,
            ..Roots::default()
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_packrank-watcher"));
        let roots = self.roots();
        command.arg("--foreground").arg("--guest");
        command.arg("--run").arg(roots.run);
        command.arg("--proc").arg(roots.proc);
        command.arg("--policy").arg(roots.policy);
        command
    }

    pub fn watch(&mut self) {
        let said = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("said"))
            .unwrap();
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        self.watcher = Some(command.spawn().unwrap());
        self.wait("it answers", |lab| {
            lab.try_ask(&json!({ "verb": "status" })).is_some()
        });
    }

    pub fn watcher(&mut self) -> &mut Child {
        self.watcher.as_mut().unwrap()
    }

    /// SIGKILL, at once.
    pub fn kill_watcher(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            watcher.kill().unwrap();
            watcher.wait().unwrap();
        }
    }

    pub fn connect(&self) -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect(self.folder.path().join("run/watcher.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    pub fn try_ask(&self, request: &Json) -> Option<Json> {
        let mut stream = self.connect().ok()?;
        writeln!(stream, "{request}").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    pub fn ask(&self, request: Json) -> Json {
        self.try_ask(&request)
            .unwrap_or_else(|| panic!("no answer; {}", self.said()))
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    /// Waits until it is so; fails with what the watcher said.
    pub fn wait(&mut self, what: &str, mut so: impl FnMut(&mut Lab) -> bool) {
        let begin = Instant::now();
        while !so(self) {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "not so: {what}\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets so many milliseconds pass: for what must not happen.
    pub fn pass(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.cgroup.thaw();
        let _ = self.child.wait();
        for folder in &self.folders {
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_watcher();
    }
}
