//! One text as the value of every key: what is accepted reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_core::key::Key;
use packrank_core::value::Value;

fuzz_target!(|text: &str| {
    for key in Key::all() {
        if let Ok(value) = Value::parse(key, text) {
            assert!(!value.exceeds(&value, key));
            let _ = (value.show(key), value.json(key));
        }
    }
});
