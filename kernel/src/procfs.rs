//! Files that the kernel makes up while they are read.
//!
//! In: one that is open. Out: its text.

use std::fs::File;
use std::io::{self, Read};

/// The text of a file in /proc or /sys. Such files say that they are empty, so
/// std begins with 32 bytes and grows step by step; most fit in a page, and
/// this takes two calls for those instead of seven.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn text(file: File) -> io::Result<String> {
    const PAGE: usize = 4096;
    let mut text = String::with_capacity(PAGE);
    // Bounded only in form: as a `File` it would be asked for its size first.
    file.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}
