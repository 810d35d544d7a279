//! The container's root file system.
//!
//! In: the mounts of a Create request. Out: them, one over the other, at the
//! bundle's rootfs; and later none of them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use containerd_shim::mount::mount_rootfs;
use containerd_shim_protos::api::Mount;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use tokio::sync::oneshot;

use crate::error::Error;

/// Mounts; what was mounted before a failure is unmounted.
///
/// # Errors
/// When a mount fails.
pub async fn mount(mounts: Vec<Mount>, rootfs: PathBuf) -> Result<(), Error> {
    if mounts.is_empty() {
        return Ok(());
    }
    if let Some(mount) = mounts.iter().find(|mount| !mount.target.is_empty()) {
        return Err(Error::Request {
            member: "rootfs",
            value: mount.target.clone(),
            problem: "mounts below the root are not implemented".to_owned(),
        });
    }
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: many overlay layers are mounted from a folder that
    // becomes the thread's working directory.
    std::thread::spawn(move || {
        let made = std::fs::create_dir_all(&rootfs);
        let mut done = made.map_err(Error::path("make", &rootfs));
        for mount in &mounts {
            done = done.and_then(|()| {
                let (kind, source) = (Some(&*mount.type_), Some(&*mount.source));
                Ok(mount_rootfs(kind, source, &mount.options, &rootfs)?)
            });
        }
        if done.is_err() {
            // The first error is the one worth telling.
            let _ = unmount_all(&rootfs);
        }
        // Nobody waits any more: then nobody needs to know.
        let _ = sender.send(done);
    });
    let died = || std::io::Error::other("the thread that mounts has died");
    receiver
        .await
        .map_err(|_| Error::io("mount rootfs")(died()))?
}

/// Unmounts all that is mounted there, the last first. Nothing is no error.
///
/// # Errors
/// When something cannot be unmounted.
pub fn unmount_all(rootfs: &Path) -> Result<(), Error> {
    let rootfs = &rootfs.canonicalize().unwrap_or_else(|_| rootfs.to_owned());
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points: Vec<PathBuf> = mount_points(&mounts).collect();
    let below = points
        .iter()
        .rev()
        .filter(|point| point.starts_with(rootfs));
    for point in below {
        let unmounted = match unmount(point, UnmountFlags::NOFOLLOW) {
            // Somebody is still in there; it goes when they do.
            Err(Errno::BUSY) => unmount(point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH),
            other => other,
        };
        match unmounted {
            // Gone with another.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(errno) => return Err(Error::path("unmount", point)(errno)),
        }
    }
    Ok(())
}

/// The mount points, in the order of their making: field 5 of each line, with
/// white space and backslashes as three octal digits.
fn mount_points(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let field = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    field.map(|field| PathBuf::from(OsString::from_vec(unescaped(field))))
}

fn unescaped(mut field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    while let [first, rest @ ..] = field {
        let octal = rest.first_chunk::<3>().filter(|_| *first == b'\\');
        let number = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (bytes.push(byte), field = &rest[3..]),
            None => (bytes.push(*first), field = rest),
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_they_are() {
        let text = b"36 35 98:0 / /mnt/a\\040b rw - ext4 /dev/x rw\n37 36 0:5 / /mnt/c\\134d rw - tmpfs t rw\n";
        let points: Vec<_> = mount_points(text).collect();
        assert_eq!(
            points,
            [PathBuf::from("/mnt/a b"), PathBuf::from("/mnt/c\\d")]
        );
    }
}
