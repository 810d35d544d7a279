//! packrank's own programs, as they were built.
//!
//! In: a program's name. Out: its path: in the folder that `PACKRANK_BIN`
//! names, else beside the tests, built there first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `packrank-runtime`.
pub fn runtime() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("packrank-runtime", "packrank-shim"))
}

/// `packrank-hook`, beside [`runtime`] in the same folder.
pub fn hook() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("packrank-hook", "packrank-hook"))
}

/// `packrank`.
pub fn cli() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("packrank", "packrank-cli"))
}

/// `packrank-watcher`, beside [`cli`] in the same folder.
pub fn watcher() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("packrank-watcher", "packrank-watcher"))
}

/// `containerd-shim-packrank-v2`.
pub fn containerd_shim() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("containerd-shim-packrank-v2", "packrank-containerd-shim"))
}

/// `packrank-engine`, where it can be built.
pub fn engine() -> Option<&'static Path> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = find("packrank-engine", "packrank-engine");
        path.exists().then_some(path)
    })
    .as_deref()
}

/// An engine by its name: ours, or one that is installed, youki in packrank's
/// cache.
pub fn an_engine(name: &str) -> Option<PathBuf> {
    if name == "packrank-engine" {
        return engine().map(Path::to_owned);
    }
    let cache = std::env::var("PACKRANK_CACHE").ok();
    let cache = cache.or_else(|| Some(format!("{}/.cache/packrank", std::env::var("HOME").ok()?)));
    let youki = cache.map(|c| format!("{c}/youki/bin")).unwrap_or_default();
    let folders = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin", &youki];
    let paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.into_iter().find(|path| path.exists())
}

/// The program alone under a link, so that it finds none of its companions
/// beside it.
pub fn alone(program: &Path, folder: &Path) -> PathBuf {
    let link = folder.join(program.file_name().unwrap());
    let linked = std::fs::hard_link(program, &link);
    if linked.is_err() {
        packrank_executable::copy(program, &link);
    }
    link
}

fn find(name: &str, package: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("PACKRANK_BIN") {
        return PathBuf::from(folder).join(name);
    }
    // target/debug/deps/test-0123456789abcdef
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let release = profile.file_name() == Some("release".as_ref());
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", package, "--bin", name]);
    build.arg("--target-dir").arg(profile.parent().unwrap());
    build.args(release.then_some("--release"));
    // A build's own settings are not those of the tests it runs.
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy();
        if key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&*key);
        }
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(
        built.unwrap().success() || name == "packrank-engine",
        "{name} does not build"
    );
    profile.join(name)
}
