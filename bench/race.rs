//! Taking turns.
//!
//! In: contestants, each a preparation and a command. Out: wall and CPU time
//! of every round, in milliseconds.

use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// One that takes part.
pub struct Contestant<'c> {
    pub name: &'c str,
    /// Done before every round, not measured.
    pub before: Box<dyn FnMut() + 'c>,
    pub command: Command,
    /// Done after every round, not measured.
    pub after: Box<dyn FnMut() + 'c>,
}

impl<'c> Contestant<'c> {
    pub fn new(name: &'c str, command: Command) -> Contestant<'c> {
        Contestant {
            name,
            before: Box::new(|| {}),
            command,
            after: Box::new(|| {}),
        }
    }

    /// Wall and CPU time of one run, in milliseconds.
    fn turn(&mut self) -> (f64, f64) {
        for _ in 0..MOST_HANGS {
            (self.before)();
            let cpu = children();
            let start = Instant::now();
            let status = finish(&mut self.command.spawn().unwrap());
            let wall = start.elapsed().as_secs_f64() * 1e3;
            let cpu = children() - cpu;
            (self.after)();
            match status {
                Some(status) => {
                    assert!(status.success(), "{} failed", self.name);
                    return (wall, cpu);
                }
                None => println!("  {} hung; it was ended and runs again", self.name),
            }
        }
        panic!("{} hangs", self.name);
    }
}

/// Longer than anybody takes. youki's `run` is known to wait for ever for a
/// process that ended before it looked.
const LIMIT: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};
/// How often one turn is taken again for that.
const MOST_HANGS: usize = 5;

/// Waits for it; `None` for one that hung, and was killed.
pub fn finish(child: &mut Child) -> Option<ExitStatus> {
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let ready = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&LIMIT)).unwrap();
    if ready == 0 {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    (ready > 0).then_some(status)
}

/// What one contestant took, round by round.
#[derive(Debug, Clone, Default)]
pub struct Times {
    pub wall: Vec<f64>,
    /// User and system time of the process and of those it waited for.
    pub cpu: Vec<f64>,
}

/// CPU time of all children that were waited for, in milliseconds.
pub fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    micros as f64 / 1e3
}

/// Lets all of them run once per round, in an order that rotates.
pub fn run(contestants: &mut [Contestant<'_>], rounds: usize) -> Vec<Times> {
    /// The first rounds fill caches.
    const WARM_UP: usize = 10;
    let mut times = vec![Times::default(); contestants.len()];
    for round in 0..rounds + WARM_UP {
        for turn in 0..contestants.len() {
            let index = (turn + round) % contestants.len();
            let (wall, cpu) = contestants[index].turn();
            if round >= WARM_UP {
                times[index].wall.push(wall);
                times[index].cpu.push(cpu);
            }
        }
    }
    times
}

/// Round by round, what `whole` took beyond `part`.
pub fn net(whole: &Times, part: &Times) -> Times {
    let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
    Times {
        wall: minus(&whole.wall, &part.wall),
        cpu: minus(&whole.cpu, &part.cpu),
    }
}

/// Median, 10th and 90th percentile.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |tenths: usize| sorted[(sorted.len() - 1) * tenths / 10];
    (at(5), at(1), at(9))
}
