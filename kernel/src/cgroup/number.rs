//! By which numbers the kernel knows it.
//!
//! In: an open cgroup. Out: its number and those of the cgroups below it, in
//! the hierarchy in which disk operations are charged.

use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::{fs, io};

use super::{Cgroup, Folder};

/// More than any container makes of itself; the rest is left out.
const MOST: usize = 256;

impl Cgroup {
    /// The numbers under which its disk operations are charged: none where they
    /// are charged to a cgroup above it. A cgroup's number is its folder's
    /// inode (`kernfs_ino` in include/linux/kernfs.h), unique in its hierarchy
    /// and not used again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn disk_numbers(&self) -> io::Result<Vec<u64>> {
        let charged = |folder: &&Folder| folder.has("io.stat");
        let unified = || self.unified().filter(charged);
        match self.v1("blkio").or_else(unified) {
            Some(folder) => numbers(folder),
            None => Ok(Vec::new()),
        }
    }
}

fn numbers(folder: &Folder) -> io::Result<Vec<u64>> {
    let path = folder.held();
    let own = fs::metadata(&path)?;
    let mut numbers = vec![own.ino()];
    // A folder's links are itself, its name, and the name above of each below.
    let mut left = match own.nlink() {
        2 => Vec::new(),
        _ => vec![path],
    };
    while let Some(path) = left.pop() {
        // One that went meanwhile has nothing below it.
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            if numbers.len() < MOST && entry.file_type()?.is_dir() {
                numbers.push(entry.ino());
                left.push(entry.path());
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroups_own_and_those_below_it() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("io.stat"), "").unwrap();
        fs::create_dir_all(top.path().join("container/deeper")).unwrap();
        let folder = Folder::open(top.path()).unwrap();
        let inode = |path: &str| fs::metadata(top.path().join(path)).unwrap().ino();
        let wanted = [inode(""), inode("container"), inode("container/deeper")];
        assert_eq!(numbers(&folder).unwrap(), wanted);
    }
}
