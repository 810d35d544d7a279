//! Where the kernel's words come in.
//!
//! In: C's arguments. Out: the same as Rust's own start-up gives them, without
//! what that does besides: it asks for the state of three files, changes the
//! answers to three signals and makes a second stack, which is more than a
//! process needs that is about to become another. The engine so gets its
//! signals as our caller set them.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_ulong};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use packrank_shim::engine::Own;

unsafe extern "C" {
    /// What is asked for here is an address.
    safe fn getauxval(kind: c_ulong) -> *const c_char;
}

/// The path that the kernel was given to start us (linux/auxvec.h).
const AT_EXECFN: c_ulong = 31;

/// C's start-up calls it.
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, words: *const *const c_char) -> c_int {
    let mut args = Vec::new();
    let mut at = words;
    // SAFETY: C's start-up gives a list of texts that ends with a null.
    while let Some(word) = unsafe { text(*at) } {
        args.push(OsString::from(word));
        at = at.wrapping_add(1);
    }
    // SAFETY: null, or a text that the kernel put above our stack.
    let path = unsafe { text(getauxval(AT_EXECFN)) };
    let own = path.map_or_else(Own::running, |path| Own::at(Path::new(path)));
    super::run(args, &own)
}

/// The text there, if any.
///
/// # Safety
/// The pointer is null, or that of a text which lives as long as we do.
unsafe fn text(word: *const c_char) -> Option<&'static OsStr> {
    if word.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let word = unsafe { CStr::from_ptr(word) };
    Some(OsStr::from_bytes(word.to_bytes()))
}
