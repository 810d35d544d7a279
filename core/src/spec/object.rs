//! A JSON object that can be edited without disturbing what is not.
//!
//! In: the text of an object. Out: the same text, in which only the values
//! that were set differ: order, white space, unknown members and duplicate
//! noise elsewhere stay byte for byte.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is wrong with a document, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not of the expected shape.
    #[error("{at}: {source}")]
    Json {
        /// The member's path, such as `linux.resources`.
        at: String,
        /// The parser's answer, with line and column inside the member.
        source: serde_json::Error,
    },
    /// A member we would edit stands twice: engines disagree which one counts.
    #[error("{at} stands twice")]
    Duplicate {
        /// The member's path.
        at: String,
    },
    /// A member whose name differs in case only: Go takes it for the right
    /// one, other engines pass it over.
    #[error("{at} stands there as {found:.80?}: engines disagree whether that is the same member")]
    Case {
        /// The member's path.
        at: String,
        /// Its name in the document.
        found: String,
    },
    /// A text that a kernel's file does not take.
    #[error("{at}: {text:.80?} is not accepted: the kernel reads {expected} there")]
    Kernel {
        /// The member's path.
        at: String,
        /// What it says.
        text: String,
        /// What the kernel reads.
        expected: &'static str,
    },
}

/// An object's members in their order, to be read and edited.
#[derive(Debug, Clone)]
pub struct Object<'t> {
    /// Where it stands in the document, for messages: empty at the top.
    at: String,
    source: &'t str,
    members: Vec<Member<'t>>,
    added: Vec<(String, Edit<'t>)>,
}

#[derive(Debug, Clone)]
struct Member<'t> {
    key: Cow<'t, str>,
    /// A slice of the object's source.
    value: &'t str,
    edit: Option<Edit<'t>>,
}

#[derive(Debug, Clone)]
enum Edit<'t> {
    Value(String),
    Inside(Object<'t>),
    Gone,
}

/// Members in order, borrowed from the text.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A member's name, borrowed where it holds no escape.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'t> Object<'t> {
    /// Reads an object's members.
    ///
    /// # Errors
    /// When the text is not one JSON object.
    pub fn parse(source: &'t str, at: &str) -> Result<Object<'t>, DocumentError> {
        let Members(members) = json(source, at)?;
        let members = members
            .into_iter()
            .map(|(key, value)| Member {
                key,
                value: value.get(),
                edit: None,
            })
            .collect();
        Ok(Object {
            at: at.to_owned(),
            source,
            members,
            added: Vec::new(),
        })
    }

    fn empty(at: String) -> Object<'t> {
        Object {
            at,
            source: "{}",
            members: Vec::new(),
            added: Vec::new(),
        }
    }

    /// The member's text as it stood in the source; `None` when absent or null.
    ///
    /// # Errors
    /// When it stands twice.
    pub fn raw(&self, key: &str) -> Result<Option<&'t str>, DocumentError> {
        let index = self.find(key)?;
        Ok(index
            .map(|i| self.members[i].value)
            .filter(|text| *text != "null"))
    }

    /// The member, read as `T`; `None` when absent or null.
    ///
    /// # Errors
    /// When it is not of that shape, or stands twice.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DocumentError> {
        self.raw(key)?
            .map(|text| json(text, &self.path(key)))
            .transpose()
    }

    /// The member, which must be there, read as `T`.
    ///
    /// # Errors
    /// When it is absent or not of that shape, or stands twice.
    pub fn need<T: DeserializeOwned>(&self, key: &str) -> Result<T, DocumentError> {
        json(self.raw(key)?.unwrap_or("null"), &self.path(key))
    }

    /// Names and texts of the members, in order, as they stood in the source.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'t str)> {
        self.members
            .iter()
            .map(|member| (member.key.as_ref(), member.value))
    }

    /// The object inside, for reading; an empty one when absent or null.
    ///
    /// # Errors
    /// When it is no object, or stands twice.
    pub fn object(&self, key: &str) -> Result<Object<'t>, DocumentError> {
        match self.raw(key)? {
            Some(text) => Object::parse(text, &self.path(key)),
            None => Ok(Object::empty(self.path(key))),
        }
    }

    /// The objects of the list inside, for reading; none when absent or null.
    ///
    /// # Errors
    /// When it is no list of objects, or stands twice.
    pub fn items(&self, key: &str) -> Result<Vec<Object<'t>>, DocumentError> {
        let at = self.path(key);
        let texts: Vec<&RawValue> = match self.raw(key)? {
            Some(text) => json(text, &at)?,
            None => Vec::new(),
        };
        let parse = |(index, text): (usize, &&'t RawValue)| {
            Object::parse(text.get(), &format!("{at}[{index}]"))
        };
        texts.iter().enumerate().map(parse).collect()
    }

    /// The object inside, to be edited; made when absent or null.
    ///
    /// # Errors
    /// When it is no object, or stands twice.
    pub fn inside(&mut self, key: &str) -> Result<&mut Object<'t>, DocumentError> {
        let edit = match self.slot(key)? {
            Some(Edit::Inside(_)) => None,
            Some(Edit::Value(_) | Edit::Gone) | None => Some(Edit::Inside(self.object(key)?)),
        };
        let at = self.path(key);
        match self.place(key, edit)? {
            Some(Edit::Inside(object)) => Ok(object),
            // `place` has just put an object there.
            _ => Err(DocumentError::Duplicate { at }),
        }
    }

    /// Sets the member to this JSON text. Setting what already stands there
    /// changes nothing.
    ///
    /// # Errors
    /// When it stands twice.
    pub fn set(&mut self, key: &str, json: String) -> Result<(), DocumentError> {
        let same = self
            .find(key)?
            .is_some_and(|i| self.members[i].edit.is_none() && self.members[i].value == json);
        if !same {
            self.place(key, Some(Edit::Value(json)))?;
        }
        Ok(())
    }

    /// Takes the member out; one that is absent stays so.
    ///
    /// # Errors
    /// When it stands twice.
    pub fn remove(&mut self, key: &str) -> Result<(), DocumentError> {
        match self.find(key)? {
            Some(_) => self.place(key, Some(Edit::Gone)).map(|_| ()),
            None => {
                self.added.retain(|(name, _)| name != key);
                Ok(())
            }
        }
    }

    fn slot(&self, key: &str) -> Result<Option<&Edit<'t>>, DocumentError> {
        Ok(match self.find(key)? {
            Some(i) => self.members[i].edit.as_ref(),
            None => self.added.iter().find(|(k, _)| k == key).map(|(_, e)| e),
        })
    }

    /// The member's edit, replaced by `edit` where one is given.
    fn place(
        &mut self,
        key: &str,
        edit: Option<Edit<'t>>,
    ) -> Result<Option<&mut Edit<'t>>, DocumentError> {
        if let Some(i) = self.find(key)? {
            let slot = &mut self.members[i].edit;
            if edit.is_some() {
                *slot = edit;
            }
            return Ok(slot.as_mut());
        }
        let known = self.added.iter().position(|(name, _)| name == key);
        match (known, edit) {
            (Some(i), Some(edit)) => self.added[i].1 = edit,
            (None, Some(edit)) => self.added.push((key.to_owned(), edit)),
            (_, None) => {}
        }
        let slot = self.added.iter_mut().find(|(name, _)| name == key);
        Ok(slot.map(|(_, edit)| edit))
    }

    fn find(&self, key: &str) -> Result<Option<usize>, DocumentError> {
        let mut found = None;
        for (index, member) in self.members.iter().enumerate() {
            if member.key != key {
                if folds(&member.key, key) {
                    let (at, found) = (self.path(key), member.key.clone().into_owned());
                    return Err(DocumentError::Case { at, found });
                }
            } else if found.replace(index).is_some() {
                return Err(DocumentError::Duplicate { at: self.path(key) });
            }
        }
        Ok(found)
    }

    fn path(&self, key: &str) -> String {
        match self.at.as_str() {
            "" => key.to_owned(),
            at => format!("{at}.{key}"),
        }
    }

    /// Whether anything in it was set.
    fn edited(&self) -> bool {
        let members = self.members.iter().filter_map(|m| m.edit.as_ref());
        members
            .chain(self.added.iter().map(|(_, edit)| edit))
            .any(Edit::edited)
    }

    /// The object's text with its edits.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(self.source.len() + 1024);
        self.render_into(&mut out);
        out
    }

    fn render_into(&self, out: &mut String) {
        if !self.edited() {
            out.push_str(self.source);
            return;
        }
        let open = self.source.find('{').map_or(0, |brace| brace + 1);
        out.push_str(&self.source[..open]);
        let mut done = open;
        let mut some = false;
        for (index, member) in self.members.iter().enumerate() {
            let start = offset(self.source, member.value);
            let mut before = &self.source[done..start];
            done = start + member.value.len();
            if matches!(member.edit, Some(Edit::Gone)) {
                continue;
            }
            if index > 0 && !some {
                // All members before it are gone, and with them their comma.
                before = before.split_once(',').map_or(before, |(_, rest)| rest);
            }
            some = true;
            out.push_str(before);
            match member.edit.as_ref().filter(|edit| edit.edited()) {
                Some(edit) => edit.render_into(out),
                None => out.push_str(member.value),
            }
        }
        for (key, edit) in self.added.iter().filter(|(_, edit)| edit.edited()) {
            if std::mem::replace(&mut some, true) {
                out.push(',');
            }
            out.push_str(&quote(key));
            out.push(':');
            edit.render_into(out);
        }
        out.push_str(&self.source[done..]);
    }
}

impl Edit<'_> {
    fn edited(&self) -> bool {
        match self {
            Edit::Value(_) | Edit::Gone => true,
            Edit::Inside(object) => object.edited(),
        }
    }

    fn render_into(&self, out: &mut String) {
        match self {
            Edit::Value(text) => out.push_str(text),
            Edit::Inside(object) => object.render_into(out),
            Edit::Gone => {}
        }
    }
}

/// Whether Go's decoder takes `name` for `key`: it folds case, by Unicode,
/// where two letters beyond ASCII fold into it.
fn folds(name: &str, key: &str) -> bool {
    const KELVIN: char = '\u{212a}';
    const LONG_S: char = '\u{17f}';
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(key);
    }
    let fold = |c| match c {
        KELVIN => 'k',
        LONG_S => 's',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(key.chars().map(fold))
}

/// Where the slice `part` of `whole` begins.
fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

/// Text as a JSON string.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON text, read as `T`.
pub(super) fn json<'t, T: Deserialize<'t>>(text: &'t str, at: &str) -> Result<T, DocumentError> {
    serde_json::from_str(text).map_err(|source| DocumentError::Json {
        at: if at.is_empty() { "the document" } else { at }.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
