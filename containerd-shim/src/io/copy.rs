//! Bytes from one descriptor to another.
//!
//! In: two descriptors. Out: when the first has no more. Nothing is held
//! between two bursts: an idle container costs no buffer.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{Errno, read, write};
use tokio::io::unix::AsyncFd;

use crate::error::Error;

/// As much as a pipe takes at once.
const PIECE: usize = 32 << 10;

/// Where bytes go.
#[derive(Debug)]
pub enum Sink {
    /// A pipe, a fifo or a terminal.
    Polled(Arc<AsyncFd<OwnedFd>>),
    /// A file.
    File(File),
    /// Away.
    Nowhere,
}

impl Sink {
    /// A pipe, a fifo or a terminal.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn polled(fd: OwnedFd) -> Result<Sink, Error> {
        Ok(Sink::Polled(Arc::new(super::polled(fd)?)))
    }

    async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        let fd = match self {
            Sink::Polled(fd) => fd,
            Sink::File(file) => return (&mut &*file).write_all(bytes),
            Sink::Nowhere => return Ok(()),
        };
        while !bytes.is_empty() {
            let mut ready = fd.writable().await?;
            match write(fd.get_ref(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Copies until `from` has no more. `strict`: or until `to` takes no more;
/// else what it does not take is lost, since a process must not block because
/// its log cannot be written.
pub async fn pump(from: &AsyncFd<OwnedFd>, to: &Sink, strict: bool) {
    loop {
        let Ok(mut ready) = from.readable().await else {
            return;
        };
        let mut buffer = vec![0; PIECE];
        loop {
            match read(from.get_ref(), &mut buffer[..]) {
                Ok(0) => return,
                Ok(count) => {
                    if to.write_all(&buffer[..count]).await.is_err() && strict {
                        return;
                    }
                }
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    break;
                }
                Err(Errno::INTR) => {}
                // A terminal whose other side is closed says EIO.
                Err(_) => return,
            }
            // One loud container must not keep the others waiting.
            tokio::task::consume_budget().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{pipe, polled};
    use std::io::Read;

    #[tokio::test(flavor = "current_thread")]
    async fn everything_arrives_in_order_and_the_end_too() {
        let (reader, writer) = pipe().unwrap();
        let (out_reader, out_writer) = pipe().unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let bytes = sent.clone();
        let feed = std::thread::spawn(move || File::from(writer).write_all(&bytes).unwrap());
        let take = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            File::from(out_reader).read_to_end(&mut bytes).unwrap();
            bytes
        });
        let sink = Sink::polled(out_writer).unwrap();
        pump(&polled(reader).unwrap(), &sink, true).await;
        drop(sink);
        feed.join().unwrap();
        assert_eq!(take.join().unwrap(), sent);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_disk_does_not_stop_the_reader() {
        let (reader, writer) = pipe().unwrap();
        let feed = std::thread::spawn(move || File::from(writer).write_all(&[1; 300_000]).unwrap());
        let full = File::options().write(true).open("/dev/full").unwrap();
        pump(&polled(reader).unwrap(), &Sink::File(full), false).await;
        feed.join().unwrap();
    }
}
