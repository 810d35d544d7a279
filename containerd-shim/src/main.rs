//! `containerd-shim-packrank-v2`: what containerd starts.
//!
//! In: its flags. Out: what the shim protocol wants printed; or, without an
//! action, the shim itself.

use std::io::Write;
use std::process::ExitCode;

use packrank_containerd_shim::{delete, info, serve, start};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = packrank_core::plain::lines(&error.to_string());
            eprintln!("containerd-shim-packrank-v2: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let flags = containerd_shim::parse(&args)?;
    let printed = match flags.action.as_str() {
        _ if flags.version => {
            let version = env!("CARGO_PKG_VERSION");
            format!("containerd-shim-packrank-v2:\n  Version:  {version}\n").into_bytes()
        }
        _ if flags.info => info::info()?,
        "start" => start::start(&flags)?,
        "delete" => delete::delete(&flags)?,
        _ => return Ok(serve::serve(&flags)?),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&printed)?;
    out.flush()?;
    Ok(())
}
