//! In: a project's number and a container's id. Out: the name of the file that
//! ties them.

use super::Entry;
use crate::disk::PROJECTS;

/// `70610a1c.8f3e…`: the project's number and the hash of the id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) project: u32,
    pub(super) hash: u64,
}

impl Name {
    pub(super) fn of(entry: &Entry) -> Name {
        Name {
            project: entry.project,
            hash: hash(&entry.id),
        }
    }

    pub(super) fn entry(&self, text: &[u8]) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(text).ok()?;
        (Name::of(&entry) == *self).then_some(entry)
    }

    pub(super) fn text(&self) -> String {
        format!("{:08x}.{:016x}", self.project, self.hash)
    }

    pub(super) fn parse(text: &str) -> Option<Name> {
        let (project, hash) = text.split_once('.')?;
        let name = Name {
            project: u32::from_str_radix(project, 16).ok()?,
            hash: u64::from_str_radix(hash, 16).ok()?,
        };
        (name.text() == text && PROJECTS.contains(&name.project)).then_some(name)
    }
}

/// FNV-1a with 64 bits. Equal hashes cost a look into one more file.
pub(super) fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
