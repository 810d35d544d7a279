//! I/O priority, OOM score and limits of real processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use packrank_kernel::process::{
    self, Change, Error, IoClass, Limit, Process, Resource, Stat, usage,
};

/// A process that waits, and ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Sleeper {
        let sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
        Sleeper(sleep.unwrap())
    }

    fn process(&self) -> Process {
        Process::open(self.0.id(), None).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap() >> 24 & 1 == 1
}

fn own_score() -> i16 {
    let text = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn another_process_of_the_same_number_is_refused() {
    let sleeper = Sleeper::new();
    let process = sleeper.process();
    assert!(Process::open(process.pid(), Some(process.started())).is_ok());
    let error = Process::open(process.pid(), Some(process.started() + 1)).unwrap_err();
    assert!(
        matches!(error, Error::Replaced { .. }) && error.is_gone(),
        "{error}"
    );
    for pid in [0, u32::MAX] {
        let error = Process::open(pid, None).unwrap_err();
        assert!(matches!(error, Error::Gone { .. }), "{error}");
    }
}

#[test]
fn what_has_ended_is_gone_for_every_setting() {
    let sleeper = Sleeper::new();
    let process = sleeper.process();
    drop(sleeper);
    let files = Limit { soft: 1, hard: 1 };
    for error in [
        process.io_priority(IoClass::Idle).unwrap_err(),
        process.oom_score_adj(1000).unwrap_err(),
        process.rlimit(Resource::Nofile, files).unwrap_err(),
    ] {
        assert!(error.is_gone(), "{error}");
    }
}

#[test]
fn every_thread_gets_the_io_priority_and_only_once() {
    // A process with threads: this one.
    let (threads, wait) = (4, mpsc::channel::<()>());
    let release: Vec<_> = (0..threads)
        .map(|_| {
            let (release, wait) = mpsc::channel::<()>();
            thread::spawn(move || wait.recv());
            release
        })
        .collect();
    let process = Process::open(std::process::id(), None).unwrap();
    let changes = process.io_priority(IoClass::BestEffort(7)).unwrap();
    assert!(changes.len() > threads, "{changes:?}");
    assert!(changes.iter().all(|c| c.change.old == IoClass::None));
    let again = process.io_priority(IoClass::BestEffort(7)).unwrap();
    assert_eq!(again, []);
    // A thread made by one that has it, has it.
    let made = thread::spawn(move || process.io_priority(IoClass::BestEffort(7)).unwrap());
    assert_eq!(made.join().unwrap(), []);
    drop((release, wait));

    let sleeper = Sleeper::new();
    let process = sleeper.process();
    let changes = process.io_priority(IoClass::Idle).unwrap();
    let old = changes[0].change.old;
    assert!(
        [IoClass::None, IoClass::BestEffort(7)].contains(&old),
        "{changes:?}"
    );
    assert_eq!(changes.len(), 1);
}

#[test]
fn an_oom_score_goes_up_and_down_as_far_as_the_caller_may() {
    let sleeper = Sleeper::new();
    let process = sleeper.process();
    let old = own_score();
    let change = |old, new| Some(Change { old, new });
    assert_eq!(process.oom_score_adj(old).unwrap(), None);
    assert_eq!(process.oom_score_adj(900).unwrap(), change(old, 900));
    assert_eq!(process.oom_score_adj(900).unwrap(), None);
    let lowest = process.oom_score_adj(-999).unwrap();
    if has_sys_resource() {
        assert_eq!(lowest, change(900, -999));
    } else {
        // As low as our own, then no further.
        assert_eq!(lowest, change(900, old));
        let error = process.oom_score_adj(-999).unwrap_err();
        assert!(error.is_denied(), "{error}");
        let words = format!(
            "may not set oom_score_adj of process {} to -999",
            process.pid()
        );
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn a_limit_is_set_and_never_raised_above_what_the_caller_may() {
    let sleeper = Sleeper::new();
    let process = sleeper.process();
    let files = |soft, hard| Limit { soft, hard };
    let set = |limit| process.rlimit(Resource::Nofile, limit).unwrap();
    let change = set(files(512, 1024)).unwrap();
    assert_eq!(change.new, files(512, 1024));
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files"));
    assert_eq!(line.unwrap().split_whitespace().nth(3), Some("512"));
    assert_eq!(set(files(512, 1024)), None);
    let raised = set(files(2048, 4096)).unwrap();
    let nearest = if has_sys_resource() {
        files(2048, 4096)
    } else {
        files(1024, 1024)
    };
    assert_eq!(raised.new, nearest);
    assert_eq!(raised.old, files(512, 1024));
}

/// A process whose first thread has exited and whose second one waits.
struct Leaderless(Pid);

impl Leaderless {
    fn new() -> Leaderless {
        // SAFETY: glibc's allocator and threads work behind a fork, and the
        // child calls nothing else.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Leaderless(child),
            ForkResult::Child => {
                let held: Vec<_> = (0..40).map(|_| fs::File::open("/dev/null")).collect();
                thread::spawn(move || {
                    thread::sleep(Duration::from_secs(60));
                    drop(held);
                });
                // SAFETY: ends this thread alone, on whose stack nobody relies.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
                unreachable!()
            }
        }
    }
}

impl Drop for Leaderless {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed().as_secs() < 10);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_runs_while_one_of_its_threads_does() {
    let leaderless = Leaderless::new();
    let pid = u32::try_from(leaderless.0.as_raw()).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    wait_for(|| stat().contains(") Z "));
    let found = Stat::of(pid).unwrap();
    assert!(found.runs, "{}", stat());
    let proc = Path::new("/proc");
    let thread = process::folder(proc, pid).unwrap();
    assert_ne!(thread, proc.join(pid.to_string()));
    assert!(process::network(pid, found.started).is_some());
    assert!(process::network(pid, found.started + 1).is_none());
    assert!(usage::open_files(proc, pid).unwrap() >= 40);
    assert!(usage::traffic(proc, pid).is_some() && usage::tcp_sockets(proc, pid).is_some());

    // Killed and not yet reaped, it runs no more.
    kill(leaderless.0, Signal::SIGKILL).unwrap();
    wait_for(|| !Stat::of(pid).unwrap().runs);
    assert_eq!(process::folder(proc, pid), None);
}
