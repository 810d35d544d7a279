//! In: an oom_score_adj. Out: this process with it, so that what it forks inherits it, until the
//! value is dropped.

use std::fs;

use crate::error::Error;

const FILE: &str = "/proc/self/oom_score_adj";

/// Puts the process's own score back when dropped: the engine must not become as easy a victim as
/// the container it serves.
pub struct OomScore {
    before: Option<String>,
}

impl OomScore {
    pub fn set(value: i32) -> Result<Self, Error> {
        let before = fs::read_to_string(FILE).ok();
        fs::write(FILE, value.to_string()).map_err(|cause| Error::OomScore { value, cause })?;
        Ok(Self { before })
    }
}

impl Drop for OomScore {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Going back up or down to what it was never needs a capability.
            let _ = fs::write(FILE, before.trim());
        }
    }
}
