//! bpf(2), as far as it is needed.
//!
//! In: a program, a map's shape. Out: descriptors; with the last one of each,
//! program and map are gone.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::program::Instruction;

/// Commands and kinds, from the kernel's linux/bpf.h.
const MAP_CREATE: i32 = 0;
const PROG_LOAD: i32 = 5;
const RAW_TRACEPOINT_OPEN: i32 = 17;
const MAP_LOOKUP_AND_DELETE_BATCH: i32 = 25;
const MAP_TYPE_HASH: u32 = 1;
const PROG_TYPE_TRACING: u32 = 26;
const TRACE_RAW_TP: u32 = 23;

/// The kernel lets only programs under the GPL read its structs. What
/// `program.rs` writes down may be taken under GPL-2.0 as well as Apache-2.0.
const LICENSE: &std::ffi::CStr = c"GPL";

/// As `bpftool` shows them.
const NAME: [u8; 16] = *b"packrank_disk\0\0\0";

/// Cgroups that are read in one go.
const BATCH: usize = 128;

/// The part of `union bpf_attr` for each command; what is not set is zero.
trait Attribute {}

#[repr(C)]
#[derive(Default)]
struct Map {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_size: u32,
    functions: u64,
    function_count: u32,
    line_size: u32,
    lines: u64,
    line_count: u32,
    attach_to: u32,
}

#[repr(C)]
#[derive(Default)]
struct Open {
    name: u64,
    program: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

impl Attribute for Map {}
impl Attribute for Load {}
impl Attribute for Open {}
impl Attribute for Batch {}

/// A map from a number to `width` numbers, all of 64 bits.
pub(super) fn map(width: usize, entries: u32) -> io::Result<OwnedFd> {
    let mut map = Map {
        kind: MAP_TYPE_HASH,
        key: 8,
        value: count(8 * width)?,
        entries,
        name: NAME,
        ..Map::default()
    };
    // SAFETY: it holds no pointers.
    owned(unsafe { call(MAP_CREATE, &mut map) }?)
}

/// A program for the tracepoint of that number among the kernel's types.
pub(super) fn load(program: &[Instruction], tracepoint: u32) -> io::Result<OwnedFd> {
    let mut load = Load {
        kind: PROG_TYPE_TRACING,
        count: count(program.len())?,
        instructions: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        name: NAME,
        attach_type: TRACE_RAW_TP,
        attach_to: tracepoint,
        ..Load::default()
    };
    // SAFETY: both pointers are to what outlives the call, and only read.
    owned(unsafe { call(PROG_LOAD, &mut load) }?)
}

/// From now on the program runs, until the descriptor is closed.
pub(super) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut open = Open {
        program: descriptor(program)?,
        ..Open::default()
    };
    // SAFETY: it holds no pointers: the program knows its tracepoint's name.
    owned(unsafe { call(RAW_TRACEPOINT_OPEN, &mut open) }?)
}

/// Takes all out of a map of [`map`]'s, of the same width.
pub(super) fn drain(
    map: BorrowedFd<'_>,
    width: usize,
    mut each: impl FnMut(u64, &[u64]),
) -> io::Result<()> {
    let mut place = 0_u64;
    let (mut keys, mut values) = ([0_u64; BATCH], vec![0_u64; BATCH * width]);
    let mut first = true;
    loop {
        let mut batch = Batch {
            from: match first {
                true => 0,
                false => (&raw const place) as u64,
            },
            to: (&raw mut place) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: count(BATCH)?,
            map: descriptor(map)?,
            ..Batch::default()
        };
        // SAFETY: keys and values have room for as many as it says, of the
        // sizes that the map was made with, `place` for the kernel's 32 bits,
        // and all outlive the call.
        let done = unsafe { call(MAP_LOOKUP_AND_DELETE_BATCH, &mut batch) };
        let end = match done {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let read = usize::try_from(batch.count).unwrap_or(0);
        let pairs = keys.iter().zip(values.chunks_exact(width));
        pairs.take(read).for_each(|(key, value)| each(*key, value));
        if end {
            return Ok(());
        }
        first = false;
    }
}

/// # Safety
/// Every pointer in the attribute is to what the command reads or writes, and
/// outlives the call.
unsafe fn call<T: Attribute>(command: i32, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: the attribute is a struct of its size without holes, which the
    // kernel reads, and whose count it writes; the rest is the caller's word.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attribute, size_of::<T>()) };
    match i32::try_from(done) {
        Ok(number @ 0..) => Ok(number),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just made it, for this call alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn descriptor(fd: BorrowedFd<'_>) -> io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput.into())
}
