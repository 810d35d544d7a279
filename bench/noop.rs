//! The engine that does nothing: what a wrapper costs is what is left over.

fn main() {}
