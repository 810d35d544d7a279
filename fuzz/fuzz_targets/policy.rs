//! A policy file: a mistake names its line, and changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_core::policy::Policy;

fuzz_target!(|text: &str| {
    let mut policy = Policy::built_in().expect("the built-in policy");
    if let Err(error) = policy.merge("p.toml", text) {
        assert!(error.line >= 1 && error.column >= 1);
    }
});
