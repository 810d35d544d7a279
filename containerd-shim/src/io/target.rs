//! Where output goes, by its name in a request.
//!
//! In: a path or a URI. Out: a [`Target`], and what it opens to.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use rustix::fs::{Mode, OFlags, open};

use super::copy::Sink;
use crate::error::Error;

/// Where output goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    None,
    /// A fifo, or a file that is there.
    Path(PathBuf),
    /// `file://`: a log, made where it is not there.
    Log(PathBuf),
    /// `binary://`: a program that reads it.
    Program(Program),
}

/// A logging program.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// The query's names and values, each an argument; empty values are none.
    pub arguments: Vec<String>,
}

impl Target {
    /// Reads a name.
    ///
    /// # Errors
    /// When its scheme is unknown or its path relative.
    pub fn of(name: &str) -> Result<Target, Error> {
        let wrong = |problem: &str| Error::Request {
            member: "stdio",
            value: name.to_owned(),
            problem: problem.to_owned(),
        };
        if name.is_empty() {
            return Ok(Target::None);
        }
        let Some((scheme, rest)) = name.split_once("://") else {
            return Ok(Target::Path(name.into()));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_decode_str(path).decode_utf8();
        let path = PathBuf::from(&*path.map_err(|_| wrong("its path is no text"))?);
        if !path.is_absolute() {
            return Err(wrong("an absolute path was expected behind the scheme"));
        }
        match scheme {
            "fifo" => Ok(Target::Path(path)),
            "file" => Ok(Target::Log(path)),
            "binary" => {
                let pairs = form_urlencoded::parse(query.as_bytes());
                let words = pairs.flat_map(|(name, value)| [name, value]);
                let arguments = words.filter(|word| !word.is_empty()).map(Into::into);
                Ok(Target::Program(Program {
                    path,
                    arguments: arguments.collect(),
                }))
            }
            _ => Err(wrong("its scheme is not fifo, file or binary")),
        }
    }

    /// Opens it; `None` for nowhere, and for a program, which is started.
    ///
    /// # Errors
    /// When it is not there or cannot be made.
    pub fn open(&self) -> Result<Option<Sink>, Error> {
        let sink = match self {
            Target::None | Target::Program(_) => return Ok(None),
            Target::Path(path) if is_fifo(path)? => {
                // Both ways: a fifo without a reader neither blocks us now nor
                // ends the container later.
                Sink::polled(fifo(path, OFlags::RDWR)?)?
            }
            Target::Path(path) => Sink::File(append(path, OpenOptions::new())?),
            Target::Log(path) => {
                if let Some(folder) = path.parent() {
                    let made = std::fs::create_dir_all(folder);
                    made.map_err(Error::path("make", folder))?;
                }
                let mut options = OpenOptions::new();
                // Logs are read by others than root, as with the stock shim.
                options.create(true).mode(0o644);
                Sink::File(append(path, options)?)
            }
        };
        Ok(Some(sink))
    }
}

fn is_fifo(path: &Path) -> Result<bool, Error> {
    let meta = std::fs::metadata(path).map_err(Error::path("open", path))?;
    Ok(meta.file_type().is_fifo())
}

fn append(path: &Path, mut options: OpenOptions) -> Result<File, Error> {
    let file = options.append(true).open(path);
    file.map_err(Error::path("open", path))
}

fn fifo(path: &Path, access: OFlags) -> Result<OwnedFd, Error> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(Error::path("open", path))
}

/// The fifo that input comes from, and a writer that keeps it from ending.
///
/// # Errors
/// When it is no fifo or not there.
pub fn input(name: &str) -> Result<(OwnedFd, OwnedFd), Error> {
    let path = Path::new(name);
    if !is_fifo(path)? {
        return Err(Error::Request {
            member: "stdin",
            value: name.to_owned(),
            problem: "is no fifo".to_owned(),
        });
    }
    let reader = fifo(path, OFlags::RDONLY)?;
    Ok((reader, fifo(path, OFlags::WRONLY)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Target::of("").unwrap(), Target::None);
        assert_eq!(Target::of("/run/x").unwrap(), Target::Path("/run/x".into()));
        let log = Target::of("file:///var/log/a%20b.log").unwrap();
        assert_eq!(log, Target::Log("/var/log/a b.log".into()));
        let program = Target::of("binary:///bin/log?--tag=a%2Fb&quiet").unwrap();
        let want = Program {
            path: "/bin/log".into(),
            arguments: ["--tag", "a/b", "quiet"].map(str::to_owned).to_vec(),
        };
        assert_eq!(program, Target::Program(want));
        for (name, problem) in [("http:///x", "scheme"), ("file://x", "absolute")] {
            let error = Target::of(name).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
