//! A JSON file that people wrote, edited as they would.
//!
//! In: its text. Out: the same text with members put in behind the last, in
//! the file's own indentation; everything else byte for byte.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The first member, by its path, that stands twice in its object; every
/// object in the text is looked at.
///
/// # Errors
/// When the text is not JSON.
pub(super) fn duplicate(text: &str) -> Result<Option<String>, serde_json::Error> {
    serde_json::from_str::<Twice>(text).map(|Twice(found)| found)
}

struct Twice(Option<String>);

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Twice, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Twice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Twice, A::Error> {
        let mut seen = BTreeSet::new();
        let mut found = None;
        while let Some((key, Twice(inside))) = map.next_entry::<String, Twice>()? {
            let here = match seen.contains(&key) {
                true => Some(key.clone()),
                false => inside.map(|inside| format!("{key}.{inside}")),
            };
            found = found.or(here);
            seen.insert(key);
        }
        Ok(Twice(found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Twice, A::Error> {
        let mut found = None;
        while let Some(Twice(inside)) = seq.next_element::<Twice>()? {
            found = found.or(inside);
        }
        Ok(Twice(found))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Twice, E> {
        Ok(Twice(None))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Twice, E> {
        Ok(Twice(None))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Twice, E> {
        Ok(Twice(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Twice, E> {
        Ok(Twice(None))
    }
    fn visit_str<E>(self, _: &str) -> Result<Twice, E> {
        Ok(Twice(None))
    }
    fn visit_unit<E>(self) -> Result<Twice, E> {
        Ok(Twice(None))
    }
}

/// How a file is indented: one step, and what stands before the closing brace
/// of the object that is added to.
pub(super) struct Indent {
    pub step: String,
    pub outer: String,
}

/// The indentation of the members of an object, from the white space before
/// its first one; two blanks a level where the file shows none.
pub(super) fn indent(text: &str, depth: usize) -> Indent {
    let first = text.split_once('{').map_or("", |(_, rest)| rest);
    let space: String = first.chars().take_while(|c| c.is_whitespace()).collect();
    let step = match space.rsplit_once('\n') {
        Some((_, step)) if !step.is_empty() => step.to_owned(),
        _ => "  ".to_owned(),
    };
    Indent {
        outer: step.repeat(depth),
        step,
    }
}

/// The object's text with members, each a name and its JSON, behind its last.
pub(super) fn append(object: &str, members: &[(String, String)], indent: &Indent) -> String {
    let end = object.rfind('}').unwrap_or(object.len());
    let inside = object[..end].trim_end();
    let mut out = inside.to_owned();
    let mut some = !inside.ends_with('{');
    for (name, value) in members {
        if std::mem::replace(&mut some, true) {
            out.push(',');
        }
        let name = packrank_core::spec::quote(name);
        out.push_str(&format!("\n{}{}{name}: {value}", indent.outer, indent.step));
    }
    out.push_str(&format!("\n{}", indent.outer));
    out.push_str(&object[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_found_at_any_depth() {
        let found = |text| duplicate(text).unwrap();
        assert_eq!(
            found(r#"{"a": 1, "b": [{"c": null}], "d": {"c": "x"}}"#),
            None
        );
        assert_eq!(found(r#"{"a": 1, "b": 2, "a": 1}"#).as_deref(), Some("a"));
        // An escape is the same name.
        assert_eq!(
            found(r#"{"r": {"x": 1.5, "\u0078": -1}}"#).as_deref(),
            Some("r.x")
        );
        assert_eq!(
            found(r#"{"l": [true, {"k": 1, "k": 2}]}"#).as_deref(),
            Some("l.k")
        );
        assert!(duplicate("{} x").is_err());
    }

    #[test]
    fn members_come_behind_the_last_in_the_files_own_indentation() {
        let one = [("x".to_owned(), "1".to_owned())];
        let top = |text: &str| append(text, &one, &indent(text, 0));
        assert_eq!(
            top("{\n\t\"a\": {}\n}\n"),
            "{\n\t\"a\": {},\n\t\"x\": 1\n}\n"
        );
        assert_eq!(top("{}"), "{\n  \"x\": 1\n}");
        assert_eq!(top("{ \"a\": \"}\" }"), "{ \"a\": \"}\",\n  \"x\": 1\n}");
    }
}
