//! Bounded senders and receivers, and what came through.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::inside;

/// From where to where, and for how long.
pub struct Flow<'a> {
    pub from: &'a File,
    pub to: &'a File,
    /// The receiver's address, port included.
    pub address: &'a str,
    /// Not measured: the burst goes by, the sender finds its pace.
    pub warm_up: Duration,
    pub measured: Duration,
}

impl Flow<'_> {
    /// Bits per second of IP packets that a TCP stream got through.
    ///
    /// Segments are counted as they arrive, in order or not: behind one lost
    /// segment a stream can hold back a second's worth from its reader.
    pub fn tcp(&self) -> f64 {
        let address: SocketAddr = self.address.parse().unwrap();
        let listener = inside(self.to, || TcpListener::bind(address).unwrap());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = inside(self.from, || TcpStream::connect(address).unwrap());
                stream
                    .set_write_timeout(Some(Duration::from_millis(200)))
                    .unwrap();
                let block = [0; 16 * 1024];
                while !done.load(Ordering::Relaxed) {
                    let _ = stream.write(&block);
                }
            });
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(5)))
                .unwrap();
            let mut block = vec![0; 256 * 1024];
            let mut segments_after = |begin: Instant, least: Duration| {
                while begin.elapsed() < least {
                    let _ = stream.read(&mut block);
                }
                Looked::at(|| segments_in(&stream))
            };
            let start = segments_after(Instant::now(), self.warm_up);
            let end = segments_after(start.before, self.measured);
            done.store(true, Ordering::Relaxed);
            // Full segments, as a sender without end sends them.
            f64::from(end.saw.wrapping_sub(start.saw)) * 1500.0 * 8.0 / start.until(&end)
        })
    }

    /// The same for datagrams of 1400 bytes sent at this many bits per second.
    pub fn udp(&self, offered: u64) -> f64 {
        let address: SocketAddr = self.address.parse().unwrap();
        let receiver = inside(self.to, || UdpSocket::bind(address).unwrap());
        receiver.set_nonblocking(true).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let any = if address.is_ipv4() {
                    "0.0.0.0:0"
                } else {
                    "[::]:0"
                };
                let sender = inside(self.from, || UdpSocket::bind(any).unwrap());
                let start = Instant::now();
                let mut sent: u64 = 0;
                while !done.load(Ordering::Relaxed) {
                    let due = offered as f64 * start.elapsed().as_secs_f64();
                    while ((sent * 1428 * 8) as f64) < due {
                        let _ = sender.send_to(&[0; 1400], address);
                        sent += 1;
                    }
                    thread::sleep(Duration::from_micros(500));
                }
            });
            let mut block = [0; 2048];
            let mut receive = || receiver.recv(&mut block).ok();
            let payload = self.measure(&mut receive);
            done.store(true, Ordering::Relaxed);
            payload * 1428.0 / 1400.0
        })
    }

    /// Bits per second of payload after the warm-up. `receive` does not block.
    /// At both ends of the measured time nothing was waiting to be received: a
    /// receiver that got no processor for a while does not count what piled up.
    fn measure(&self, receive: &mut impl FnMut() -> Option<usize>) -> f64 {
        let mut bytes = 0;
        let mut until_empty_after = |begin: Instant, least: Duration| {
            loop {
                let looked = Looked::at(&mut *receive);
                match looked.saw {
                    Some(more) => bytes += more,
                    None if begin.elapsed() >= least => return looked.but(bytes),
                    None => thread::sleep(Duration::from_micros(300)),
                }
            }
        };
        let start = until_empty_after(Instant::now(), self.warm_up);
        let end = until_empty_after(start.before, self.measured);
        (end.saw - start.saw) as f64 * 8.0 / start.until(&end)
    }
}

/// What was seen, at some time between two.
struct Looked<T> {
    before: Instant,
    saw: T,
    after: Instant,
}

impl<T> Looked<T> {
    fn at(look: impl FnOnce() -> T) -> Looked<T> {
        let before = Instant::now();
        let saw = look();
        let after = Instant::now();
        Looked { before, saw, after }
    }

    fn but<U>(&self, saw: U) -> Looked<U> {
        let Looked { before, after, .. } = *self;
        Looked { before, saw, after }
    }

    /// Seconds that may lie between two looks, at most: whoever was held up
    /// between clock and counter measures too little, and never too much.
    fn until(&self, end: &Looked<T>) -> f64 {
        (end.after - self.before).as_secs_f64()
    }
}

/// `tcpi_segs_in`: segments that arrived, each of an unsplit bundle counted.
fn segments_in(stream: &TcpStream) -> u32 {
    let mut info = [0_u8; 256];
    let mut length: libc::socklen_t = 256;
    // SAFETY: the kernel writes at most `length` bytes into `info`.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert!(result == 0 && length >= 144, "TCP_INFO");
    // Its place in struct tcp_info (linux/tcp.h).
    u32::from_ne_bytes(info[140..144].try_into().unwrap())
}
