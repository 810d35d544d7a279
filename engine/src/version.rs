//! `--version`, with the lines that callers of runc look for.

use libcontainer::oci_spec::runtime::VERSION;

/// Name and version, the specification's version, and that of the seccomp library linked in.
pub fn print() {
    println!("packrank-engine version {}", env!("CARGO_PKG_VERSION"));
    println!("spec: {VERSION}");
    if let Ok(version) = libseccomp::ScmpVersion::current() {
        println!("libseccomp: {version}");
    }
}
