//! Annotations: lines of key=value. None may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_core::annotation::Request;

fuzz_target!(|text: &str| {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    if let Err(error) = Request::parse(pairs, Some("web")) {
        assert!(!error.to_string().contains('\n'));
    }
});
