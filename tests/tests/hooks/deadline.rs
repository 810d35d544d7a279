//! A hook that waits for what never comes is ended at its deadline.
//!
//! In: a stdin that never ends. Out: the hook had asked the kernel for its
//! alarm, and is gone by it. Thirty seconds are too long for a test: the test
//! stands between hook and kernel, and has the hook ask for one.
#![cfg(target_arch = "x86_64")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use packrank_tests::program;

/// Seconds that a hook may take.
const DEADLINE: i64 = 30;
/// More calls than it makes before it reads.
const CALLS: usize = 200;
/// Far more than it takes: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a hook, stopped before its first instruction, that waits for us.
fn stopped() -> (Child, Pid) {
    let mut command = Command::new(program::hook());
    command.arg("createRuntime");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    // SAFETY: one system call between fork and exec, which takes no lock.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let stop = waitpid(pid, None).unwrap();
    assert_eq!(stop, WaitStatus::Stopped(pid, Signal::SIGTRAP));
    (child, pid)
}

/// Lets it run until it asks for an alarm, and makes it one second; the
/// seconds it asked for. Nothing where it reads stdin without an alarm.
fn asked(pid: Pid) -> Option<i64> {
    for _ in 0..CALLS {
        ptrace::syscall(pid, None).unwrap();
        let stop = waitpid(pid, None).unwrap();
        assert_eq!(stop, WaitStatus::Stopped(pid, Signal::SIGTRAP));
        let mut registers = ptrace::getregs(pid).unwrap();
        // glibc asks by one call, musl by the other.
        let call = i64::try_from(registers.orig_rax);
        if call == Ok(libc::SYS_alarm) {
            let seconds = i64::try_from(registers.rdi).unwrap();
            registers.rdi = 1;
            ptrace::setregs(pid, registers).unwrap();
            return Some(seconds);
        }
        if call == Ok(libc::SYS_setitimer) {
            // struct itimerval: the interval's two words, then the value's.
            let seconds = (registers.rsi + 16) as ptrace::AddressType;
            let was = ptrace::read(pid, seconds).unwrap();
            ptrace::write(pid, seconds, 1).unwrap();
            return Some(was);
        }
        if call == Ok(libc::SYS_read) && registers.rdi == 0 {
            return None;
        }
    }
    None
}

#[test]
fn a_hook_that_hangs_is_ended_at_its_deadline() {
    let (mut child, pid) = stopped();
    let asked = asked(pid);
    if asked != Some(DEADLINE) {
        child.kill().unwrap();
    }
    ptrace::detach(pid, None).unwrap();
    let end = Instant::now() + PATIENCE;
    let mut status = None;
    while status.is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        status = child.try_wait().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(asked, Some(DEADLINE), "seconds asked for");
    let signal = status.and_then(|status| status.signal());
    assert_eq!(signal, Some(Signal::SIGALRM as i32), "{status:?}");
}
