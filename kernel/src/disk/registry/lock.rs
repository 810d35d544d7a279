//! In: the registry, locked. Out: a free number, and entries that come.

use std::fs::{self, File};
use std::io::Write;

use super::name::{self, Name};
use super::{Entry, Locked};
use crate::disk::PROJECTS;
use crate::disk::error::Error;

/// What is written before it gets its name.
const UNFINISHED: &str = "unfinished";

impl Locked<'_> {
    /// Takes away files that are no entries, and what was never finished.
    pub(in crate::disk) fn tidy(&self) -> Result<(), Error> {
        for name in self.registry.names()? {
            if self.registry.read(&name)?.is_none() {
                self.registry.unlink(&name.text())?;
            }
        }
        self.registry.unlink(UNFINISHED)
    }

    /// Whose the project is.
    pub(in crate::disk) fn owner(&self, project: u32) -> Result<Option<Entry>, Error> {
        let names = self.registry.names()?.into_iter();
        for name in names.filter(|name| name.project == project) {
            if let Some(entry) = self.registry.read(&name)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Every number that is given out.
    pub(in crate::disk) fn projects(&self) -> Result<Vec<u32>, Error> {
        let names = self.registry.names()?;
        Ok(names.into_iter().map(|name| name.project).collect())
    }

    /// The first number, in an order of the container's own, that is neither
    /// given out nor, by `in_use`, under anything of the file system's.
    pub(in crate::disk) fn free(
        &self,
        id: &str,
        mut in_use: impl FnMut(u32) -> Result<bool, Error>,
    ) -> Result<Option<u32>, Error> {
        let taken = self.projects()?;
        let count = PROJECTS.end() - PROJECTS.start() + 1;
        let first = u32::try_from(name::hash(id) % u64::from(count)).unwrap_or(0);
        for step in 0..count {
            let project = PROJECTS.start() + (first + step) % count;
            if !taken.contains(&project) && !in_use(project)? {
                return Ok(Some(project));
            }
        }
        Ok(None)
    }

    /// Writes the container's entry: whole or not at all.
    pub(in crate::disk) fn write(&self, entry: &Entry) -> Result<(), Error> {
        let name = Name::of(entry).text();
        let failed = |source| self.registry.failed("write", &name, source);
        let text = serde_json::to_vec(entry).map_err(|e| failed(e.into()))?;
        let unfinished = self.registry.path.join(UNFINISHED);
        let mut file = File::create(&unfinished).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        fs::rename(&unfinished, self.registry.path.join(&name)).map_err(failed)
    }
}
