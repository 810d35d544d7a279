//! What kernels print: PSI, memory.stat and cpu.stat (flat keyed), io.stat,
//! version 1's blkio, meminfo, /proc/stat, /proc/PID/net/dev. None may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_kernel::cgroup::{flat, io_totals, meminfo, number, v1_totals};
use packrank_kernel::pressure::Pressure;
use packrank_kernel::process::usage::interfaces;
use packrank_watcher::observe::busy_ticks;

fuzz_target!(|text: &[u8]| {
    let _ = (Pressure::parse(text), number(text), meminfo(text));
    for key in [&b"usage_usec"[..], b"inactive_file", b"populated", b"max", b""] {
        let _ = flat(text, key);
    }
    let _ = (io_totals(text), v1_totals(text), busy_ticks(text), interfaces(text));
});
