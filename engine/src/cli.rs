//! In: the arguments as runc takes them. Out: [`Cli`], which verb with which options.
//!
//! liboci-cli's structs are used wherever they say what runc says. Where they do not (`kill`
//! without a signal, `events --interval 5s`, `update --memory 512m`) the struct here replaces it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "packrank-engine",
    about = "An OCI engine with runc's command line, on libcontainer",
    disable_version_flag = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: liboci_cli::GlobalOpts,
    #[command(flatten)]
    pub accepted: Accepted,
    /// Print the version
    #[arg(short, long)]
    pub version: bool,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Options that callers of runc pass and that need nothing done here.
#[derive(Debug, Args)]
pub struct Accepted {
    /// Ignore cgroup permission errors (true, false or auto; taken, without effect)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rootless: Option<String>,
    /// Path of criu (taken, without effect)
    #[arg(long)]
    pub criu: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Create(liboci_cli::Create),
    Start(liboci_cli::Start),
    Run(liboci_cli::Run),
    Exec(Box<liboci_cli::Exec>),
    State(liboci_cli::State),
    Kill(Kill),
    Delete(liboci_cli::Delete),
    Ps(liboci_cli::Ps),
    Pause(liboci_cli::Pause),
    Resume(liboci_cli::Resume),
    Update(Box<Update>),
    List(liboci_cli::List),
    Events(Events),
    Spec(liboci_cli::Spec),
    Features(liboci_cli::Features),
    /// Whatever else: refused with a sentence of its own
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Send a signal to the container's first process
#[derive(Debug, Args)]
pub struct Kill {
    /// Send the signal to all processes inside the container
    #[arg(short, long)]
    pub all: bool,
    /// Container identifier
    pub container_id: String,
    /// Name or number of the signal
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

/// Print statistics and out-of-memory events as lines of JSON
#[derive(Debug, Args)]
pub struct Events {
    /// Time between two statistics: 5s, 500ms, 1m or a number of seconds
    #[arg(long, default_value = "5s")]
    pub interval: String,
    /// Print the statistics once and exit
    #[arg(long)]
    pub stats: bool,
    /// Container identifier
    pub container_id: String,
}

/// Change a container's resources
#[derive(Debug, Args)]
pub struct Update {
    /// File with the resources as JSON, or - for stdin; the other options are then ignored
    #[arg(short, long)]
    pub resources: Option<PathBuf>,
    /// Relative weight for block I/O, 10 to 1000
    #[arg(long)]
    pub blkio_weight: Option<u16>,
    /// Period of the CPU quota in microseconds
    #[arg(long)]
    pub cpu_period: Option<u64>,
    /// CPU time per period in microseconds, -1 for unlimited
    #[arg(long, allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// Unused quota that may be saved up, in microseconds
    #[arg(long)]
    pub cpu_burst: Option<u64>,
    /// Period of the real-time quota in microseconds
    #[arg(long)]
    pub cpu_rt_period: Option<u64>,
    /// Real-time CPU time per period in microseconds
    #[arg(long, allow_negative_numbers = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// Relative weight for CPU time (cgroup v1 scale)
    #[arg(long, visible_alias = "cpu-shares")]
    pub cpu_share: Option<u64>,
    /// 1 puts the container into the idle scheduling class
    #[arg(long)]
    pub cpu_idle: Option<i64>,
    /// CPUs to use, such as 0-3,7
    #[arg(long)]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long)]
    pub cpuset_mems: Option<String>,
    /// Kernel memory limit (taken; kernels no longer have it)
    #[arg(long, hide = true)]
    pub kernel_memory: Option<String>,
    /// Kernel TCP memory limit (taken; without effect on cgroup v2)
    #[arg(long, hide = true)]
    pub kernel_memory_tcp: Option<String>,
    /// Memory limit in bytes, with an optional suffix k, m, g or t; -1 for unlimited
    #[arg(long, allow_negative_numbers = true)]
    pub memory: Option<String>,
    /// Memory reservation, written as --memory
    #[arg(long, allow_negative_numbers = true)]
    pub memory_reservation: Option<String>,
    /// Memory and swap together, written as --memory
    #[arg(long, allow_negative_numbers = true)]
    pub memory_swap: Option<String>,
    /// Largest number of processes, -1 for unlimited
    #[arg(long, allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Intel RDT L3 cache schema (refused)
    #[arg(long, hide = true)]
    pub l3_cache_schema: Option<String>,
    /// Intel RDT memory bandwidth schema (refused)
    #[arg(long, hide = true)]
    pub mem_bw_schema: Option<String>,
    /// Container identifier
    pub container_id: String,
}
