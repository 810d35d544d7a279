//! `GET /metrics` over HTTP/1.1.
//!
//! In: listening sockets, and whoever connects. Out: the text of the last
//! look: OpenMetrics for who accepts that, as Prometheus does, else the older
//! format, as every exporter gives it. One thread looks, every few seconds while somebody asks; scrapes are
//! answered from what it saw, by a thread each, of which there are few. A
//! client that is slow, floods or says nonsense costs one of these for
//! two seconds.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::metrics::{CONTENT_TYPE, encode};
use crate::sampler::Sampler;
use crate::tally::Tally;
use crate::textfile::older;

/// Between two looks: as often as the watcher's own.
const EVERY: Duration = Duration::from_secs(5);

/// A look may cost at most one part in so many of a core's time: with a
/// thousand packs the looks become rarer instead.
const RARELY: u32 = 400;

/// Looks are never further apart than Prometheus' usual interval.
const LONGEST: Duration = Duration::from_secs(15);

/// What a client has for its request, and again for taking the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clients of one listener at once; more are closed at once. Each has its own:
/// who may use the loopback keeps nobody from root's socket.
const CLIENTS: usize = 8;

/// The longest request.
const REQUEST: usize = 8 << 10;

/// Where it listens.
#[derive(Debug)]
pub enum Listener {
    /// A socket of root's.
    Unix(UnixListener),
    /// The loopback, for everybody on this host.
    Tcp(TcpListener),
}

/// Whoever connected.
trait Client: Read + Write + Send {
    fn limit(&self, patience: Duration) -> io::Result<()>;
}

impl Client for UnixStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

impl Client for TcpStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

impl Listener {
    /// The loopback at `address`.
    ///
    /// # Errors
    /// When it is not the loopback's, or the system refuses.
    pub fn tcp(address: SocketAddr) -> io::Result<Listener> {
        if !address.ip().is_loopback() {
            let why = format!(
                "{address} is not on the loopback: figures of packs are not for the network"
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        TcpListener::bind(address).map(Listener::Tcp)
    }

    fn accept(&self) -> io::Result<Box<dyn Client>> {
        match self {
            Listener::Unix(listener) => Ok(Box::new(listener.accept()?.0)),
            Listener::Tcp(listener) => Ok(Box::new(listener.accept()?.0)),
        }
    }
}

/// What a look gave: the older format is made when it is first asked for.
#[derive(Debug, Default)]
struct Page {
    text: String,
    older: OnceLock<String>,
}

impl Page {
    fn of(text: String) -> Arc<Page> {
        Arc::new(Page {
            text,
            older: OnceLock::new(),
        })
    }

    fn older(&self) -> &str {
        self.older.get_or_init(|| older(&self.text))
    }
}

/// What the older format is called.
const OLDER: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What all threads share.
#[derive(Debug)]
struct Shared {
    page: Mutex<Arc<Page>>,
    asked: Mutex<Instant>,
}

/// Serves until nobody has asked for `idle`; without one, for ever.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(
    mut sampler: Sampler,
    listeners: Vec<Listener>,
    idle: Option<Duration>,
) -> io::Result<()> {
    let mut tally = Tally::default();
    let (text, mut took) = look(&mut sampler, &mut tally);
    let shared = Arc::new(Shared {
        page: Mutex::new(Page::of(text)),
        asked: Mutex::new(Instant::now()),
    });
    for listener in listeners {
        let shared = shared.clone();
        thread::Builder::new().spawn(move || accept(&listener, &shared))?;
    }
    loop {
        thread::sleep(pause(took));
        let asked = *shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.is_some_and(|idle| asked.elapsed() >= idle) {
            return Ok(());
        }
        let (text, spent) = look(&mut sampler, &mut tally);
        took = spent;
        *shared.page.lock().unwrap_or_else(PoisonError::into_inner) = Page::of(text);
    }
}

/// How long to rest after a look that took so long.
fn pause(took: Duration) -> Duration {
    (took * RARELY).clamp(EVERY, LONGEST)
}

fn look(sampler: &mut Sampler, tally: &mut Tally) -> (String, Duration) {
    let begin = Instant::now();
    let snapshot = Arc::new(sampler.look());
    // Without a watcher there is nothing to count.
    let _ = tally.follow(&sampler.roots().socket(), &snapshot, begin);
    let text = encode(&snapshot, tally).unwrap_or_default();
    (text, begin.elapsed())
}

fn accept(listener: &Listener, shared: &Arc<Shared>) {
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(client) = listener.accept() else {
            // Out of descriptors: others have to go first.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS {
            clients.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (own, counted) = (shared.clone(), clients.clone());
        let started = thread::Builder::new().spawn(move || {
            // Who goes away in the middle wanted no answer.
            let _ = answer(client, &own);
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn answer(mut client: Box<dyn Client>, shared: &Shared) -> io::Result<()> {
    client.limit(PATIENCE)?;
    let until = Instant::now() + PATIENCE;
    let asked = request(&mut client, until)?;
    let page = match asked {
        Asked::Metrics | Asked::Older => {
            *shared.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let page = shared.page.lock();
            page.unwrap_or_else(PoisonError::into_inner).clone()
        }
        _ => Arc::default(),
    };
    let (status, kind, body) = match asked {
        Asked::Metrics => ("200 OK", CONTENT_TYPE, page.text.as_str()),
        Asked::Older => ("200 OK", OLDER, page.older()),
        Asked::Other => ("404 Not Found", PLAIN, "packrank: GET /metrics\n"),
        Asked::Change => ("405 Method Not Allowed", PLAIN, "packrank: only GET\n"),
        Asked::Nonsense => ("400 Bad Request", PLAIN, "packrank: not HTTP\n"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())?;
    client.flush()
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Metrics,
    Older,
    Other,
    Change,
    Nonsense,
}

fn request(client: &mut Box<dyn Client>, until: Instant) -> io::Result<Asked> {
    let mut read = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = client.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..count]);
        if let Some(asked) = understand(&read) {
            return Ok(asked);
        }
        if count == 0 || read.len() > REQUEST || Instant::now() >= until {
            return Ok(Asked::Nonsense);
        }
    }
}

/// `None` while the request is not all there.
fn understand(read: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(read) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let path = request.path.unwrap_or("");
            let path = path.split('?').next().unwrap_or("");
            Some(match (request.method, path) {
                (Some("GET"), "/metrics") if accepts(request.headers) => Asked::Metrics,
                (Some("GET"), "/metrics") => Asked::Older,
                (Some("GET"), _) => Asked::Other,
                _ => Asked::Change,
            })
        }
        Err(_) => Some(Asked::Nonsense),
    }
}

/// Whether it knows OpenMetrics.
fn accepts(headers: &[httparse::Header<'_>]) -> bool {
    let mut accept = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("accept"));
    accept.any(|header| {
        let text = String::from_utf8_lossy(header.value).to_ascii_lowercase();
        text.contains("application/openmetrics-text")
    })
}

#[cfg(test)]
mod tests;
