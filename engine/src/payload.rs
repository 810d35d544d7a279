//! In: the container's process, set up by libcontainer. Out: the user's program in its place.
//!
//! libcontainer's own executor refuses what runc accepts (no PATH, a program only its owner may
//! run), loses the order of the environment, and leaves a program that cannot be executed without
//! a word: the process just ends with 255. Here the reason goes into `exec.lock`, a file that the
//! process keeps open and locked until `execve` closes it. Whoever starts the container waits for
//! the lock and then reads the reason, if there is one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::capabilities::drop_privileges;
use libcontainer::oci_spec::runtime::{Capabilities, LinuxCapabilities, Process, Spec};
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{AccessFlags, access, execve};

use crate::store::{Home, OWN};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Program(String),
    #[error("{path}: {cause}")]
    Lock {
        path: PathBuf,
        cause: std::io::Error,
    },
}

/// What libcontainer calls once everything else is set up.
#[derive(Clone, Default)]
pub struct Payload {
    /// What libcontainer adds to the configuration's environment (HOME, LISTEN_FDS).
    added: Rc<RefCell<HashMap<String, String>>>,
    /// Descriptor of `exec.lock`.
    lock: Option<RawFd>,
}

impl Payload {
    pub fn new(lock: Option<&File>) -> Self {
        Self {
            added: Rc::default(),
            lock: lock.map(AsRawFd::as_raw_fd),
        }
    }
}

impl Executor for Payload {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let refused = ExecutorValidationError::ArgValidationError;
        let process = spec
            .process()
            .as_ref()
            .ok_or_else(|| refused("process is missing".to_owned()))?;
        program(process).map(drop).map_err(refused)
    }

    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        *self.added.borrow_mut() = envs;
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let reason = match self.replace(spec) {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        if let Some(fd) = self.lock {
            // If it cannot be written, the exit status still tells.
            let _ = dup(fd).and_then(|mut file| file.write_all(reason.as_bytes()));
        }
        Err(ExecutorError::Other(reason))
    }
}

impl Payload {
    fn replace(&self, spec: &Spec) -> Result<std::convert::Infallible, String> {
        let process = spec.process().as_ref().ok_or("process is missing")?;
        let path = program(process)?;
        if process.capabilities().is_none() {
            // libcontainer leaves the engine's own; the configuration grants none.
            let mut none = LinuxCapabilities::default();
            let empty = || Some(Capabilities::new());
            none.set_bounding(empty())
                .set_effective(empty())
                .set_permitted(empty());
            none.set_inheritable(empty()).set_ambient(empty());
            drop_privileges(&none, create_syscall().as_ref())
                .map_err(|cause| format!("capabilities: {cause}"))?;
        }
        let c = |text: &str| CString::new(text).map_err(|_| format!("{text:?} holds a zero byte"));
        let args = process
            .args()
            .iter()
            .flatten()
            .map(|arg| c(arg))
            .collect::<Result<Vec<_>, _>>()?;
        let env = self
            .environment(process)
            .iter()
            .map(|entry| c(entry))
            .collect::<Result<Vec<_>, _>>()?;
        let file = c(&path.to_string_lossy())?;
        // The engine blocks signals to forward them; the program starts with none blocked.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
            .map_err(|cause| cause.to_string())?;
        execve(&file, &args, &env).map_err(|cause| format!("exec: {:?}: {}", path, cause.desc()))
    }

    /// As configured, in its order; the last of several settings of a name counts.
    fn environment(&self, process: &Process) -> Vec<String> {
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        let mut list: Vec<String> = Vec::new();
        for entry in process
            .env()
            .iter()
            .flatten()
            .filter(|entry| entry.contains('='))
        {
            list.retain(|earlier| name(earlier) != name(entry));
            list.push(entry.clone());
        }
        for (key, value) in self.added.borrow().iter() {
            let set = list.iter().find(|entry| name(entry) == *key);
            if set.is_none_or(|entry| entry.len() == key.len() + 1) {
                list.retain(|entry| name(entry) != *key);
                list.push(format!("{key}={value}"));
            }
        }
        if !list.iter().any(|entry| name(entry) == "HOME") {
            // As runc does for a user who is in no passwd.
            list.push("HOME=/".to_owned());
        }
        list
    }
}

fn dup(fd: RawFd) -> std::io::Result<File> {
    // SAFETY: the descriptor was opened before the fork and stays open until execve.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map(File::from)
}

/// The program's path inside the container. With a slash as given, otherwise by the configured
/// PATH; without one by what execvp falls back to.
fn program(process: &Process) -> Result<PathBuf, String> {
    let name = process
        .args()
        .iter()
        .flatten()
        .next()
        .ok_or("process.args is empty")?;
    if name.is_empty() {
        return Err("process.args[0] is empty".to_owned());
    }
    if name.contains('/') {
        return runnable(Path::new(name))
            .map(|()| PathBuf::from(name))
            .map_err(|why| format!("exec: {name:?}: {why}"));
    }
    let path = process
        .env()
        .iter()
        .flatten()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="));
    let mut found = None;
    for directory in path.unwrap_or("/bin:/usr/bin").split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(why) if candidate.exists() => found = Some(why),
            Err(_) => {}
        }
    }
    Err(format!(
        "exec: {name:?}: {}",
        found.unwrap_or("executable file not found in $PATH")
    ))
}

fn runnable(path: &Path) -> Result<(), &'static str> {
    match path.metadata() {
        Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            Err("permission denied")
        }
        Err(_) => Err("no such file or directory"),
        Ok(it) if it.is_dir() => Err("is a directory"),
        Ok(_) => access(path, AccessFlags::X_OK).map_err(|_| "permission denied"),
    }
}

/// Makes `exec.lock` and locks it. The lock belongs to the open file, so it lives as long as any
/// copy of the descriptor in any process.
pub fn lock(home: &Home) -> Result<File, StartError> {
    let path = home.file("exec.lock");
    let failed = |cause: std::io::Error| StartError::Lock {
        path: path.clone(),
        cause,
    };
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .mode(OWN)
        .open(&path)
        .map_err(failed)?;
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK)))
        .map_err(|errno| failed(errno.into()))?;
    Ok(file)
}

/// Waits until the program runs; an error if it never will.
pub fn wait(home: &Home) -> Result<(), StartError> {
    let path = home.file("exec.lock");
    let failed = |cause: std::io::Error| StartError::Lock {
        path: path.clone(),
        cause,
    };
    let mut file = File::open(&path).map_err(failed)?;
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_RDLCK))) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
            Ok(_) => break,
        }
    }
    let mut reason = String::new();
    file.read_to_string(&mut reason).map_err(failed)?;
    if reason.is_empty() {
        Ok(())
    } else {
        Err(StartError::Program(reason))
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // Constants of a few units that the struct keeps in 16 bits.
    let short = |value: libc::c_int| libc::c_short::try_from(value).unwrap_or_default();
    libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(json: &str) -> Process {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn environment_keeps_its_order_and_the_last_setting() {
        let payload = Payload::new(None);
        payload
            .setup_envs(HashMap::from([
                ("HOME".into(), "/root".into()),
                ("A".into(), "x".into()),
            ]))
            .unwrap();
        let process =
            process(r#"{"user":{"uid":0,"gid":0},"cwd":"/","env":["B=1","A=1","B=2","odd"]}"#);
        assert_eq!(payload.environment(&process), ["A=1", "B=2", "HOME=/root"]);
    }

    #[test]
    fn programs_are_found_as_runc_finds_them() {
        let of = |json: &str| {
            program(&process(&format!(
                r#"{{"user":{{"uid":0,"gid":0}},"cwd":"/",{json}}}"#
            )))
        };
        assert_eq!(
            of(r#""args":["sh"],"env":["PATH=/nowhere:/bin"]"#),
            Ok(PathBuf::from("/bin/sh"))
        );
        assert_eq!(of(r#""args":["/bin/sh"]"#), Ok(PathBuf::from("/bin/sh")));
        assert!(
            of(r#""args":["sh"],"env":["PATH=/nowhere"]"#)
                .unwrap_err()
                .contains("not found")
        );
        assert!(of(r#""args":["/bin"]"#).unwrap_err().contains("directory"));
    }
}
