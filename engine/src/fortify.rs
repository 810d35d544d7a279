//! In: nothing. Out: the glibc functions that Debian's `libseccomp.a` was compiled against and that
//! musl does not have.

use std::ffi::c_int;

/// glibc's checked `fprintf`. The archive calls it only to print filters for debugging, which this
/// engine never asks for, so it prints nothing.
// SAFETY: no other object of the program defines the name; the function ignores its arguments, and
// in the C calling conventions of Linux the caller disposes of them.
#[unsafe(no_mangle)]
extern "C" fn __fprintf_chk() -> c_int {
    0
}
