//! `packrank metrics`: what packs use, for Prometheus.
//!
//! In: the node as it is. Out: OpenMetrics on stdout, over a unix socket or
//! the loopback, or a file for node_exporter's textfile collector. The watcher
//! starts it by itself when its own socket is asked.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use packrank_core::plain::lines;
use packrank_monitor::serve::{Listener, serve};
use packrank_monitor::tally::Tally;
use packrank_monitor::{Sampler, metrics, textfile};
use packrank_watcher::Roots;

use crate::terminal::{fail, print};

/// After this long without a client, who was started for one ends: longer
/// than any usual scrape interval.
const IDLE: Duration = Duration::from_secs(600);

/// Between the two looks that rates take.
const APART: Duration = Duration::from_secs(1);

/// Show what packs use as OpenMetrics, once, or serve it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serve GET /metrics on this address of the loopback, or a unix socket at
    /// this path.
    #[arg(long, value_name = "ADDRESS|PATH")]
    listen: Vec<String>,
    /// Write a file for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    textfile: Option<PathBuf>,
    /// Write the file again every so many seconds, for ever.
    #[arg(long, value_name = "SECONDS", requires = "textfile")]
    every: Option<u64>,
    /// Serve on the sockets that are standard input and output.
    #[arg(long, hide = true)]
    inherited: bool,
    #[command(flatten)]
    place: Place,
}

/// Where the node is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = "/run/packrank")]
    pub run: PathBuf,
    /// Another /proc.
    #[arg(long, value_name = "FOLDER", default_value = "/proc", hide = true)]
    pub proc: PathBuf,
    /// Another /sys/fs/cgroup.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/sys/fs/cgroup",
        hide = true
    )]
    pub cgroup: PathBuf,
}

impl Place {
    /// The roots that the watcher has.
    pub(crate) fn roots(&self) -> Roots {
        Roots {
            run: self.run.clone(),
            proc: self.proc.clone(),
            cgroup: self.cgroup.clone(),
            ..Roots::default()
        }
    }
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(status) => status,
        Err(error) => fail(&error),
    }
}

fn show(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut sampler = Sampler::new(args.place.roots())?;
    sampler.time_requests();
    if args.inherited {
        return inherited(sampler);
    }
    if !args.listen.is_empty() {
        let listeners: io::Result<Vec<Listener>> =
            args.listen.iter().map(|at| listen(at)).collect();
        serve(sampler, listeners?, None)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut tally = Tally::default();
    sampler.look();
    let mut pause = APART;
    loop {
        thread::sleep(pause);
        let begin = Instant::now();
        let snapshot = Arc::new(sampler.look());
        // Without a watcher there is nothing to count.
        let _ = tally.follow(&sampler.roots().socket(), &snapshot, begin);
        let text = metrics::encode(&snapshot, &tally)?;
        let Some(file) = &args.textfile else {
            // A program reads them as they are, a person's terminal as text.
            let text = match io::stdout().is_terminal() {
                true => lines(&text),
                false => text,
            };
            return Ok(print(ExitCode::SUCCESS, |out| {
                out.write_all(text.as_bytes())
            }));
        };
        let written = textfile::write(file, &textfile::older(&text));
        written.map_err(|e| format!("{}: {e}", file.display()))?;
        match args.every {
            Some(seconds) => pause = Duration::from_secs(seconds.max(1)),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn listen(at: &str) -> io::Result<Listener> {
    if let Ok(address) = at.parse::<SocketAddr>() {
        return Listener::tcp(address);
    }
    let say = |e: io::Error| io::Error::new(e.kind(), format!("{at}: {e}"));
    // In place of a socket left there; anything else that is there stays.
    let left = Path::new(at).symlink_metadata();
    let socket = left.is_ok_and(|meta| {
        use std::os::unix::fs::FileTypeExt;
        meta.file_type().is_socket()
    });
    if socket {
        std::fs::remove_file(at).map_err(say)?;
    }
    let listener = UnixListener::bind(at).map_err(say)?;
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o600)).map_err(say)?;
    Ok(Listener::Unix(listener))
}

/// Started by the watcher: ends with it, and is not as unkillable as it is.
fn inherited(sampler: Sampler) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The watcher reads its signals from a descriptor, and what it blocks is
    // inherited.
    SigSet::empty().thread_set_mask()?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    // More killable is always allowed.
    std::fs::write("/proc/self/oom_score_adj", "0")?;
    let held = |fd: io::Result<OwnedFd>| fd.ok().filter(is_socket);
    let unix = held(io::stdin().as_fd().try_clone_to_owned());
    let tcp = held(io::stdout().as_fd().try_clone_to_owned());
    let mut listeners = Vec::new();
    listeners.extend(unix.map(|fd| Listener::Unix(fd.into())));
    listeners.extend(tcp.map(|fd| Listener::Tcp(fd.into())));
    serve(sampler, listeners, Some(IDLE))?;
    Ok(ExitCode::SUCCESS)
}

fn is_socket(fd: &OwnedFd) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| {
        let kind = nix::sys::stat::SFlag::from_bits_truncate(stat.st_mode);
        kind.contains(nix::sys::stat::SFlag::S_IFSOCK)
    })
}
