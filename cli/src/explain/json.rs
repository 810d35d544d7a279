//! The plan for programs.
//!
//! In: what was explained, or the refusal. Out: one JSON object, values in
//! base units (`null`: unlimited, or left out where `left_out` says so).

use std::io::{self, Write};

use packrank_core::plan::Setting;
use serde::Serialize;

use super::{Explained, Refused};

#[derive(Serialize, Default)]
struct Answer<'e> {
    priority: Option<&'static str>,
    /// An annotation's name, a flag, or the policy's default.
    claimed: Option<&'e str>,
    mode: Option<&'static str>,
    engine: Option<String>,
    host: Option<HostJson>,
    settings: Vec<SettingJson<'e>>,
    notes: Vec<&'e str>,
    refused: Option<String>,
}

#[derive(Serialize)]
struct HostJson {
    cgroup: &'static str,
    kernel: String,
}

#[derive(Serialize)]
struct SettingJson<'e> {
    key: &'static str,
    value: serde_json::Value,
    unit: &'static str,
    origin: &'static str,
    note: Option<&'e str>,
    left_out: bool,
}

fn setting(setting: &Setting) -> SettingJson<'_> {
    let value = setting.value.as_ref();
    SettingJson {
        key: setting.key.name(),
        value: value.map_or(serde_json::Value::Null, |v| v.json(setting.key)),
        unit: setting.key.unit().name(),
        origin: setting.origin.name(),
        note: setting.note.as_deref(),
        left_out: value.is_none(),
    }
}

/// Writes the object.
pub(super) fn write(
    out: &mut dyn Write,
    explained: Result<&Explained, &Refused>,
) -> io::Result<()> {
    let answer = match explained {
        Err(refused) => Answer {
            refused: Some(refused.to_string()),
            ..Answer::default()
        },
        Ok(explained) => answer(explained),
    };
    serde_json::to_writer_pretty(&mut *out, &answer)?;
    writeln!(out)
}

fn answer(explained: &Explained) -> Answer<'_> {
    let mut answer = Answer {
        engine: explained.engine.as_ref().map(|e| e.display().to_string()),
        notes: explained.notes.iter().map(String::as_str).collect(),
        ..Answer::default()
    };
    match &explained.outcome {
        Ok(planned) => {
            let (major, minor) = planned.host.kernel();
            let rank = &planned.plan.rank;
            answer.priority = Some(rank.priority.name());
            answer.claimed = Some(&rank.claimed);
            answer.mode = Some(rank.mode.name());
            answer.host = Some(HostJson {
                cgroup: planned.host.cgroups.layout.name(),
                kernel: format!("{major}.{minor}"),
            });
            answer.settings = planned.plan.settings.iter().map(setting).collect();
        }
        Err(reason) => answer.notes.push(reason),
    }
    answer
}
