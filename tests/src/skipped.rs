//! Saying that something did not run.
//!
//! In: what and why. Out: a line that the test harness does not swallow.

use std::io::Write;

/// Prints `SKIPPED: …`, whether or not the test passes.
pub fn skipped(what: &str, why: &str) {
    let line = format!("SKIPPED: {what}: {why}\n");
    // print! is captured for tests that pass; a plain write is not.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
