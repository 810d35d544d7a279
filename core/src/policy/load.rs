//! Policy files on disk.
//!
//! In: the folder that holds `policy.toml` and `policy.d/`. Out: the built-in
//! policy with those files on top. A file that somebody else can write to
//! decides nothing: it is refused.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Policy, PolicyError};

/// Far more than any policy needs; a runaway file is not read into memory.
const MOST_BYTES: u64 = 1 << 20;

/// Why the policy could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder could not be read.
    #[error("policy {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file that others can change.
    #[error(
        "policy {}: mode {mode:04o}, owner {owner}: only root may be able to write it (chmod go-w, chown root)",
        path.display()
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner's uid.
        owner: u32,
    },
    /// A file that is no policy.
    #[error(transparent)]
    Wrong(#[from] PolicyError),
}

impl Policy {
    /// The built-in policy with `folder/policy.toml` and `folder/policy.d/*.toml`
    /// on top. A folder or file that does not exist adds nothing.
    ///
    /// # Errors
    /// When a file is unreadable, open to others, or wrong.
    pub fn load(folder: &Path) -> Result<Policy, LoadError> {
        let mut policy = Policy::built_in()?;
        for path in files(folder)? {
            policy.add_file(&path)?;
        }
        Ok(policy)
    }

    /// The engine that `folder`'s files name, or `file` where one is given,
    /// as far as they can be read. A file that is wrong names none: which
    /// engine answers `--version` must not hang on it.
    #[must_use]
    pub fn engine_named(folder: &Path, file: Option<&Path>) -> Option<PathBuf> {
        let files = match file {
            Some(file) => vec![file.to_owned()],
            None => files(folder).unwrap_or_default(),
        };
        files.iter().rev().find_map(|path| {
            let text = read(path).ok().filter(|text| text.contains("engine"))?;
            let table: toml::Table = text.parse().ok()?;
            let path = table.get("engine")?.get("path")?.as_str()?;
            Some(PathBuf::from(path))
        })
    }

    /// Lays the file on top.
    ///
    /// # Errors
    /// When it is unreadable, open to others, or wrong.
    pub fn add_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let text = read(path)?;
        Ok(self.merge(&path.display().to_string(), &text)?)
    }
}

/// The folder's policy files, in the order in which they apply.
fn files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let main = folder.join("policy.toml");
    let mut found = Vec::new();
    match main.symlink_metadata() {
        Ok(_) => found.push(main),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(LoadError::Unreadable { path: main, source }),
    }
    let drop_ins = folder.join("policy.d");
    let entries = match std::fs::read_dir(&drop_ins) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(source) => {
            return Err(LoadError::Unreadable {
                path: drop_ins,
                source,
            });
        }
    };
    let main_files = found.len();
    for entry in entries {
        let entry = entry.map_err(|source| LoadError::Unreadable {
            path: drop_ins.clone(),
            source,
        })?;
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found[main_files..].sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.mode() & 0o022 != 0 || (meta.uid() != 0 && meta.uid() != own) {
        return Err(LoadError::Writable {
            path: path.to_owned(),
            mode: meta.mode() & 0o7777,
            owner: meta.uid(),
        });
    }
    if meta.len() > MOST_BYTES {
        return Err(unreadable(io::Error::other("larger than 1 MiB")));
    }
    let mut text = String::new();
    file.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Priority;
    use crate::key::Key;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn drop_ins_come_after_the_main_file_in_the_order_of_their_names() {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("policy.d")).unwrap();
        for (name, pids) in [
            ("policy.toml", 1),
            ("policy.d/20.toml", 3),
            ("policy.d/10.toml", 2),
        ] {
            fs::write(
                etc.path().join(name),
                format!("[class.low]\npids = {pids}\n"),
            )
            .unwrap();
        }
        fs::write(etc.path().join("policy.d/30.txt"), "not read").unwrap();
        let policy = Policy::load(etc.path()).unwrap();
        let pids = policy.class(Priority::Low, Key::Pids).unwrap();
        assert_eq!(pids.value.number(), Some(3));
        assert!(
            pids.from
                .as_ref()
                .unwrap()
                .to_string()
                .ends_with("policy.d/20.toml:2")
        );
    }

    #[test]
    fn the_engine_is_known_as_far_as_the_files_can_be_read() {
        let etc = tempfile::tempdir().unwrap();
        let named = || Policy::engine_named(etc.path(), None);
        assert_eq!(named(), None);
        fs::create_dir(etc.path().join("policy.d")).unwrap();
        let write = |name: &str, text: &str| fs::write(etc.path().join(name), text).unwrap();
        write("policy.toml", "[engine]\npath = \"/bin/crun\"\n");
        write("policy.d/10.toml", "[engine\n");
        assert_eq!(named(), Some("/bin/crun".into()));
        assert!(Policy::load(etc.path()).is_err());
        // A key that is unknown makes a policy wrong, and its engine no less
        // readable.
        write(
            "policy.d/20.toml",
            "x = 1\n[engine]\npath = \"/bin/runc\"\n",
        );
        assert_eq!(named(), Some("/bin/runc".into()));
        let open = Permissions::from_mode(0o666);
        fs::set_permissions(etc.path().join("policy.d/20.toml"), open).unwrap();
        assert_eq!(named(), Some("/bin/crun".into()));
    }

    #[test]
    fn a_file_others_can_write_is_refused() {
        let etc = tempfile::tempdir().unwrap();
        let path = etc.path().join("policy.toml");
        fs::write(&path, "").unwrap();
        for mode in [0o666, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Policy::load(etc.path()).unwrap_err();
            assert!(matches!(error, LoadError::Writable { .. }), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Policy::load(etc.path()).is_ok());
    }

    #[test]
    fn no_folder_is_the_built_in_policy_and_a_strange_one_an_error() {
        assert!(Policy::load(Path::new("/nonexistent")).is_ok());
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("policy.toml")).unwrap();
        let error = Policy::load(etc.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("policy.toml: not a regular file"),
            "{error}"
        );
    }
}
