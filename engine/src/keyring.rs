//! In: a container's id. Out: this process, and so everything it forks, in a session keyring of
//! the container's own; without it the container could read the caller's keys.

use std::ffi::CString;

use nix::libc;

/// From the kernel's `linux/keyctl.h`.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Joins the keyring, making it if there is none. A kernel or a quota that gives none is no reason
/// to refuse the container.
pub fn join(id: &str) {
    let Ok(name) = CString::new(format!("_ses.{id}")) else {
        return;
    };
    // SAFETY: the name is a zero-terminated string that outlives the call; nothing is written.
    let joined =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if joined < 0 {
        tracing::debug!(cause = %std::io::Error::last_os_error(), "no session keyring of its own");
    }
}
