//! In: a bundle's config.json. Out: the configuration, checked, in the form in which libcontainer
//! does what it says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libcontainer::apparmor;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::utils::{
    validate_mount_options, validate_spec_for_net_devices, validate_spec_for_new_user_ns,
};
use libcontainer::validator::Validator;

use crate::error::Error;

/// Larger ones are a mistake or an attack; Docker's are about 30 KB.
const LARGEST: u64 = 32 << 20;

/// The bundle's absolute path and the text of its config.json.
pub fn read(bundle: &Path) -> Result<(PathBuf, Vec<u8>), Error> {
    let bundle = bundle.canonicalize().map_err(|cause| Error::Bundle {
        path: bundle.to_owned(),
        cause,
    })?;
    let path = bundle.join("config.json");
    let failed = |cause| Error::SpecRead {
        path: path.clone(),
        cause,
    };
    let size = fs::metadata(&path).map_err(failed)?.len();
    if size > LARGEST {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read(&path).map_err(failed)?;
    Ok((bundle, text))
}

pub fn parse(path: &Path, text: &[u8]) -> Result<Spec, Error> {
    serde_json::from_slice(text).map_err(|cause| Error::SpecParse {
        path: path.to_owned(),
        cause,
    })
}

/// Checks what can be checked before anything exists, and settles the root's path.
pub fn settle(spec: &mut Spec, bundle: &Path) -> Result<PathBuf, Error> {
    if !spec.version().starts_with("1.") {
        return Err(Error::SpecRefused(format!(
            "ociVersion {:?} is not supported, only 1.x",
            spec.version()
        )));
    }
    let root = spec.root().as_ref().ok_or(Error::SpecMissing("root"))?;
    let linux = spec.linux().as_ref().ok_or(Error::SpecMissing("linux"))?;
    let process = spec
        .process()
        .as_ref()
        .ok_or(Error::SpecMissing("process"))?;
    if process.args().iter().flatten().next().is_none() {
        return Err(Error::SpecMissing("process.args"));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::SpecRefused(format!(
            "process.cwd {:?} is not absolute",
            process.cwd()
        )));
    }
    if process
        .apparmor_profile()
        .as_ref()
        .is_some_and(|profile| !profile.is_empty())
    {
        let enabled = apparmor::is_enabled().map_err(Error::io("apparmor"))?;
        if !enabled {
            return Err(libcontainer::error::ErrInvalidSpec::AppArmorNotEnabled.into());
        }
    }
    let given = bundle.join(root.path());
    let rootfs = given.canonicalize().map_err(|cause| Error::Rootfs {
        path: given.clone(),
        cause,
    })?;
    if !rootfs.is_dir() {
        return Err(Error::Rootfs {
            path: rootfs,
            cause: std::io::ErrorKind::NotADirectory.into(),
        });
    }
    Validator::validate_spec(spec)?;
    let syscall = create_syscall();
    if let Some(mounts) = spec.mounts() {
        validate_mount_options(mounts).map_err(|cause| Error::SpecRefused(cause.to_string()))?;
    }
    validate_spec_for_new_user_ns(spec, syscall.as_ref())
        .map_err(|cause| Error::SpecRefused(cause.to_string()))?;
    validate_spec_for_net_devices(spec, syscall.as_ref())
        .map_err(|cause| Error::SpecRefused(cause.to_string()))?;
    if linux.namespaces().is_none() {
        return Err(Error::SpecMissing("linux.namespaces"));
    }
    spec.canonicalize_rootfs(bundle)
        .map_err(|cause| Error::SpecRefused(cause.to_string()))?;
    normalise(spec);
    Ok(rootfs)
}

/// Says the same in the words libcontainer understands.
pub fn normalise(spec: &mut Spec) {
    if let Some(process) = spec.process_mut() {
        // It takes `false` for "load seccomp late", when the capability to load it is gone.
        if process.no_new_privileges() == Some(false) {
            process.set_no_new_privileges(None);
        }
        // It takes an empty name for a profile of that name.
        if process
            .apparmor_profile()
            .as_ref()
            .is_some_and(String::is_empty)
        {
            process.set_apparmor_profile(None);
        }
    }
}

/// Makes the working directory if the image has none, as runc does. Links are followed inside the
/// root only. Where it cannot be made (a read-only image), entering it says so.
pub fn make_working_directory(spec: &Spec, rootfs: &Path) {
    let Some(process) = spec.process() else {
        return;
    };
    if rootfs
        .join(process.cwd().strip_prefix("/").unwrap_or(process.cwd()))
        .is_dir()
    {
        return;
    }
    let mode = fs::Permissions::from_mode(0o755);
    if let Err(cause) =
        pathrs::Root::open(rootfs).and_then(|root| root.mkdir_all(process.cwd(), &mode))
    {
        tracing::debug!(%cause, "working directory not made");
    }
}

/// Whether the process wants a terminal.
pub fn wants_terminal(spec: &Spec) -> bool {
    spec.process()
        .as_ref()
        .and_then(|process| process.terminal())
        .unwrap_or(false)
}
