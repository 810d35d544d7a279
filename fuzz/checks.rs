//! What must hold for any input, one function for each fuzz target; `cargo
//! test` replays the kept corpus through the same functions.
//!
//! In: bytes from anywhere. Out: a panic where something does not hold.

use std::path::Path;
use std::sync::OnceLock;

use packrank_core::annotation::Request;
use packrank_core::host::Roots;
use packrank_core::key::Key;
use packrank_core::policy::Policy;
use packrank_core::value::Value;
use packrank_shim::planning;

/// A check: panics where something does not hold.
pub type Check = fn(&[u8]);

/// Every target and its function.
pub const TARGETS: [(&str, Check); 4] = [
    ("annotations", |bytes| text(bytes, annotations)),
    ("quantities", |bytes| text(bytes, quantities)),
    ("policy", |bytes| text(bytes, policy)),
    ("spec", spec),
];

fn text(bytes: &[u8], check: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
}

/// Annotations, as lines of key=value: a mistake is one line.
pub fn annotations(text: &str) {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    if let Err(error) = Request::parse(pairs, Some("web")) {
        assert!(!error.to_string().contains('\n'));
    }
}

/// One text as the value of every key: what is accepted reads back as itself.
pub fn quantities(text: &str) {
    for key in Key::all() {
        if let Ok(value) = Value::parse(key, text) {
            assert!(!value.exceeds(&value, key));
            let _ = (value.show(key), value.json(key));
        }
    }
}

/// A policy file: a mistake names its line.
pub fn policy(text: &str) {
    let mut policy = Policy::built_in().expect("the built-in policy");
    if let Err(error) = policy.merge("p.toml", text) {
        assert!(error.line >= 1 && error.column >= 1);
    }
}

/// A config.json, planned and rewritten: the second time changes nothing.
pub fn spec(document: &[u8]) {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = POLICY.get_or_init(|| Policy::built_in().expect("the built-in policy"));
    let hosts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/hosts"));
    for host in ["v2", "hybrid"] {
        let plan = |document: &[u8]| {
            let roots = Roots::under(&hosts.join(host));
            planning::plan(document, Path::new("/nonexistent"), None, policy, roots)
        };
        if let Ok(Some(once)) = plan(document) {
            let twice = plan(once.document.as_bytes())
                .expect("a plan")
                .expect("a rank");
            assert_eq!(once.document, twice.document);
        }
    }
}
