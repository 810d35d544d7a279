//! `spec`: a config.json to begin with.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use libcontainer::oci_spec::runtime::Spec;

use crate::error::Error;

pub fn perform(options: &liboci_cli::Spec) -> Result<i32, Error> {
    let mut spec = if options.rootless {
        Spec::rootless(
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        )
    } else {
        Spec::default()
    };
    if let Some(process) = spec.process_mut() {
        process.set_terminal(Some(true));
    }
    let path = options
        .bundle
        .as_deref()
        .unwrap_or(Path::new("."))
        .join("config.json");
    let text = serde_json::to_string_pretty(&spec).map_err(Error::json("spec"))?;
    // Never over one that is there.
    let made = File::options().write(true).create_new(true).open(&path);
    let written = made.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
    written.map_err(Error::io(path.display().to_string()))?;
    Ok(0)
}
