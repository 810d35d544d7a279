//! Another program, asked a question.
//!
//! In: a command line. Out: whether it succeeded and what it said, within a
//! time: a program that has not answered by then is ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the program said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Whether its exit status was 0.
    pub ok: bool,
    /// Its stdout; what is no text is replaced.
    pub said: String,
    /// Its stderr, likewise.
    pub complained: String,
}

impl Answer {
    /// The last line it complained with, or else said.
    pub(crate) fn last_line(&self) -> &str {
        let last = |text: &'_ str| text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        match self.complained.trim() {
            "" => self.said[last(&self.said)..].trim(),
            _ => self.complained[last(&self.complained)..].trim(),
        }
    }
}

/// The first word of a line that is a version's number.
pub(crate) fn number(line: &str) -> Option<&str> {
    let number = |word: &&str| {
        word.trim_start_matches('v')
            .starts_with(|c: char| c.is_ascii_digit())
    };
    let word = line.split_whitespace().find(number)?;
    Some(word.trim_end_matches(','))
}

/// Whether a version's number is below another, by its first two parts; one
/// that cannot be read is not.
pub(crate) fn is_below(version: &str, than: (u32, u32)) -> bool {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut part = || parts.next()?.parse().ok();
    matches!((part(), part()), (Some(major), Some(minor)) if (major, minor) < than)
}

/// Runs it and waits for its answer, `patience` at most.
///
/// # Errors
/// When it cannot be started, or is not done in time.
pub(crate) fn ask(command: &mut Command, patience: Duration) -> io::Result<Answer> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .spawn()?;
    let status = match ended(&mut child, patience)? {
        Some(status) => status,
        None => {
            // It may have ended in the meantime; either way it is waited for.
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::ErrorKind::TimedOut.into());
        }
    };
    Ok(Answer {
        ok: status.success(),
        said: whole(&mut out)?,
        complained: whole(&mut err)?,
    })
}

fn ended(child: &mut Child, patience: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if start.elapsed() >= patience => return Ok(None),
            None => sleep(Duration::from_millis(5)),
        }
    }
}

fn whole(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (said, below) in [
            ("podman version 4.3.1", true),
            ("podman version 4.10.0", false),
            ("Docker version 28.1.0-rc1, build x", false),
            ("containerd github.com/x v1.6.20~ds1", true),
            ("of its own", false),
        ] {
            let version = number(said).unwrap_or_default();
            assert_eq!(is_below(version, (4, 6)), below, "{said}: {version}");
        }
    }

    #[test]
    fn an_answer_or_an_end() {
        let mut asked = Command::new("sh");
        asked.args(["-c", "echo yes; echo one >&2; echo two >&2; exit 3"]);
        let answer = ask(&mut asked, Duration::from_secs(60)).unwrap();
        assert!(!answer.ok);
        assert_eq!(answer.said, "yes\n");
        assert_eq!(answer.last_line(), "two");
        let mut silent = Command::new("sleep");
        let error = ask(silent.arg("1000"), Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
