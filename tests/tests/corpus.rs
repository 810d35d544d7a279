//! What the fuzzers kept, read again: every input that once was found worth
//! keeping, or once made something fail, goes through the same checks.

use std::fs;
use std::path::Path;

#[allow(dead_code)]
#[path = "../../fuzz/checks.rs"]
mod checks;

#[test]
fn the_kept_inputs_hold() {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"));
    for (target, check) in checks::TARGETS {
        let inputs = fs::read_dir(corpus.join(target)).unwrap();
        let mut read = 0;
        for input in inputs {
            let path = input.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                panic!("{} does not hold", path.display());
            }
            read += 1;
        }
        assert!(read >= 2, "{target} has {read} inputs");
    }
}
