//! Lines of the watcher's socket: read, or one sentence. None may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_watcher::protocol::{Request, amount, parse};

fuzz_target!(|line: &[u8]| match parse(line) {
    Ok(Request::Set { key, value: Some(value), .. }) => drop(amount(&key, &value)),
    Ok(_) => {}
    Err(why) => assert!(!why.is_empty()),
});
