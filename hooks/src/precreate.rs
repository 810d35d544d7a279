//! Podman's `precreate`: the spec passes through us before any engine sees it.
//!
//! In: the spec on stdin. Out: the ranked spec on stdout; an unranked one byte
//! for byte. Podman adds the other phases' hooks itself, from the same file.

use std::io::{self, Write};
use std::path::Path;

use packrank_core::host::Roots;
use packrank_core::spec::Spec;
use packrank_shim::planning::{self, Refusal};

use crate::input::{self, InputError};
use crate::{HookError, Options};

pub fn run(options: &Options) -> Result<(), HookError> {
    let document = input::bytes()?;
    let policy = planning::policy(options.policy.as_deref()).map_err(Refusal::from)?;
    let spec = Spec::parse(&document).map_err(Refusal::from)?;
    // Podman runs us in the bundle's folder or elsewhere, and its rootfs paths
    // are absolute.
    let here = Path::new(".");
    let planned = planning::ranked(&spec, here, None, &policy, Roots::own(), None)?;
    let bytes = planned
        .as_ref()
        .map_or(&document[..], |p| p.document.as_bytes());
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(InputError::Io)?;
    Ok(())
}
