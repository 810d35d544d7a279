//! What a request of the service asks for besides memory and time.
//!
//! In: a word: `-` for nothing, a file's path, `direct:PATH` for the same past
//! the page cache, `tcp:ADDRESS` for an echo over the network. Out: each call
//! has [`SIZE`] bytes more in the buffer: a block of the file at random, or
//! what was sent and came back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::{PAGE, Random};

const SIZE: usize = 16 << 10;

/// Over the network: 40 of them a second are 1.3 Mbit/s each way.
const SENT: usize = 4 << 10;

/// What Linux calls it on x86-64 and on all that have no number of their own.
const O_DIRECT: i32 = 0x4000;

pub enum Ask {
    Nothing,
    File(File, u64),
    Echo(TcpStream),
}

impl Ask {
    pub fn new(word: &str) -> Ask {
        let blocks = |file: File| {
            let blocks = file.metadata().unwrap().len() / SIZE as u64;
            Ask::File(file, blocks)
        };
        let direct = |path| {
            OpenOptions::new()
                .read(true)
                .custom_flags(O_DIRECT)
                .open(path)
        };
        match word.split_once(':') {
            _ if word == "-" => Ask::Nothing,
            Some(("direct", path)) => blocks(direct(path).unwrap()),
            Some(("tcp", address)) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                Ask::Echo(stream)
            }
            _ => blocks(File::open(word).unwrap()),
        }
    }

    pub fn once(&mut self, buffer: &mut [u8], random: &mut Random) {
        match self {
            Ask::Nothing => {}
            Ask::File(file, blocks) => {
                let at = random.below(*blocks) * SIZE as u64;
                file.read_exact_at(buffer, at).unwrap();
            }
            Ask::Echo(stream) => {
                stream.write_all(&buffer[..SENT]).unwrap();
                stream.read_exact(&mut buffer[..SENT]).unwrap();
            }
        }
    }
}

/// A buffer where the kernel reads past its cache: at a page's begin.
pub fn buffer(room: &mut Vec<u8>) -> &mut [u8] {
    room.resize(SIZE + PAGE, 0);
    let begin = room.as_ptr().align_offset(PAGE);
    &mut room[begin..begin + SIZE]
}
