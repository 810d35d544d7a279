//! Taking cache back from a cgroup, gently.
//!
//! In: how many bytes, below what not to go, and how long it may take. Out: how
//! many came. In pieces, since a large request holds the lists' lock and the
//! caller for long.

use std::time::{Duration, Instant};

use super::folder::is_gone;
use super::{Cgroup, CgroupError, Figure, Line};

/// Bytes asked for at once: a few milliseconds of work.
const PIECE: u64 = 4 << 20;

impl Cgroup {
    /// Takes up to `bytes` back, leaving at least `keep`. On version 2 by
    /// `memory.reclaim`; on version 1 by `memory.force_empty`, which takes all
    /// cache at once, and so only where nothing is to be kept. After `time` no
    /// further piece is asked for.
    ///
    /// # Errors
    /// When this kernel cannot, or the cgroup is gone. That less came than was
    /// asked for is no error.
    pub fn reclaim(&self, bytes: u64, keep: u64, time: Duration) -> Result<u64, CgroupError> {
        let reader = self.reader(Figure::Memory);
        let charged = || -> Option<u64> {
            let mut buffer = [0; 32];
            reader.as_ref()?.read(&mut buffer).ok()?
        };
        let before = charged().ok_or(CgroupError::NotOffered {
            what: "memory figures",
        })?;
        if let Some(folder) = self.v1("memory") {
            if keep > 0 || !folder.has("memory.force_empty") {
                return Err(CgroupError::NotOffered { what: "reclaim" });
            }
            // EBUSY says that something is left, as it is in a living pack.
            let emptied = folder.write("memory.force_empty", "0");
            let freed = before.saturating_sub(charged().unwrap_or(before));
            return match emptied {
                Err(error) if error.is_gone() => Err(error),
                Err(error) if freed == 0 => Err(error),
                _ => Ok(freed),
            };
        }
        let folder = self.unified().filter(|folder| folder.has("memory.reclaim"));
        let folder = folder.ok_or(CgroupError::NotOffered { what: "reclaim" })?;
        let goal = before.saturating_sub(bytes).max(keep);
        let mut now = before;
        let begin = Instant::now();
        while now > goal && begin.elapsed() < time {
            let piece = (now - goal).min(PIECE);
            // EAGAIN: fewer bytes came than were asked for.
            let piece = Line::of(format_args!("{piece}"));
            match folder.put("memory.reclaim", piece.as_str()) {
                Err(error) if is_gone(&error) => {
                    let path = folder.path();
                    return Err(CgroupError::Gone { path });
                }
                Err(_) => break,
                Ok(()) => {}
            }
            let next = charged().unwrap_or(now);
            if next >= now {
                break;
            }
            now = next;
        }
        Ok(before.saturating_sub(charged().unwrap_or(now)))
    }
}
