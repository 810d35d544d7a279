//! A laboratory of network namespaces: a "host" and its containers, all made
//! for one test. The machine's own network is in none of them. A namespace
//! lives as long as a thread or a file descriptor holds it, so everything is
//! gone when the test ends, however it ends.

pub mod traffic;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use packrank_kernel::net::{Applied, Error, Guard, Means, Rate, Shape, Target, apply};
use packrank_skipped::skipped;

/// Tests that measure take turns: two cores are soon too few.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `test` with a fresh namespace as the host, or says why it cannot.
pub fn on_a_host(test: impl FnOnce(&Host) + Send) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !nix::unistd::geteuid().is_root() {
        return skipped("a host's network", "needs root, to make network namespaces");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return skipped(
            "a host's network",
            "needs the ip program, to wire network namespaces",
        );
    }
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
                let why = format!("cannot make a network namespace: {errno}");
                return skipped("a host's network", &why);
            }
            // Before all others, and so are its threads and processes: what is measured is
            // the kernel's limit, not what a busy machine leaves to the sender.
            let _ = rustix::process::setpriority_process(None, -20);
            let host = Host { namespace: own() };
            sh("ip link set lo up");
            test(&host);
        });
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The namespace in which the test's own thread runs.
pub struct Host {
    pub namespace: File,
}

/// Another namespace.
pub struct Container {
    pub namespace: File,
    pub id: String,
}

fn own() -> File {
    File::open("/proc/thread-self/ns/net").expect("our network namespace")
}

/// Runs a command in the calling thread's namespace; it must succeed.
pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Runs `work` in a namespace, in a thread of its own.
pub fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        run.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Container {
    /// A namespace with nothing but loopback in it.
    pub fn new(id: &str) -> Self {
        let namespace = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            sh("ip link set lo up");
            own()
        });
        Self {
            namespace: namespace.join().unwrap(),
            id: id.to_owned(),
        }
    }

    /// A container with one veth: 10.`net`.0.2 and fd00:`net`::2 on eth0, the
    /// host's end has `.1` and `::1`.
    pub fn with_veth(id: &str, net: u8) -> Self {
        let container = Self::new(id);
        container.veth(net, "eth0");
        container
    }

    /// Adds a veth; returns the name of the host's end.
    pub fn veth(&self, net: u8, name: &str) -> String {
        let end = format!("veth{net}");
        self.give(
            &format!("ip link add {end} type veth peer name given{net}"),
            &format!("given{net}"),
        );
        sh(&format!(
            "ip addr add 10.{net}.0.1/24 dev {end}
             ip -6 addr add fd00:{net}::1/64 dev {end} nodad
             ip link set {end} up"
        ));
        self.sh(&format!(
            "ip link set given{net} name {name}
             ip addr add 10.{net}.0.2/24 dev {name}
             ip -6 addr add fd00:{net}::2/64 dev {name} nodad
             ip link set {name} up"
        ));
        end
    }

    /// Makes an interface on the host and moves it here.
    pub fn give(&self, make: &str, name: &str) {
        sh(make);
        let holder = std::process::id();
        // The namespace has no name: `ip` reaches it through our descriptor.
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&self.namespace);
        sh(&format!(
            "ip link set {name} netns /proc/{holder}/fd/{descriptor}"
        ));
    }

    pub fn sh(&self, command: &str) -> String {
        inside(&self.namespace, || sh(command))
    }

    pub fn target(&self) -> Target<'_> {
        Target {
            id: &self.id,
            netns: self.fd(),
            net_admin: false,
            net_raw: false,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    pub fn apply(&self, shape: &Shape, guard: &Guard) -> Applied {
        self.try_apply(shape, guard).unwrap()
    }

    pub fn try_apply(&self, shape: &Shape, guard: &Guard) -> Result<Applied, Error> {
        apply(&self.target(), shape, guard, &Means::default())
    }
}

/// A rate with a burst small enough to be over at once.
pub fn megabits(rate: u64) -> Rate {
    Rate {
        bits_per_second: rate * 1_000_000,
        burst_bits: rate * 20_000,
    }
}

pub fn both(rate: Rate) -> Shape {
    Shape {
        egress: Some(rate),
        ingress: Some(rate),
    }
}

pub const NO_GUARD: Guard = Guard {
    connections: None,
    new_connections: None,
    packets: None,
    dscp: None,
};
