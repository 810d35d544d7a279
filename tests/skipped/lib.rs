//! Reporting that something did not run.
//!
//! In: what and why. Out: a line `SKIPPED: what: why`, which no test harness
//! captures; the same line appended to the file that `PACKRANK_SKIPPED` names,
//! where `scripts/natives` counts it.

use std::fs::File;
use std::io::Write;

/// Prints that `what` did not run, and why.
pub fn skipped(what: &str, why: &str) {
    let line = format!("SKIPPED: {what}: {why}\n");
    // print! is captured for tests that pass; a plain write is not.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("PACKRANK_SKIPPED") {
        // One write each: lines of tests that run at once do not mix.
        let file = File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
