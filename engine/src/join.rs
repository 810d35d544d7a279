//! In: a running container and a process for it. Out: the process, inside.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::{Container, ContainerStatus};
use libcontainer::notify_socket::{NotifyListener, NotifySocket};
use libcontainer::oci_spec::runtime::{
    Linux, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Process, Spec,
};
use libcontainer::process::args::{ContainerArgs, ContainerType};
use libcontainer::process::container_main_process::container_main_process;
use libcontainer::syscall::syscall::SyscallType;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::unistd::pipe2;

use crate::cgroup::Place;
use crate::cgroup_life::Visit;
use crate::console::Console;
use crate::context::Context;
use crate::error::Error;
use crate::oom::OomScore;
use crate::payload::Payload;
use crate::record::Record;
use crate::store::{Home, privately};
use crate::{hierarchy, keyring, launch, spec, stdio};

pub struct Request<'a> {
    pub home: &'a Home,
    pub record: &'a Record,
    /// The container's configuration with the new process in it.
    pub spec: Spec,
    pub console: &'a Console,
    pub preserve_fds: i32,
    pub detached: bool,
    /// A cgroup below the container's.
    pub sub_cgroup: Option<PathBuf>,
}

/// The container's configuration as it was at create.
pub fn configuration(home: &Home) -> Result<Spec, Error> {
    let path = home.file("config.json");
    let text = fs::read(&path).map_err(|cause| Error::SpecRead {
        path: path.clone(),
        cause,
    })?;
    spec::parse(&path, &text)
}

/// Starts the process and returns its pid once its program runs.
pub fn start(context: &mut Context, request: Request<'_>) -> Result<i32, Error> {
    let Request {
        home,
        record,
        mut spec,
        console,
        preserve_fds,
        detached,
        sub_cgroup,
    } = request;
    let linux = spec.linux().as_ref().ok_or(Error::SpecMissing("linux"))?;
    let joined = tenant(linux, record.pid);
    let score = spec.process().as_ref().and_then(Process::oom_score_adj);
    spec.set_linux(Some(joined));
    spec::normalise(&mut spec);
    let place = place_of(&record.place, record.pid, sub_cgroup.as_deref());
    let hierarchies = hierarchy::discover().map_err(Error::io("cgroup hierarchies"))?;
    let socket = home.file(&format!("exec-{}.sock", std::process::id()));
    let listener = privately(|| NotifyListener::new(&socket));
    let listener = listener.map_err(|cause| Error::Exec(cause.to_string()))?;
    let _socket = Unlinked(socket.clone());
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(Error::io("pipe"))?;
    keyring::join(&record.id);
    stdio::hand_over(&spec);
    let container = Container {
        state: record.state(ContainerStatus::Running),
        root: home.path().to_owned(),
    };
    // By its path even where systemd made it: the scope is there already.
    let mut cgroup_config = launch::cgroup_config(&place, &record.id);
    cgroup_config.systemd_cgroup = false;
    cgroup_config.cgroup_path = place.told();
    let arguments = ContainerArgs {
        container_type: ContainerType::TenantContainer {
            exec_notify_fd: writer.as_raw_fd(),
        },
        syscall: SyscallType::default(),
        spec: Rc::new(spec),
        rootfs: record.rootfs.clone(),
        console_socket: console.descriptor(),
        notify_listener: listener,
        preserve_fds,
        container: Some(container),
        user_ns_config: None,
        cgroup_config,
        detached,
        executor: Box::new(Payload::default()),
        no_pivot: false,
        stdin: None,
        stdout: None,
        stderr: None,
        as_sibling: false,
        pid_file: None,
    };
    let visit = record
        .place
        .unit
        .is_none()
        .then(|| Visit::begin(&place, &hierarchies))
        .transpose()?;
    let score = score.map(OomScore::set).transpose()?;
    // What joins the container must not be open to those inside it.
    prctl::set_dumpable(false).map_err(Error::io("prctl"))?;
    let made = container_main_process(&arguments);
    drop((visit, score));
    let pid = made
        .map_err(|cause| Error::Exec(context.explain(&cause.to_string())))?
        .as_raw();
    if record.place.unit.is_none() {
        place.adopt(pid)?;
    }
    NotifySocket::new(socket)
        .notify_container_start()
        .map_err(|cause| Error::Exec(cause.to_string()))?;
    // The other end is the new process's; it closes when the program starts.
    drop(writer);
    let mut reason = String::new();
    File::from(reader)
        .read_to_string(&mut reason)
        .map_err(Error::io("pipe"))?;
    if reason.is_empty() {
        Ok(pid)
    } else {
        Err(Error::Exec(reason))
    }
}

struct Unlinked(PathBuf);

impl Drop for Unlinked {
    fn drop(&mut self) {
        // Nothing depends on its absence.
        let _ = fs::remove_file(&self.0);
    }
}

/// The container's namespaces, and what else of its configuration holds for every process in it.
fn tenant(linux: &Linux, pid: i32) -> Linux {
    let mut joined = Linux::default();
    let namespaces: Vec<LinuxNamespace> = linux
        .namespaces()
        .iter()
        .flatten()
        .filter_map(|one| namespace(one.typ(), pid))
        .collect();
    joined
        .set_namespaces(Some(namespaces))
        .set_resources(None)
        .set_masked_paths(None)
        .set_readonly_paths(None)
        .set_seccomp(linux.seccomp().clone())
        .set_personality(linux.personality().clone())
        .set_memory_policy(linux.memory_policy().clone())
        .set_mount_label(linux.mount_label().clone())
        .set_uid_mappings(linux.uid_mappings().clone())
        .set_gid_mappings(linux.gid_mappings().clone());
    joined
}

fn namespace(kind: LinuxNamespaceType, pid: i32) -> Option<LinuxNamespace> {
    let name = match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    };
    LinuxNamespaceBuilder::default()
        .typ(kind)
        .path(format!("/proc/{pid}/ns/{name}"))
        .build()
        .ok()
}

/// Where the process goes: the container's cgroup, or one below it. On v2 a container that manages
/// cgroups of its own has moved its first process down, and the upper one takes none.
fn place_of(place: &Place, pid: i32, sub: Option<&Path>) -> Place {
    let mut place = place.clone();
    for seat in &mut place.seats {
        if let Some(sub) = sub {
            seat.path.push(sub.strip_prefix("/").unwrap_or(sub));
        } else if seat.kind == hierarchy::Kind::V2 {
            let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let own = own
                .lines()
                .find_map(|line| line.strip_prefix("0::/"))
                .map(|below| seat.mount.join(below));
            if let Some(own) = own.filter(|own| own.starts_with(&seat.path)) {
                seat.path = own;
            }
        }
    }
    place
}
