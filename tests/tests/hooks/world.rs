//! A host of the test's own: a network and a `/run/packrank` that nobody else
//! sees.
//!
//! In: what the test does. Out: done in a thread with its own network and
//! mount namespaces; every process it starts is in them too, and what it
//! leaves there goes with them.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use packrank_tests::apart::apart;
use packrank_tests::bundle::Bundle;
use packrank_tests::program;
use packrank_tests::skipped::skipped;
use serde_json::{Value, json};

/// The engine of these tests.
const RUNC: [&str; 2] = ["/usr/sbin/runc", "/usr/bin/runc"];

/// A host of the test's own.
pub struct World {
    folder: tempfile::TempDir,
    runc: PathBuf,
    /// Stands where a watcher would listen, so that none is started: what the
    /// tests read back is not to follow this machine's load.
    watched: Mutex<Option<UnixListener>>,
}

/// Where a watcher listens.
pub const SOCKET: &str = "/run/packrank/watcher.sock";

/// Runs `test` in a world, unless it cannot be had here.
pub fn world(name: &'static str, test: impl FnOnce(&World) + Send + 'static) {
    let runc = RUNC.iter().map(PathBuf::from).find(|p| p.exists());
    let missing = match &runc {
        _ if !nix::unistd::geteuid().is_root() => Some("not root"),
        None => Some("no runc"),
        Some(_) if !Path::new("/usr/sbin/nft").exists() => Some("no nft"),
        Some(_) => None,
    };
    if let Some(why) = missing {
        return skipped(name, why);
    }
    let (runc, _, _) = (runc.unwrap(), program::hook(), program::runtime());
    apart(name, &["/run/packrank"], move || {
        let folder = tempfile::Builder::new()
            .prefix("packrank-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let watched = Mutex::new(Some(UnixListener::bind(SOCKET).unwrap()));
        let world = World {
            folder,
            runc,
            watched,
        };
        world.run("ip", &["link", "set", "lo", "up"]);
        test(&world);
    });
}

/// An id that no other test run has.
pub fn id(name: &str) -> String {
    format!("packrank-test-{}-{name}", std::process::id())
}

impl World {
    /// From now on nobody watches, and whoever registers starts a watcher.
    pub fn unwatched(&self) {
        *self.watched.lock().unwrap() = None;
        fs::remove_file(SOCKET).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program that must succeed; its stdout.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A bundle of class low that sleeps.
    pub fn bundle(&self, name: &str, change: impl FnOnce(&mut Value)) -> Bundle {
        let bundle = Bundle::busybox(&self.path(name), &["sleep", "300"], |spec| {
            spec["annotations"] = json!({ "packrank.io/priority": "low" });
            change(spec);
        });
        bundle.expect("busybox-static is installed by the set-up")
    }

    /// packrank-runtime in front of runc, to be called.
    pub fn ranked(&self, args: &[&str]) -> Command {
        self.ranked_in("state", args)
    }

    /// The same with another root of the engine's.
    pub fn ranked_in(&self, root: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program::runtime());
        command
            .arg("--engine")
            .arg(&self.runc)
            .arg("--root")
            .arg(self.path(root));
        // A container inherits these: pipes would be waited for.
        let errors = fs::File::create(self.path("errors")).unwrap();
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        command
    }

    pub fn call(&self, args: &[&str]) {
        let status = self.ranked(args).status().unwrap();
        let said = fs::read_to_string(self.path("errors")).unwrap();
        assert!(status.success(), "{args:?}: {said}");
    }

    /// Creates a container; its first process.
    pub fn create(&self, bundle: &Bundle, id: &str) -> u32 {
        self.create_by(self.ranked(&[]), bundle, id)
    }

    /// The same by the bare engine.
    pub fn create_bare(&self, bundle: &Bundle, id: &str) -> u32 {
        let mut runc = Command::new(&self.runc);
        let errors = fs::File::create(self.path("errors")).unwrap();
        runc.arg("--root").arg(self.path("state"));
        runc.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        self.create_by(runc, bundle, id)
    }

    fn create_by(&self, mut command: Command, bundle: &Bundle, id: &str) -> u32 {
        let pid = self.path(&format!("{id}.pid"));
        command.arg("create").arg("--bundle").arg(&bundle.path);
        let status = command
            .arg("--pid-file")
            .arg(&pid)
            .arg(id)
            .status()
            .unwrap();
        let said = fs::read_to_string(self.path("errors")).unwrap();
        assert!(status.success(), "{id}: {said}");
        fs::read_to_string(pid).unwrap().trim().parse().unwrap()
    }

    /// Removes a container, whatever state it is in; none is no error.
    pub fn remove(&self, id: &str) {
        let _ = self.ranked(&["delete", "--force", id]).status().unwrap();
    }

    /// Kills the container's processes; the engine is not told.
    pub fn kill(pid: u32) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        let begin = std::time::Instant::now();
        while Self::runs(pid) {
            assert!(begin.elapsed().as_secs() < 10, "{pid} does not die");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether a process runs; one that is not reaped does not.
    fn runs(pid: nix::unistd::Pid) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| !state.starts_with(['Z', 'X']))
    }

    /// A veth between this world and the process's network.
    pub fn veth(&self, name: &str, pid: u32) {
        let netns = format!("/proc/{pid}/ns/net");
        self.run(
            "ip",
            &[
                "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &netns,
            ],
        );
        self.run("ip", &["link", "set", name, "up"]);
    }

    /// Everything of ours that this host has.
    pub fn ours(&self) -> Vec<String> {
        let links = self.run("ip", &["-br", "link"]);
        let tables = self.run("nft", &["list", "tables"]);
        let lines = links.lines().chain(tables.lines());
        let mut found: Vec<String> = lines
            .filter(|line| line.starts_with("prk") || line.contains("packrank"))
            .map(str::to_owned)
            .collect();
        for folder in ["packs", "deeds", "networks", "projects"] {
            let files = fs::read_dir(Path::new("/run/packrank").join(folder))
                .into_iter()
                .flatten();
            let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
            found.extend(
                names
                    .filter(|n| n != ".lock" && n != "lock")
                    .map(|n| format!("{folder}/{n}")),
            );
        }
        found.sort();
        found
    }

    /// Calls packrank-hook with this on stdin.
    pub fn hook(&self, phase: &str, stdin: &[u8]) -> Output {
        use std::io::Write;
        let mut child = Command::new(program::hook())
            .arg(phase)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A hook that refuses early does not read it all.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    pub fn gc(&self) -> Output {
        Command::new(program::cli()).arg("gc").output().unwrap()
    }
}
