//! An engine that does nothing but write down how it was called.
//!
//! In: its arguments and environment. Out: one JSON line in the file that
//! `FAKE_ENGINE_RECORD` names. `state` answers with the text of
//! `FAKE_ENGINE_STATE`; `FAKE_ENGINE_EXIT` is the exit status.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;

use serde_json::{Map, Value, json};

/// Bytes as text that keeps every one of them.
fn exact(text: &OsStr) -> String {
    text.as_bytes().iter().map(|b| char::from(*b)).collect()
}

fn main() {
    let args: Vec<_> = std::env::args_os().collect();
    let env: Map<String, Value> = std::env::vars_os()
        .map(|(key, value)| (exact(&key), exact(&value).into()))
        .collect();
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let fds: Vec<String> = fds
        .filter_map(|fd| {
            let fd = fd.unwrap();
            let target = std::fs::read_link(fd.path()).ok()?;
            // The listing's own.
            let own = target == std::path::Path::new(&format!("/proc/{}/fd", std::process::id()));
            (!own).then(|| format!("{} {}", fd.file_name().display(), target.display()))
        })
        .collect();
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let resources = args.iter().position(|arg| arg == "--resources");
    let resources = resources.and_then(|at| match args[at + 1].to_str() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            Some(text)
        }
        path => std::fs::read_to_string(path.unwrap()).ok(),
    });
    let call = json!({
        "args": args.iter().map(|arg| exact(arg)).collect::<Vec<_>>(),
        "env": env,
        "fds": fds,
        "folder": std::env::current_dir().unwrap(),
        "resources": resources,
    });
    if let Some(record) = std::env::var_os("FAKE_ENGINE_RECORD") {
        let file = OpenOptions::new().append(true).create(true).open(record);
        file.unwrap()
            .write_all(format!("{call}\n").as_bytes())
            .unwrap();
    }
    if has("state") {
        match std::env::var("FAKE_ENGINE_STATE") {
            Ok(state) => println!("{state}"),
            Err(_) => std::process::exit(1),
        }
    }
    let status = std::env::var("FAKE_ENGINE_EXIT").ok();
    std::process::exit(status.map_or(0, |status| status.parse().unwrap()));
}
