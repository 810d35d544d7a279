//! What the watcher says of a pack.
//!
//! In: the watcher's answer, if one runs. Out: how hard the node is pressed,
//! and for each pack what is not as planned.

use std::path::Path;

use packrank_core::key::Key;
use packrank_core::value::Value;
use packrank_watcher::client::{AskError, ask};
use serde_json::{Value as Json, json};

use crate::pause::socket;
use crate::terminal::plain;

/// The watcher's answer.
pub(super) struct Watched(Result<Json, AskError>);

impl Watched {
    pub(super) fn ask(run: &Path) -> Watched {
        Watched(ask(&socket(run), &json!({ "verb": "status" })))
    }

    /// One line on the node.
    pub(super) fn head(&self) -> String {
        let status = match &self.0 {
            Ok(status) => status,
            Err(AskError::NoWatcher { .. }) => return "no watcher runs".to_owned(),
            Err(error) => return error.to_string(),
        };
        let level = |of: &str| status["pressure"][of].as_str().unwrap_or("?").to_owned();
        let paused = match status["paused"].as_bool() {
            Some(true) => "; the watcher is paused",
            _ => "",
        };
        let (memory, cpu, io) = (level("memory"), level("cpu"), level("io"));
        format!("pressure: memory {memory}, cpu {cpu}, io {io}{paused}")
    }

    /// What is not as planned with one pack; `None` when all is.
    pub(super) fn done_to(&self, id: &str) -> Option<String> {
        let packs = self.0.as_ref().ok()?["packs"].as_array()?;
        let pack = packs.iter().find(|pack| pack["id"] == id)?;
        let mut done = Vec::new();
        if pack["frozen"] == true {
            done.push("frozen".to_owned());
        }
        for (name, value) in pack["values"].as_object()? {
            if value["now"] == value["planned"] || value["pinned"] == true {
                continue;
            }
            let key = Key::named(name)?;
            // null is unlimited; percentages are in thousandths.
            let show = |json: &Json| {
                let value = json.as_u64().map_or(Value::Unlimited, Value::Number);
                value.show(key)
            };
            let why = match value["pressed"].is_null() {
                true => "follows its use",
                false => "gives way to pressure",
            };
            let (now, planned) = (show(&value["now"]), show(&value["planned"]));
            done.push(format!("{name} {now} of {planned}, {why}"));
        }
        (!done.is_empty()).then(|| done.join("; "))
    }

    /// Classes whose weights do not compare, because they do not share a
    /// parent.
    pub(super) fn incomparable(&self) -> Vec<String> {
        let lines = self.0.as_ref().ok().map(|s| &s["incomparable"]);
        let lines = lines.and_then(Json::as_array).into_iter().flatten();
        let texts: Vec<String> = lines.filter_map(Json::as_str).map(plain).collect();
        match texts.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "weights do not compare across parents: {}",
                texts.join("; ")
            )],
        }
    }
}
