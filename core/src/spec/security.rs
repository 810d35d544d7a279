//! `security: restricted`, written into a spec.
//!
//! In: a document. Out: the same, allowed less: no new privileges, no
//! capability but NET_BIND_SERVICE, nobody instead of the host's root, and a
//! seccomp profile where there is none. What is as strict already stays as it
//! is written.

use serde_json::{Value, json};

use super::Spec;
use super::object::{DocumentError, Object};

/// The one capability that is left, where the spec has it: a service may
/// listen on its usual port.
const KEPT: &str = "CAP_NET_BIND_SERVICE";

/// The sets of the spec's `process.capabilities`.
const SETS: [&str; 5] = [
    "bounding",
    "effective",
    "inheritable",
    "permitted",
    "ambient",
];

/// User and group `nobody`, which own nothing (the kernel's overflow id).
const NOBODY: u64 = 65_534;

/// `FS_IOC_FSSETXATTR`: gives a file to another project, and so out of its
/// disk quota. An owner may; the seccomp profile does not let it.
const SET_PROJECT: u32 = 0x401c_5820;

/// What ordinary programs call. Not among them: what changes the system, its
/// clocks, mounts, namespaces or modules, looks into other processes' kernel
/// objects, has been a way out before (bpf, io_uring, userfaultfd, keyrings),
/// or moves files between quotas (`file_setattr`). `clone` and `ioctl` are
/// judged by their arguments.
const ALLOWED: &str = include_str!("syscalls.txt");

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Restricts the document.
///
/// # Errors
/// When a member to be edited is not of its shape, or stands twice.
pub(super) fn restrict(document: &mut Object<'_>, spec: &Spec<'_>) -> Result<(), DocumentError> {
    restrict_process(document.inside("process")?, spec.user_namespace)?;
    if !spec.seccomp {
        let linux = document.inside("linux")?;
        linux.set("seccomp", profile().to_string())?;
    }
    Ok(())
}

/// Restricts a process. The root of a user namespace of its own stays.
///
/// # Errors
/// When a member to be edited is not of its shape, or stands twice.
pub(super) fn restrict_process(
    process: &mut Object<'_>,
    user_namespace: bool,
) -> Result<(), DocumentError> {
    if process.read::<bool>("noNewPrivileges")? != Some(true) {
        process.set("noNewPrivileges", "true".to_owned())?;
    }
    let capabilities = process.inside("capabilities")?;
    for set in SETS {
        let had: Option<Vec<String>> = capabilities.read(set)?;
        let kept = had.iter().flatten().any(|name| name == KEPT);
        let texts = if kept { vec![KEPT] } else { Vec::new() };
        // A set that is not there may be a full one to an engine.
        if had.is_none_or(|had| had != texts) {
            capabilities.set(set, json!(texts).to_string())?;
        }
    }
    match user_namespace {
        true => Ok(()),
        false => user(process),
    }
}

/// Whether the spec already is as `restricted` would make it.
///
/// # Errors
/// When a member is not of its shape, or stands twice.
pub fn is_restricted(spec: &Spec<'_>) -> Result<bool, DocumentError> {
    let mut document = spec.document.clone();
    restrict(&mut document, spec)?;
    Ok(document.render() == spec.document.render())
}

/// The host's root becomes nobody, and its group goes.
fn user(process: &mut Object<'_>) -> Result<(), DocumentError> {
    let user = process.inside("user")?;
    let root = |id: Option<u64>| id.unwrap_or(0) == 0;
    if root(user.read("uid")?) {
        user.set("uid", NOBODY.to_string())?;
    }
    if root(user.read("gid")?) {
        user.set("gid", NOBODY.to_string())?;
    }
    let groups: Vec<u64> = user.read("additionalGids")?.unwrap_or_default();
    if groups.contains(&0) {
        let groups: Vec<u64> = groups.into_iter().filter(|gid| *gid != 0).collect();
        user.set("additionalGids", json!(groups).to_string())?;
    }
    Ok(())
}

/// The profile, for programs of this machine's own architecture.
fn profile() -> Value {
    let allow = |name: &str, args: Value| json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [args] });
    let masked = |index: u32, mask: u64, value: u64| json!({ "index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" });
    let names: Vec<&str> = ALLOWED.lines().collect();
    let mut calls = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    calls.push(allow("clone", masked(0, NEW_NAMESPACES, 0)));
    // Its flags lie in memory, where no filter sees them; without it, libraries
    // use clone.
    const ENOSYS: u32 = 38;
    calls.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }));
    // Every request that differs from the one in some bit. The kernel looks at
    // the lower half alone, so a comparison of the whole could be passed by.
    for bit in 0..u32::BITS {
        let mask = 1 << bit;
        let differs = u64::from(!SET_PROJECT & mask);
        calls.push(allow("ioctl", masked(1, u64::from(mask), differs)));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": [architecture()],
        "syscalls": calls
    })
}

fn architecture() -> String {
    let name = match std::env::consts::ARCH {
        "powerpc64" => "PPC64LE".to_owned(),
        name => name.to_uppercase(),
    };
    format!("SCMP_ARCH_{name}")
}
