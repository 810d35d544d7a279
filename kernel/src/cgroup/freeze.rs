//! Stopping a cgroup and letting it go on.
//!
//! In: an open cgroup. Out: `cgroup.freeze` on version 2, `freezer.state` on
//! version 1.

use super::{Cgroup, CgroupError};

impl Cgroup {
    /// Stops every process in it. It returns at once; the kernel stops them as
    /// they come out of its own work.
    ///
    /// # Errors
    /// When it cannot be stopped here, or is gone.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        if let Some(folder) = self.v1("freezer") {
            return folder.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" });
        }
        match self.unified().filter(|folder| folder.has("cgroup.freeze")) {
            Some(folder) => folder.write("cgroup.freeze", if frozen { "1" } else { "0" }),
            None => Err(CgroupError::NotOffered { what: "freezing" }),
        }
    }

    /// Whether it is, or is being, stopped; `None` where that is not told.
    ///
    /// # Errors
    /// When it is gone.
    pub fn frozen(&self) -> Result<Option<bool>, CgroupError> {
        if let Some(folder) = self.v1("freezer") {
            return Ok(Some(!folder.read("freezer.state")?.starts_with(b"THAWED")));
        }
        let Some(folder) = self.unified() else {
            return Ok(None);
        };
        let text = folder.read_if_there("cgroup.freeze")?;
        Ok(text.map(|text| text.trim_ascii() == b"1"))
    }
}
