//! A config.json, planned and rewritten: the second time changes nothing.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use packrank_core::host::Roots;
use packrank_core::policy::Policy;
use packrank_shim::planning;

fuzz_target!(|document: &[u8]| {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = POLICY.get_or_init(|| Policy::built_in().expect("the built-in policy"));
    let plan = |document: &[u8]| {
        let roots = Roots::under(Path::new("../tests/hosts/v2"));
        planning::plan(document, Path::new("/nonexistent"), None, policy, roots)
    };
    if let Ok(Some(once)) = plan(document) {
        let twice = plan(once.document.as_bytes())
            .expect("a plan")
            .expect("a rank");
        assert_eq!(once.document, twice.document);
    }
});
