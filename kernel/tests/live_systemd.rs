//! Limits on a scope of a real systemd: they outlive a daemon-reload. Skipped
//! where systemd does not run, or cgroups are version 1.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use packrank_core::record::Amount;
use packrank_core::spec::Device;
use packrank_kernel::live::{Limit, Place, Scale, Systemd, Units, apply};
use packrank_skipped::skipped;

const ROOT: &str = "/sys/fs/cgroup";

struct Scope {
    name: String,
    child: Child,
    place: Place,
}

impl Scope {
    fn start(test: &str) -> Option<Scope> {
        let v2 = Path::new(ROOT).join("cgroup.controllers").exists();
        if !v2 || !Path::new("/run/systemd/system").exists() {
            skipped(test, "no systemd on cgroup v2 here");
            return None;
        }
        let name = format!("packrank-live-{test}.scope");
        let child = Command::new("systemd-run")
            .args(["--scope", "--quiet", "--collect", "--unit", &name])
            .args(["--property", "Delegate=yes", "--property", "MemoryMax=1G"])
            .args(["sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let path = PathBuf::from(format!("/system.slice/{name}"));
        let folder = PathBuf::from(format!("{ROOT}{}", path.display()));
        let until = Instant::now() + Duration::from_secs(30);
        while !fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|t| !t.is_empty()) {
            assert!(Instant::now() < until, "{name} does not start");
            thread::sleep(Duration::from_millis(50));
        }
        let cgroups = BTreeMap::from([("unified".to_owned(), path)]);
        let place = Place::open(Path::new(ROOT), &cgroups).unwrap();
        assert_eq!(place.unit(), Some(name.as_str()));
        Some(Scope { name, child, place })
    }

    fn says(&self, file: &str) -> String {
        let path = format!("{ROOT}/system.slice/{}/{file}", self.name);
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|e| panic!("{path}: {e}"))
            .trim()
            .to_owned()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = Command::new("systemctl")
            .args(["stop", &self.name])
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reload() {
    let done = Command::new("systemctl").arg("daemon-reload").status();
    assert!(done.unwrap().success());
}

fn disk() -> Device {
    let number = fs::metadata("/dev/vda").unwrap().rdev();
    Device {
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
    }
}

fn limits() -> Vec<Limit> {
    vec![
        Limit::Shares(512, Scale::Linear),
        Limit::Quota {
            quota: Amount::At(50_000),
            period: Some(100_000),
        },
        Limit::Cpus("0".to_owned()),
        Limit::Memory(Amount::At(512 << 20)),
        Limit::High(Amount::At(400 << 20)),
        Limit::Reservation(8192),
        Limit::Swap(Amount::At(0)),
        Limit::Pids(Amount::At(64)),
        Limit::Throttle(3, disk(), Amount::At(5 << 20)),
    ]
}

const SAY: [(&str, &str); 8] = [
    ("cpu.weight", "20"),
    ("cpu.max", "50000 100000"),
    ("cpuset.cpus", "0"),
    ("memory.max", "536870912"),
    ("memory.high", "419430400"),
    ("memory.low", "8192"),
    ("memory.swap.max", "0"),
    ("pids.max", "64"),
];

#[test]
fn what_systemd_was_told_outlives_its_reload() {
    let Some(scope) = Scope::start("told") else {
        return;
    };
    let began = Instant::now();
    let systemd = Systemd::connect().unwrap();
    let connected = began.elapsed();
    let applied = apply(&scope.place, &limits(), Some(&systemd)).unwrap();
    println!(
        "connected in {connected:?}, applied after {:?}",
        began.elapsed()
    );
    println!("{applied:?}");
    assert_eq!(
        (applied.missing.as_slice(), applied.untold.as_slice()),
        (&[][..], &[][..])
    );
    for round in ["before", "after"] {
        for (file, text) in SAY {
            assert_eq!(scope.says(file), text, "{file} {round} the reload");
        }
        assert!(
            scope.says("io.max").contains("wbps=5242880"),
            "{}",
            scope.says("io.max")
        );
        reload();
    }
    let again = apply(&scope.place, &limits(), Some(&systemd)).unwrap();
    assert_eq!(again.changes, []);
    // Idle is a weight to systemd.
    apply(&scope.place, &[Limit::Idle(true)], Some(&systemd)).unwrap();
    reload();
    assert_eq!(scope.says("cpu.idle"), "1");
    let back = [
        Limit::Idle(false),
        Limit::Shares(1024, Scale::Linear),
        Limit::Memory(Amount::Unlimited),
    ];
    let applied = apply(&scope.place, &back, Some(&systemd)).unwrap();
    println!("{applied:?}");
    reload();
    assert_eq!(
        (scope.says("cpu.idle"), scope.says("cpu.weight")),
        ("0".into(), "39".into())
    );
    assert_eq!(scope.says("memory.max"), "max");
}

/// Why systemd is told at all: the next property of the same controller, from
/// whomever, brings its own values back. (A reload alone did not, with systemd
/// 257.)
#[test]
fn what_it_was_not_told_it_undoes() {
    let Some(scope) = Scope::start("raw") else {
        return;
    };
    let limits = [Limit::Memory(Amount::At(512 << 20))];
    apply(&scope.place, &limits, None).unwrap();
    assert_eq!(scope.says("memory.max"), "536870912");
    for command in ["daemon-reload", "daemon-reexec"] {
        let done = Command::new("systemctl").arg(command).status();
        assert!(done.unwrap().success());
        println!("memory.max after {command}: {}", scope.says("memory.max"));
    }
    let high = ["set-property", "--runtime", &scope.name, "MemoryHigh=900M"];
    assert!(
        Command::new("systemctl")
            .args(high)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(scope.says("memory.max"), (1 << 30).to_string());
}

#[test]
fn a_unit_that_is_not_there_is_refused() {
    if Scope::start("there").is_none() {
        return;
    }
    let property = packrank_kernel::live::Property {
        name: "TasksMax",
        worth: packrank_kernel::live::Worth::Number(5),
    };
    let error = Systemd::connect()
        .unwrap()
        .set("packrank-no-such.scope", &[property])
        .unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("packrank-no-such.scope"));
}
