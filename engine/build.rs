//! In: where this machine keeps `libseccomp.a`. Out: for static (musl) builds, a directory holding
//! nothing but that archive, on the linker's path.
//!
//! Naming the system's library directory itself would also bring glibc's `libc.a` onto the path,
//! before musl's. Set `LIBSECCOMP_LIB_PATH` for an archive that lies elsewhere.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBSECCOMP_LIB_PATH");
    if env::var("CARGO_CFG_TARGET_ENV")? != "musl" {
        return Ok(());
    }
    let machine = env::var("CARGO_CFG_TARGET_ARCH")?;
    let named = env::var_os("LIBSECCOMP_LIB_PATH").map(PathBuf::from);
    let usual = [
        format!("/usr/lib/{machine}-linux-gnu"),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
    ];
    let archive = named
        .into_iter()
        .chain(usual.map(PathBuf::from))
        .map(|directory| directory.join("libseccomp.a"))
        .find(|path| path.exists())
        .ok_or("libseccomp.a not found: install libseccomp-dev, or set LIBSECCOMP_LIB_PATH to its directory")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::copy(&archive, out.join("libseccomp.a"))?;
    println!("cargo:rerun-if-changed={}", archive.display());
    println!("cargo:rustc-link-search=native={}", out.display());
    // The archive comes last on the linker's line and needs the C library once more after it.
    println!("cargo:rustc-link-arg-bins=-lc");
    Ok(())
}
