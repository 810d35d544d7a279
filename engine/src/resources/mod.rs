//! In: `linux.resources`. Out: the same as writes to cgroup files, and the writes done.
//!
//! Both versions come out as a list of [`Write`]s, so that what would be written can be tested
//! without a kernel, and one place does the writing and words the errors.

mod device_program;
pub mod devices;
pub mod v1;
pub mod v2;

use std::path::PathBuf;

use libcontainer::oci_spec::runtime::LinuxResources;

use crate::cgroup::{CgroupError, Place, write};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// v1's name of the controller the file belongs to.
    pub controller: &'static str,
    /// The file and its value, and others that mean the same: every one the kernel has is written.
    pub files: Vec<(String, String)>,
    /// Whether a kernel without any of the files is no error.
    pub optional: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    #[error("linux.resources.{0} is not possible on cgroup v1")]
    NotOnV1(&'static str),
    #[error("linux.resources.{0} is not possible on cgroup v2")]
    NotOnV2(&'static str),
    #[error("linux.resources.{key} is {value}: {wanted}")]
    Value {
        key: &'static str,
        value: String,
        wanted: &'static str,
    },
    #[error("cannot set {file}: the host has no cgroup controller {controller}")]
    NoController {
        controller: &'static str,
        file: String,
    },
    #[error("cannot set {path} to {value:?}: {cause}")]
    Write {
        path: PathBuf,
        value: String,
        cause: std::io::Error,
    },
    #[error("linux.resources.devices: {0}")]
    Devices(String),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Applies everything to the container's cgroup. `fresh` says that it has just been made: then the
/// devices are closed to what is allowed; later only limits change, as with runc.
pub fn apply(place: &Place, resources: &LinuxResources, fresh: bool) -> Result<(), ResourceError> {
    let writes = if place.v2().is_some() {
        v2::writes(resources)?
    } else {
        v1::writes(resources, place)?
    };
    for one in &writes {
        perform(place, one)?;
    }
    if fresh {
        devices::apply(place, resources.devices().as_deref().unwrap_or_default())
    } else {
        Ok(())
    }
}

fn perform(place: &Place, one: &Write) -> Result<(), ResourceError> {
    let Some(first) = one.files.first() else {
        return Ok(());
    };
    let Some(directory) = place.controller(one.controller) else {
        return if one.optional {
            Ok(())
        } else {
            Err(ResourceError::NoController {
                controller: one.controller,
                file: first.0.clone(),
            })
        };
    };
    let mut present: Vec<_> = one
        .files
        .iter()
        .filter(|(file, _)| directory.join(file).exists())
        .collect();
    if present.is_empty() && !one.optional {
        // Writing to it says best what is wrong with it.
        present.push(first);
    }
    for (file, value) in present {
        write(directory, file, value).map_err(|error| match error {
            CgroupError::Io { path, cause } => ResourceError::Write {
                path,
                value: value.clone(),
                cause,
            },
            other => other.into(),
        })?;
    }
    Ok(())
}

impl Write {
    fn new(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            controller,
            files: vec![(file.into(), value.to_string())],
            optional: false,
        }
    }

    fn and(mut self, file: impl Into<String>, value: impl ToString) -> Self {
        self.files.push((file.into(), value.to_string()));
        self
    }

    fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// `-1` and lower mean unlimited to runc's callers; both versions have a word or number for it.
fn limit(value: i64, unlimited: &str) -> String {
    if value < 0 {
        unlimited.to_owned()
    } else {
        value.to_string()
    }
}
