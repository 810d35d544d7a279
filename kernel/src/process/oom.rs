//! In: a process and an oom_score_adj. Out: it has that, or the least the
//! caller may give it.

use std::io::{self, Write};

use nix::fcntl::OFlag;

use super::{Change, Error, Process};

const FILE: &str = "oom_score_adj";

impl Process {
    /// Sets oom_score_adj, -1000 to 1000.
    ///
    /// Below what the process was given by somebody with CAP_SYS_RESOURCE the
    /// kernel takes nothing from who has it not. Then the caller's own score
    /// is tried, the least that is sure to be there, and the change says so.
    ///
    /// # Errors
    /// When even that is denied, or the process is gone.
    pub fn oom_score_adj(&self, wanted: i16) -> Result<Option<Change<i16>>, Error> {
        let old = self.score()?;
        if old == wanted {
            return Ok(None);
        }
        let denied = match self.write_score(wanted) {
            Ok(()) => return Ok(Some(Change { old, new: wanted })),
            Err(source) => source,
        };
        if denied.raw_os_error() == Some(libc::EACCES) {
            let own = Process::open(std::process::id(), None)?.score()?;
            if wanted < own && own < old && self.write_score(own).is_ok() {
                return Ok(Some(Change { old, new: own }));
            }
        }
        Err(self.refused(FILE, wanted.to_string(), denied))
    }

    fn score(&self) -> Result<i16, Error> {
        let text = self.read(FILE)?;
        let number = text.trim().parse();
        number.map_err(|_| self.unreadable(FILE, io::ErrorKind::InvalidData.into()))
    }

    fn write_score(&self, score: i16) -> io::Result<()> {
        let mut file = self.file(FILE, OFlag::O_WRONLY)?;
        file.write_all(score.to_string().as_bytes())
    }
}
