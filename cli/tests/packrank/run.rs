//! Runs the binary.
//!
//! In: arguments, and what goes to stdin. Out: what a person or a program
//! would see.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What came out.
#[derive(Debug)]
pub struct Seen {
    pub out: String,
    pub err: String,
    pub status: i32,
}

/// `packrank ARGUMENTS`, with nothing on stdin.
pub fn packrank(args: &[&str]) -> Seen {
    packrank_with(args, b"", &[])
}

/// `packrank ARGUMENTS`, with stdin and environment.
pub fn packrank_with(args: &[&str], stdin: &[u8], environment: &[(&str, &str)]) -> Seen {
    let mut child = Command::new(env!("CARGO_BIN_EXE_packrank"))
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse before it has read all of it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    Seen {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap(),
    }
}

impl Seen {
    /// stdout of a success.
    pub fn ok(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The one sentence of a refusal, without the program's name.
    pub fn refused(self) -> String {
        assert_eq!((self.status, self.out.as_str()), (1, ""), "{}", self.err);
        let sentence = self.err.strip_prefix("packrank: ").unwrap();
        let sentence = sentence.strip_suffix('\n').unwrap();
        assert!(!sentence.contains('\n'), "{sentence}");
        sentence.to_owned()
    }
}

/// A host under `tests/hosts`.
pub fn host(name: &str) -> String {
    text(&root().join("../tests/hosts").join(name))
}

/// A config.json under `cli/tests/bundles`.
pub fn config(name: &str) -> String {
    text(&root().join("tests/bundles").join(name).join("config.json"))
}

/// The crate's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A folder of the test's own that nobody else can write to.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let private = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), private).unwrap();
    folder
}

/// A file in it that nobody else can write to, whatever the umask.
pub fn file(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    text(&path)
}
