//! In: the global options. Out: [`Context`], what every verb works with.

use crate::store::Store;
use crate::trace::Trail;

pub struct Context {
    pub store: Store,
    /// Whether systemd makes the cgroups.
    pub systemd: bool,
    pub trail: Trail,
}

impl Context {
    /// A library's sentence with what its processes said about the cause.
    pub fn explain(&mut self, sentence: &str) -> String {
        let mut sentence = sentence.trim();
        // Wrappings that say nothing: the sentence inside is what happened.
        for wrapping in [
            "exec process failed with error error in executing process :",
            "exec process failed with error",
            "intermediate process error",
        ] {
            sentence = sentence.strip_prefix(wrapping).map_or(sentence, str::trim);
        }
        if sentence.starts_with("received unexpected message") {
            // Such as: ... received: ExecFailed("failed to prepare rootfs"), expected: ...
            sentence = sentence.split('"').nth(1).unwrap_or(sentence);
        }
        match self.trail.first_error() {
            Some(first) if !sentence.contains(&first) && !first.contains(sentence) => {
                format!("{sentence}: {first}")
            }
            Some(first) if first.contains(sentence) => first,
            _ => sentence.to_owned(),
        }
    }
}
