//! What was done to whom, and why, in words and as JSON.
//!
//! In: an action and what came of it, or a remark. Out: a sentence for people,
//! and an object for programs, whose members are in the crate's protocol.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use packrank_core::quantity::ShowBytes;
use packrank_core::record::Amount;
use packrank_core::value::Value;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::decide::{Action, Alert, Deed, Knob, Outcome, Why};

/// One event. Nothing is put into words before somebody asks.
#[derive(Debug, Clone)]
pub struct Event {
    /// Grows by one with each.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub at: u64,
    /// The container's id; `None` for the node.
    pub id: Option<Arc<str>>,
    /// Its class.
    pub class: Option<&'static str>,
    /// The cgroup above packs that it was about.
    pub cgroup: Option<Arc<Path>>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A decision, and what came of it.
    Did(Action, Outcome),
    /// Something else: a start, an end, a record set aside.
    Remark(Arc<str>),
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

impl Event {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut event = json!({ "number": self.number, "at": self.at, "text": self.text() });
        if let Some(id) = &self.id {
            event["id"] = (**id).into();
        }
        if let Some(class) = self.class {
            event["class"] = class.into();
        }
        if let Some(cgroup) = &self.cgroup {
            event["cgroup"] = cgroup.display().to_string().into();
        }
        // `what`, `why` and `outcome` are the decision as it stands in the
        // code; the rest says the same, member by member.
        match &self.what {
            What::Remark(text) => {
                event["deed"] = "remark".into();
                event["what"] = (**text).into();
            }
            What::Did(action, outcome) => {
                event["what"] = format!("{:?}", action.deed).into();
                event["why"] = format!("{:?}", action.why).into();
                event["outcome"] = format!("{outcome:?}").into();
                event["deed"] = name(&action.deed).into();
                event["because"] = why(action.why);
                event["audit"] = action.audit.into();
                event["result"] = outcome_name(*outcome).into();
                details(&mut event, &action.deed);
                if let Outcome::Freed(bytes) = outcome {
                    event["freed"] = (*bytes).into();
                }
            }
        }
        event
    }

    /// For people, with whom it was about.
    #[must_use]
    pub fn line(&self) -> String {
        let id = self.id.as_deref().unwrap_or("node");
        format!("{id} {}: {}", self.class.unwrap_or("-"), self.text())
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.what {
            What::Remark(text) => text.to_string(),
            What::Did(action, outcome) => {
                let audit = if action.audit { "would " } else { "" };
                let came = match outcome {
                    _ if action.audit => String::new(),
                    Outcome::Done => String::new(),
                    Outcome::Freed(bytes) => format!(": {} came back", ShowBytes(*bytes)),
                    Outcome::Refused => ": the kernel refused".to_owned(),
                    Outcome::Gone => ": it is gone".to_owned(),
                };
                let (deed, why) = (deed_text(&action.deed), WhyText(action.why));
                match &self.cgroup {
                    Some(cgroup) => {
                        format!("{audit}{deed} of {}, {why}{came}", cgroup.display())
                    }
                    None => format!("{audit}{deed}, {why}{came}"),
                }
            }
        }
    }
}

/// The names of all deeds, for programs.
pub const NAMES: [&str; 9] = [
    "reclaim", "compact", "signal", "freeze", "thaw", "kill", "set", "protect", "alert",
];

/// A deed's name for programs.
#[must_use]
pub fn name(deed: &Deed) -> &'static str {
    match deed {
        Deed::Reclaim(_) => "reclaim",
        Deed::Compact => "compact",
        Deed::Signal(_) => "signal",
        Deed::Freeze => "freeze",
        Deed::Thaw => "thaw",
        Deed::Kill => "kill",
        Deed::Set { .. } => "set",
        Deed::Protect { .. } => "protect",
        Deed::Alert(_) => "alert",
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::Freed(_) => "done",
        Outcome::Refused => "refused",
        Outcome::Gone => "gone",
    }
}

fn details(event: &mut Json, deed: &Deed) {
    match deed {
        Deed::Reclaim(bytes) => event["bytes"] = (*bytes).into(),
        Deed::Signal(signal) => event["signal"] = (*signal).into(),
        Deed::Set { knob, from, to } => {
            let json = |amount: Amount| value(amount).json(knob.key());
            event["key"] = knob.key().name().into();
            event["from"] = from.map_or(Json::Null, json);
            event["to"] = json(*to);
        }
        Deed::Protect { min, low, .. } => {
            event["memory.min"] = (*min).into();
            event["memory.low"] = (*low).into();
        }
        Deed::Alert(alert) => {
            event["alert"] = alert_name(*alert).into();
            if let Alert::NearLimit(knob) = alert {
                event["key"] = knob.key().name().into();
            }
        }
        Deed::Compact | Deed::Freeze | Deed::Thaw | Deed::Kill => {}
    }
}

/// An alert's name for programs.
#[must_use]
pub fn alert_name(alert: Alert) -> &'static str {
    match alert {
        Alert::MemoryAtLimit => "memory-at-limit",
        Alert::CpuThrottled => "cpu-throttled",
        Alert::IoThrottled => "io-throttled",
        Alert::Files => "open-files",
        Alert::Connections => "connections",
        Alert::DiskSpace => "disk-space",
        Alert::NearLimit(_) => "near-limit",
    }
}

fn value(amount: Amount) -> Value {
    amount.number().map_or(Value::Unlimited, Value::Number)
}

fn show(knob: Knob, amount: Amount) -> String {
    value(amount).show(knob.key())
}

fn deed_text(deed: &Deed) -> String {
    match *deed {
        Deed::Reclaim(bytes) => format!("take back {} of cache", ShowBytes(bytes)),
        Deed::Compact => "compact memory".to_owned(),
        Deed::Signal(signal) => format!("send signal {signal}"),
        Deed::Freeze => "freeze".to_owned(),
        Deed::Thaw => "thaw".to_owned(),
        Deed::Kill => "kill".to_owned(),
        Deed::Set { knob, from, to } => {
            let from = from.map_or_else(String::new, |from| format!(" from {}", show(knob, from)));
            format!("set {}{from} to {}", knob.key(), show(knob, to))
        }
        Deed::Protect { min, low, .. } => format!(
            "set memory.min {}, memory.low {}",
            ShowBytes(min),
            ShowBytes(low)
        ),
        Deed::Alert(alert) => match alert {
            Alert::MemoryAtLimit => "alert: memory is at its limit".to_owned(),
            Alert::CpuThrottled => "alert: its CPU quota holds it back".to_owned(),
            Alert::IoThrottled => "alert: its I/O limit holds it back".to_owned(),
            Alert::Files => "alert: most of its open files are in use".to_owned(),
            Alert::Connections => "alert: most of its connections are in use".to_owned(),
            Alert::DiskSpace => "alert: most of its disk space is in use".to_owned(),
            Alert::NearLimit(knob) => format!("alert: {} is nearly used up", knob.key()),
        },
    }
}

/// Why, for people.
#[derive(Debug, Clone, Copy)]
pub struct WhyText(pub Why);

impl fmt::Display for WhyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Why::Pressure(resource, level) => {
                write!(f, "{} pressure is {}", resource.name(), level.name())
            }
            Why::GiveBack => f.write_str("pressure is gone"),
            Why::Use(0) => f.write_str("its use changed"),
            Why::Use(percent) => write!(f, "it uses {percent} %"),
            Why::Trend(seconds) => write!(f, "its limit is {seconds} s away"),
            Why::Violation => f.write_str("it breaks its bounds"),
            Why::Guarantee => f.write_str("what the packs below it use of their guarantees"),
            Why::Restore => f.write_str("somebody else had changed it"),
            Why::Person => f.write_str("a person asked"),
        }
    }
}

fn why(why: Why) -> Json {
    match why {
        Why::Pressure(resource, level) => {
            json!({ "cause": "pressure", "resource": resource.name(), "level": level.name() })
        }
        Why::GiveBack => json!({ "cause": "give-back" }),
        Why::Use(percent) => json!({ "cause": "use", "percent": percent }),
        Why::Trend(seconds) => json!({ "cause": "trend", "seconds": seconds }),
        Why::Violation => json!({ "cause": "violation" }),
        Why::Guarantee => json!({ "cause": "guarantee" }),
        Why::Restore => json!({ "cause": "restore" }),
        Why::Person => json!({ "cause": "person" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Level, Resource, Slot};

    #[test]
    fn an_event_reads_as_a_sentence_and_as_an_object() {
        let deed = Deed::Set {
            knob: Knob::CpuQuota,
            from: Some(Amount::At(50_000)),
            to: Amount::At(37_500),
        };
        let action = Action {
            slot: Some(Slot(0)),
            deed,
            why: Why::Pressure(Resource::Cpu, Level::Medium),
            audit: false,
        };
        let event = |action, outcome| Event {
            number: 7,
            at: 1_000,
            id: Some("web".into()),
            class: Some("low"),
            cgroup: None,
            what: What::Did(action, outcome),
        };
        let done = event(action, Outcome::Done);
        assert_eq!(
            done.text(),
            "set cpu.quota from 50 % to 37.5 %, cpu pressure is medium"
        );
        assert_eq!(
            done.json(),
            json!({ "number": 7, "at": 1000, "id": "web", "class": "low", "deed": "set",
                "key": "cpu.quota", "from": 50, "to": 37.5, "result": "done", "audit": false,
                "what": format!("{deed:?}"), "why": "Pressure(Cpu, Medium)", "outcome": "Done",
                "because": { "cause": "pressure", "resource": "cpu", "level": "medium" },
                "text": done.text() })
        );
        let audit = Action {
            deed: Deed::Kill,
            audit: true,
            ..action
        };
        let kill = event(audit, Outcome::Done);
        assert!(kill.text().starts_with("would kill, "), "{}", kill.text());
    }
}
