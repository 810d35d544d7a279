//! What clients ask of the loop.
//!
//! In: a request. Out: an answer, or why not.

use packrank_core::record::Record;
use serde_json::{Value as Json, json};

use super::{Watcher, wall_clock};
use crate::decide::State;
use crate::event::Event;
use crate::protocol::{self, Request};
use crate::registry::Registry;
use crate::status;

impl Watcher {
    pub(super) fn obey(&mut self, request: Request) -> Result<Json, String> {
        match request {
            Request::Status {} => Ok(self.counted(status::tell)),
            Request::Node {} => Ok(self.counted(status::node)),
            Request::Events { after } => {
                let events: Vec<&Event> = self.journal.after(after).collect();
                Ok(json!({
                    "events": events,
                    "next": self.journal.next(),
                    "began": self.journal.began(),
                }))
            }
            Request::Pause { on } => {
                self.state.pause(on);
                let what = if on { "paused" } else { "goes on" };
                self.journal.say(what.to_owned(), None, wall_clock());
                Ok(json!({ "paused": on }))
            }
            Request::Set { id, key, value } => self.set(&id, &key, value),
        }
    }

    fn counted(&self, tell: impl Fn(&State, &Registry, &[String]) -> Json) -> Json {
        let mut told = tell(&self.state, &self.registry, &self.notes);
        told["deeds"] = self.journal.counts();
        told
    }

    /// Pins a value within the ceiling, or releases it.
    fn set(&mut self, id: &str, key: &str, value: Option<Json>) -> Result<Json, String> {
        let slot = self
            .registry
            .slot(id)
            .ok_or_else(|| format!("{id}: no such pack"))?;
        let kept = self
            .registry
            .pack(slot)
            .ok_or_else(|| format!("{id}: no such pack"))?;
        let packs = &self.registry.packs;
        let change = |change: &dyn Fn(&mut Record)| {
            packs
                .change(id, |record| change(record))
                .map_err(|e| e.to_string())
        };
        if let Some(value) = value {
            let (key, amount) = protocol::amount(key, &value)?;
            let record = packs.read(id).map_err(|e| e.to_string())?;
            let plan = record.settings.amount(key);
            let most = record.ceiling.amount(key).max(plan);
            if most.is_some_and(|most| amount > most) {
                return Err(format!("{key}: above its ceiling"));
            }
            kept.cgroup
                .set(key, amount, &kept.devices, kept.guarantee_file)
                .map_err(|e| e.to_string())?;
            change(&|record| record.pinned.put_amount(key, amount))?;
        } else {
            let key = packrank_core::key::Key::named(key)
                .ok_or_else(|| format!("{key}: no such setting"))?;
            change(&|record| {
                record.pinned.remove(key);
            })?;
            // What it is now is not what the plan says: written at the next look.
            let record = packs.read(id).map_err(|e| e.to_string())?;
            if let Some(amount) = record.settings.amount(key) {
                kept.cgroup
                    .set(key, amount, &kept.devices, kept.guarantee_file)
                    .map_err(|e| e.to_string())?;
            }
        }
        self.rescan = true;
        self.journal
            .say(format!("set {key} by a person"), Some(id), wall_clock());
        Ok(json!({ "id": id, "key": key }))
    }
}
