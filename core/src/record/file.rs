//! One file of ours.
//!
//! In: a path. Out: the bytes of a plain file that nobody else can write; or a
//! value written there, whole or not at all. What is written is held to the
//! size that is read.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;

use super::store::{Outcome, RecordError, io_error};

/// The largest file that is read, and written: a record with every key, long paths and a
/// hundred network objects is 20 KiB.
pub const LARGEST: u64 = 256 * 1024;

/// Removes a file; whether there was one.
pub(super) fn remove(path: &Path) -> Outcome<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io_error("remove", path)(e)),
    }
}

/// O_NOFOLLOW | O_NONBLOCK (asm-generic/fcntl.h, x86 and arm64): no link is
/// followed and no pipe waited for.
#[cfg(not(target_arch = "aarch64"))]
const OPEN_FLAGS: i32 = 0o400_000 | 0o4_000;
#[cfg(target_arch = "aarch64")]
const OPEN_FLAGS: i32 = 0o100_000 | 0o4_000;

/// The bytes of a plain file that only its owner, the one we run as, can write.
pub(super) fn read_trusted(path: &Path) -> Outcome<Vec<u8>> {
    let foreign = |problem| RecordError::Foreign {
        path: path.to_owned(),
        problem,
    };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OPEN_FLAGS);
    let file = options.open(path).map_err(io_error("open", path))?;
    let meta = file.metadata().map_err(io_error("examine", path))?;
    if !meta.is_file() {
        return Err(foreign("it is no plain file"));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(foreign("others can write to it"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(foreign("it belongs to another user"));
    }
    if meta.len() > LARGEST {
        return Err(foreign("it is larger than any record"));
    }
    let mut bytes = Vec::new();
    let mut limited = file.take(LARGEST + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(io_error("read", path))?;
    Ok(bytes)
}

/// Writes under a temporary name beside `path`, then renames. No fsync: the
/// folder is a tmpfs, and after a crash of the kernel no container is left.
pub(super) fn write_atomically(path: &Path, value: &impl Serialize) -> Outcome<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or("record");
    let unique = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{unique}", std::process::id()));
    let bytes =
        serde_json::to_vec(value).map_err(|e| io_error("encode", path)(io::Error::from(e)))?;
    if bytes.len() as u64 > LARGEST {
        let source = io::Error::from(io::ErrorKind::FileTooLarge);
        return Err(io_error("write", path)(source));
    }
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = match options.open(&temporary) {
            // It is left from a process of our number that died.
            Err(there) if there.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary)?;
                options.open(&temporary)?
            }
            opened => opened?,
        };
        file.write_all(&bytes)?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        io_error("write", path)(e)
    })
}
