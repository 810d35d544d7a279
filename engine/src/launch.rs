//! In: a bundle and what `create` and `run` were told. Out: a container that has everything but its
//! start, and its record; or nothing left behind at all.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;

use chrono::Utc;
use libcgroups::common::CgroupConfig;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::notify_socket::NotifyListener;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::process::args::{ContainerArgs, ContainerType};
use libcontainer::process::container_main_process::container_main_process;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::user_ns::UserNamespaceConfig;
use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid};

use crate::cgroup::Place;
use crate::cgroup_life::Visit;
use crate::console::Console;
use crate::context::Context;
use crate::error::Error;
use crate::hierarchy;
use crate::oom::OomScore;
use crate::payload::{self, Payload};
use crate::record::{Record, start_time};
use crate::store::{Home, privately, write_pid};
use crate::{keyring, resources, spec, stdio, systemd};

/// What `create` and `run` have in common.
pub struct Request {
    pub id: String,
    pub bundle: PathBuf,
    pub console_socket: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub no_pivot: bool,
    pub no_new_keyring: bool,
    pub preserve_fds: i32,
    /// Whether nobody stays to attend the terminal.
    pub detached: bool,
}

/// A created container.
pub struct Launched {
    pub home: Home,
    pub record: Record,
    /// The terminal's master, if this process attends it.
    pub master: Option<File>,
}

pub fn create(context: &mut Context, request: &Request) -> Result<Launched, Error> {
    let (bundle, text) = spec::read(&request.bundle)?;
    let mut spec = spec::parse(&bundle.join("config.json"), &text)?;
    let rootfs = spec::settle(&mut spec, &bundle)?;
    let console = Console::new(
        spec::wants_terminal(&spec),
        request.detached,
        request.console_socket.as_deref(),
    )?;
    let hierarchies = hierarchy::discover().map_err(Error::io("cgroup hierarchies"))?;
    let wanted = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().clone());
    let wanted = wanted.filter(|path| !path.as_os_str().is_empty());
    let place = Place::new(
        wanted.as_deref(),
        &request.id,
        context.systemd,
        &hierarchies,
    )?;
    let mut attempt = Attempt::begin(context.store.claim(&request.id)?);
    attempt.home.keep(&text)?;
    let record = Record {
        id: request.id.clone(),
        pid: 0,
        pid_start: 0,
        bundle,
        rootfs,
        created: Utc::now(),
        owner: geteuid().as_raw(),
        annotations: spec.annotations().clone().unwrap_or_default(),
        hooks: spec.hooks().clone(),
        place,
    };
    attempt.home.save(&record)?;
    let record = attempt.run(context, request, spec, record, &console, &hierarchies)?;
    if let Some(path) = &request.pid_file {
        let written = write_pid(path, record.pid);
        written.map_err(Error::io(format!("pid file {}", path.display())))?;
    }
    let master = console.master()?;
    Ok(Launched {
        home: attempt.succeed(),
        record,
        master,
    })
}

/// A create under way; what it made goes when it is dropped unfinished.
struct Attempt {
    home: Home,
    place: Option<Place>,
    pid: Option<i32>,
    done: bool,
}

impl Attempt {
    fn begin(home: Home) -> Self {
        Self {
            home,
            place: None,
            pid: None,
            done: false,
        }
    }

    fn run(
        &mut self,
        context: &mut Context,
        request: &Request,
        mut spec: Spec,
        mut record: Record,
        console: &Console,
        hierarchies: &[hierarchy::Hierarchy],
    ) -> Result<Record, Error> {
        let place = record.place.clone();
        if !place.processes()?.is_empty() {
            return Err(Error::SpecRefused(format!(
                "the cgroup {} is not empty",
                place.told().display()
            )));
        }
        self.place = Some(place.clone());
        let linux = spec
            .linux_mut()
            .as_mut()
            .ok_or(Error::SpecMissing("linux"))?;
        // Applied here, not by libcontainer, which leaves out or mistakes a good part of them.
        let wanted = linux.resources().clone().unwrap_or_default();
        linux.set_resources(None);
        if place.unit.is_none() {
            place.make()?;
            resources::apply(&place, &wanted, true)?;
        }
        let state = record.state(ContainerStatus::Creating);
        let container = Container {
            state,
            root: self.home.path().to_owned(),
        };
        let score = spec
            .process()
            .as_ref()
            .and_then(|process| process.oom_score_adj());
        spec::make_working_directory(&spec, &record.rootfs);
        if !request.no_new_keyring {
            keyring::join(&request.id);
        }
        stdio::hand_over(&spec);
        let lock = payload::lock(&self.home)?;
        let user_ns_config = UserNamespaceConfig::new(&spec)
            .map_err(|cause| Error::SpecRefused(cause.to_string()))?;
        let arguments = ContainerArgs {
            container_type: ContainerType::InitContainer,
            syscall: SyscallType::default(),
            rootfs: record.rootfs.clone(),
            console_socket: console.descriptor().map(|fd| fd.as_raw_fd()),
            notify_listener: privately(|| NotifyListener::new(&self.home.notify_socket()))
                .map_err(|cause| Error::Create(cause.to_string()))?,
            preserve_fds: request.preserve_fds,
            container: Some(container),
            user_ns_config,
            cgroup_config: cgroup_config(&place, &request.id),
            detached: request.detached,
            executor: Box::new(Payload::new(Some(&lock))),
            no_pivot: request.no_pivot,
            stdin: None,
            stdout: None,
            stderr: None,
            as_sibling: false,
            pid_file: None,
            spec: Rc::new(spec),
        };
        let visit = place
            .unit
            .is_none()
            .then(|| Visit::begin(&place, hierarchies))
            .transpose()?;
        let score = score.map(OomScore::set).transpose()?;
        // What joins the container must not be open to those inside it.
        prctl::set_dumpable(false).map_err(Error::io("prctl"))?;
        let made = container_main_process(&arguments);
        drop((visit, score));
        let pid = made
            .map_err(|cause| Error::Create(context.explain(&cause.to_string())))?
            .as_raw();
        self.pid = Some(pid);
        if let Some(unit) = &place.unit {
            systemd::apply(unit, &place, &wanted)?;
            resources::apply(&place, &wanted, true)?;
        } else {
            place.adopt(pid)?;
        }
        record.pid = pid;
        record.pid_start = start_time(pid)
            .ok_or_else(|| Error::Create(context.explain("the first process ended")))?;
        self.home.save(&record)?;
        Ok(record)
    }

    fn succeed(mut self) -> Home {
        self.done = true;
        self.home.clone()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(pid) = self.pid {
            let _ = crate::cgroup_life::send(pid, nix::libc::SIGKILL);
        }
        if let Some(place) = &self.place
            && let Err(cause) = place.remove()
        {
            tracing::error!(%cause, "cgroup left behind");
        }
        // Whatever was forked is dead now and must not stay as a zombie while a caller lives on.
        while waitpid(Pid::from_raw(-1), None).is_ok() {}
        if let Err(cause) = self.home.remove() {
            tracing::error!(%cause, "state directory left behind");
        }
    }
}

/// The path that libcontainer's own cgroup manager is to use.
pub fn cgroup_config(place: &Place, id: &str) -> CgroupConfig {
    CgroupConfig {
        cgroup_path: place
            .unit
            .as_ref()
            .map_or_else(|| place.told(), PathBuf::from),
        systemd_cgroup: place.unit.is_some(),
        container_name: id.to_owned(),
    }
}
