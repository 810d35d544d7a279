//! Networks that come while a container runs.
//!
//! In: the kernel's announcements of interfaces, and the records. Out: every
//! container that was connected to one more network shaped there as well.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use packrank_core::record::{Mode, Packs, Record};
use packrank_kernel::net::{self, Heard, News, apply_record};
use packrank_kernel::process::Process;

/// Between the first announcement and a look: an engine gives an interface
/// its name, address and route after it made it, and a container that is just
/// being started is shaped by its hook meanwhile.
const SETTLE: Duration = Duration::from_millis(300);

/// What is announced, and when it is looked at.
pub(crate) struct Links {
    news: News,
    heard: Heard,
    due: Option<Instant>,
}

impl Links {
    /// Listens in this process's own network namespace.
    pub fn listen() -> Result<Links, net::Error> {
        Ok(Links {
            news: News::listen()?,
            heard: Heard::default(),
            due: None,
        })
    }

    /// There is something to hear.
    pub fn hear(&mut self) {
        self.news.hear(&mut self.heard);
        if !self.heard.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + SETTLE);
        }
    }

    /// How long until something is to be done.
    pub fn pause(&self) -> Option<Duration> {
        let due = self.due?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Shapes what came; whose network was changed or could not be, in words.
    pub fn shape(&mut self, packs: &Packs) -> Vec<(String, String)> {
        if self.pause() != Some(Duration::ZERO) {
            return Vec::new();
        }
        self.due = None;
        let heard = std::mem::take(&mut self.heard);
        let all = packs.all().unwrap_or_default();
        let mut records: Vec<Record> = all.into_iter().filter_map(|(_, r)| r.ok()).collect();
        // The network's own first, then the highest class: containers share it.
        records.sort_by_key(|record| {
            let shared = net::owner(record) != Some(&*record.id);
            (shared, std::cmp::Reverse(record.priority))
        });
        let mut seen: Vec<String> = Vec::new();
        let mut said = Vec::new();
        for record in records {
            let Some(owner) = net::owner(&record).filter(|_| record.mode == Mode::Enforce) else {
                continue;
            };
            let Some(netns) = self.announced(&record, &heard) else {
                continue;
            };
            if seen.iter().any(|id| id == owner) {
                continue;
            }
            seen.push(owner.to_owned());
            let deeds = packs.deeds(&record);
            match apply_record(&record, &deeds, owner, netns.as_fd(), None) {
                Ok(applied) if applied.changed => {
                    let names = applied.interfaces.iter().map(|i| i.name.as_str());
                    let names = names.collect::<Vec<_>>().join(", ");
                    said.push((record.id, format!("another network: {names} shaped")));
                }
                Ok(_) => {}
                Err(error) => said.push((record.id, format!("another network: {error}"))),
            }
        }
        said
    }

    /// The container's network, if it is one of those spoken of.
    fn announced(&self, record: &Record, heard: &Heard) -> Option<File> {
        let netns = File::open(format!("/proc/{}/ns/net", record.pid)).ok()?;
        // Looked at afterwards: then what was opened was this process's.
        Process::open(record.pid, Some(record.started)).ok()?;
        let number = self.news.number(netns.as_fd()).ok()?;
        heard.of(number).then_some(netns)
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}
