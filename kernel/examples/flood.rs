//! Floods an address with connections that it keeps open, from inside a container of the guest.
//!
//!   flood serve ADDRESS            takes every TCP connection, answers every datagram, until killed
//!   flood tcp|udp ADDRESS COUNT    opens COUNT connections, one after the other
//!
//! The last prints `held H, refused R, silent S`: answered, refused at once, not answered within
//! twenty seconds, which only a dropped packet takes. Only what was held stays open meanwhile.

use std::io::{Error, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

/// A datagram that its sender's own network turns down is not permitted.
const REFUSED: [ErrorKind; 2] = [ErrorKind::ConnectionRefused, ErrorKind::PermissionDenied];
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match *words {
        ["serve", address] => parse(address).and_then(serve),
        ["tcp", address, count] => parse(address).and_then(|a| flood(count, || tcp(a))),
        ["udp", address, count] => parse(address).and_then(|a| flood(count, || udp(a))),
        _ => Err(Error::other(
            "usage: flood serve ADDRESS | flood tcp|udp ADDRESS COUNT",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(address: &str) -> Result<SocketAddr, Error> {
    address.parse().map_err(Error::other)
}

fn serve(address: SocketAddr) -> Result<(), Error> {
    let datagrams = UdpSocket::bind(address)?;
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((length, from)) = datagrams.recv_from(&mut datagram) {
            // Who does not get it counts it as silent.
            let _ = datagrams.send_to(&datagram[..length], from);
        }
    });
    for stream in TcpListener::bind(address)?.incoming() {
        let mut stream = stream?;
        // Open for as long as the other end is.
        let held = move || while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {};
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(held)?;
    }
    Ok(())
}

fn flood<T>(count: &str, open: impl Fn() -> Result<T, Error>) -> Result<(), Error> {
    let count: usize = count.parse().map_err(Error::other)?;
    let (mut held, mut refused, mut silent) = (Vec::new(), 0, 0);
    for _ in 0..count {
        match open() {
            Ok(connection) => held.push(connection),
            Err(error) if REFUSED.contains(&error.kind()) => refused += 1,
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                silent += 1;
            }
            Err(error) => return Err(error),
        }
    }
    println!("held {}, refused {refused}, silent {silent}", held.len());
    Ok(())
}

fn tcp(address: SocketAddr) -> Result<TcpStream, Error> {
    TcpStream::connect_timeout(&address, PATIENCE)
}

fn udp(address: SocketAddr) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"?")?;
    socket.recv(&mut [0; 64])?;
    Ok(socket)
}
