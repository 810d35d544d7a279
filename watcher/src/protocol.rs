//! What is said over the socket: one line of JSON, one line back.
//!
//! In: `{"verb":"status"}`, `{"verb":"node"}`, `{"verb":"events","after":17}`,
//! `{"verb":"set","id":"web","key":"cpu.quota","value":150}` (no value: the
//! pin goes), `{"verb":"pause","on":true}`. Out: a [`Request`], or what is
//! wrong with the line. Answers are objects; a refusal has `error`. README.md
//! of this crate lists their members: programs rely on them.

use packrank_core::key::Key;
use packrank_core::record::{Amount, Figures};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// The longest line.
pub const LONGEST: usize = 4096;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything the watcher knows now.
    Status {},
    /// The same, without the packs.
    Node {},
    /// What it did.
    Events {
        /// Only events with a larger number.
        #[serde(default)]
        after: u64,
    },
    /// Pin a value, or release it.
    Set {
        /// The container.
        id: String,
        /// The setting.
        key: String,
        /// In base units; `null` is unlimited.
        #[serde(default, deserialize_with = "given")]
        value: Option<Json>,
    },
    /// Stop acting, or go on.
    Pause {
        /// Whether to stop.
        on: bool,
    },
}

/// A member that is there, be it `null`.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(value).map(Some)
}

/// Reads a line.
///
/// # Errors
/// With what is wrong, for the answer.
pub fn parse(line: &[u8]) -> Result<Request, String> {
    if line.len() > LONGEST {
        return Err(format!("a line has at most {LONGEST} bytes"));
    }
    serde_json::from_slice(line).map_err(|e| e.to_string())
}

/// A refusal.
#[must_use]
pub fn refusal(why: &str) -> Json {
    json!({ "error": why })
}

/// The key and amount of a `set`.
///
/// # Errors
/// When there is no such key, or the value is no number of it.
pub fn amount(key: &str, value: &Json) -> Result<(Key, Amount), String> {
    let known = Key::named(key).ok_or_else(|| format!("{key}: no such setting"))?;
    let mut object = serde_json::Map::new();
    object.insert(key.to_owned(), value.clone());
    let figures: Figures = serde_json::from_value(Json::Object(object)).unwrap_or_default();
    let amount = figures
        .amount(known)
        .ok_or_else(|| format!("{key}: {value} is no amount"))?;
    Ok((known, amount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_read_or_say_what_is_wrong() {
        assert_eq!(parse(b"{\"verb\":\"status\"}"), Ok(Request::Status {}));
        assert_eq!(parse(b"{\"verb\":\"node\"}"), Ok(Request::Node {}));
        assert_eq!(
            parse(b"{\"verb\":\"events\"}"),
            Ok(Request::Events { after: 0 })
        );
        let set = |value| Request::Set {
            id: "a".into(),
            key: "pids".into(),
            value,
        };
        let line = b"{\"verb\":\"set\",\"id\":\"a\",\"key\":\"pids\",\"value\":null}";
        assert_eq!(parse(line), Ok(set(Some(Json::Null))));
        assert_eq!(
            parse(b"{\"verb\":\"set\",\"id\":\"a\",\"key\":\"pids\"}"),
            Ok(set(None))
        );
        for (line, says) in [
            (&b"{\"verb\":\"dance\"}"[..], "unknown variant"),
            (b"{\"verb\":\"pause\",\"on\":true,\"x\":1}", "unknown field"),
            (b"{}", "verb"),
            (b"", "EOF"),
            (&[b' '; 5000], "4096"),
        ] {
            assert!(parse(line).unwrap_err().contains(says), "{:?}", parse(line));
        }
        assert_eq!(
            amount("cpu.quota", &json!(12.5)),
            Ok((Key::CpuQuota, Amount::At(12_500)))
        );
        assert!(amount("cpu.quota", &json!("x")).is_err() && amount("x", &json!(1)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
