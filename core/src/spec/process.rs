//! The part of a plan that belongs to a process: OOM score, I/O priority, open
//! files, and what `security: restricted` takes away.
//!
//! In: a `process` object, a container's first or one that `exec` adds. Out:
//! the same within the plan. What the object restricts already stays.

use serde_json::value::RawValue;

use super::facts::{NOFILE, Rlimit};
use super::object::{DocumentError, Object, json};
use super::security::restrict_process;
use crate::key::Key;
use crate::value::{IoPriority, Security, Value};

/// What every process of a container gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessPart {
    /// oom_score_adj.
    pub oom_score: Option<i16>,
    /// The I/O scheduler's class and level.
    pub io_priority: Option<IoPriority>,
    /// Soft and hard limit of open files.
    pub files: Option<(u64, u64)>,
    /// Whether it is `security: restricted`.
    pub restricted: bool,
    /// Whether root is that of a user namespace of its own, and stays.
    pub user_namespace: bool,
}

impl ProcessPart {
    /// Of a plan's values, or of a record's.
    #[must_use]
    pub fn of(value: impl Fn(Key) -> Option<Value>, user_namespace: bool) -> ProcessPart {
        let restricted = Value::Security(Security::Restricted);
        ProcessPart {
            oom_score: match value(Key::OomScore) {
                Some(Value::Score(score)) => Some(score),
                _ => None,
            },
            io_priority: match value(Key::IoPriority) {
                Some(Value::IoPriority(priority)) => Some(priority),
                _ => None,
            },
            files: match value(Key::Nofile) {
                Some(Value::Files { soft, hard }) => Some((soft, hard)),
                _ => None,
            },
            restricted: value(Key::Security) == Some(restricted),
            user_namespace,
        }
    }

    /// The stricter of both, for a process that may belong to either container.
    #[must_use]
    pub fn stricter(self, other: ProcessPart) -> ProcessPart {
        let least = |a: (u64, u64), b: (u64, u64)| (a.0.min(b.0), a.1.min(b.1));
        let both = |a, b, pick: fn(i16, i16) -> i16| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        ProcessPart {
            oom_score: both(self.oom_score, other.oom_score, i16::max),
            io_priority: self.io_priority.max(other.io_priority),
            files: match (self.files, other.files) {
                (Some(a), Some(b)) => Some(least(a, b)),
                (a, b) => a.or(b),
            },
            restricted: self.restricted || other.restricted,
            user_namespace: self.user_namespace && other.user_namespace,
        }
    }

    /// Writes it into a `process` object.
    ///
    /// # Errors
    /// When a member to be edited is not of its shape, or stands twice.
    pub fn write(&self, process: &mut Object<'_>) -> Result<(), DocumentError> {
        if let Some(score) = self.oom_score {
            process.set("oomScoreAdj", score.to_string())?;
        }
        if let Some(priority) = self.io_priority {
            io_priority(process, priority)?;
        }
        if let Some((soft, hard)) = self.files {
            open_files(process, soft, hard)?;
        }
        match self.restricted {
            true => restrict_process(process, self.user_namespace),
            false => Ok(()),
        }
    }

    /// The text of a `process` object with it written in.
    ///
    /// # Errors
    /// When the text is no object, or a member is not of its shape.
    pub fn rewrite(&self, process: &str) -> Result<String, DocumentError> {
        let mut object = Object::parse(process, "process")?;
        self.write(&mut object)?;
        Ok(object.render())
    }
}

fn io_priority(process: &mut Object<'_>, priority: IoPriority) -> Result<(), DocumentError> {
    let (class, level) = priority.oci();
    let had = process.object("ioPriority")?;
    let same = had.read::<String>("class")?.as_deref() == Some(class)
        && had.read::<i64>("priority")?.unwrap_or(0) == i64::from(level);
    match same {
        true => Ok(()),
        false => {
            let text = format!(r#"{{"class":"{class}","priority":{level}}}"#);
            process.set("ioPriority", text)
        }
    }
}

/// Makes RLIMIT_NOFILE the stricter of this and the one that is there; the
/// other rlimits stay as written.
fn open_files(process: &mut Object<'_>, soft: u64, hard: u64) -> Result<(), DocumentError> {
    let at = "process.rlimits";
    let items: Vec<&RawValue> = match process.raw("rlimits")? {
        Some(text) => json(text, at)?,
        None => Vec::new(),
    };
    let mut had = Vec::new();
    let mut texts = Vec::with_capacity(items.len() + 1);
    let mut place = None;
    for item in items {
        let rlimit = Rlimit::read(item.get(), at)?;
        if rlimit.kind != NOFILE {
            texts.push(item.get().to_owned());
            continue;
        }
        had.push((rlimit.soft, rlimit.hard));
        place.get_or_insert(texts.len());
    }
    let hard = had.iter().map(|limit| limit.1).fold(hard, u64::min);
    let soft = had.iter().map(|limit| limit.0).fold(soft, u64::min);
    let limit = (soft.min(hard), hard);
    if had == [limit] {
        return Ok(());
    }
    let (soft, hard) = limit;
    let text = format!(r#"{{"type":"{NOFILE}","hard":{hard},"soft":{soft}}}"#);
    texts.insert(place.unwrap_or(texts.len()), text);
    process.set("rlimits", format!("[{}]", texts.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn rewritten(part: ProcessPart, process: &Json) -> Json {
        let once = part.rewrite(&process.to_string()).unwrap();
        assert_eq!(part.rewrite(&once).unwrap(), once);
        serde_json::from_str(&once).unwrap()
    }

    #[test]
    fn an_added_process_gets_what_the_first_one_has() {
        let part = ProcessPart {
            oom_score: Some(500),
            io_priority: Some(IoPriority::BestEffort(7)),
            files: Some((1024, 2048)),
            restricted: true,
            user_namespace: false,
        };
        let asked = json!({
            "args": ["sh"], "user": { "uid": 0, "gid": 0, "additionalGids": [0, 5] },
            "capabilities": { "bounding": ["CAP_SYS_ADMIN", "CAP_NET_BIND_SERVICE"] },
            "oomScoreAdj": -999,
            "rlimits": [
                { "type": "RLIMIT_CORE", "hard": 1, "soft": 1 },
                { "type": "RLIMIT_NOFILE", "hard": 1_048_576, "soft": 512 },
            ],
        });
        let process = rewritten(part, &asked);
        let want = json!({ "uid": 65534, "gid": 65534, "additionalGids": [5] });
        assert_eq!(process["user"], want);
        let sets = &process["capabilities"];
        assert_eq!(sets["bounding"], json!(["CAP_NET_BIND_SERVICE"]));
        assert_eq!(sets["effective"], json!([]));
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!(process["oomScoreAdj"], 500);
        let limits = json!([
            { "type": "RLIMIT_CORE", "hard": 1, "soft": 1 },
            { "type": "RLIMIT_NOFILE", "hard": 2048, "soft": 512 },
        ]);
        assert_eq!(process["rlimits"], limits);
        assert_eq!(process["ioPriority"]["class"], "IOPRIO_CLASS_BE");
        assert_eq!(process["args"], json!(["sh"]));
    }

    #[test]
    fn what_is_not_planned_stays() {
        let asked = json!({ "user": { "uid": 0 }, "rlimits": [] });
        assert_eq!(rewritten(ProcessPart::default(), &asked), asked);
    }

    #[test]
    fn of_two_that_may_be_meant_the_stricter_holds() {
        let web = ProcessPart {
            oom_score: Some(-500),
            io_priority: Some(IoPriority::BestEffort(2)),
            files: Some((4096, 8192)),
            restricted: true,
            user_namespace: false,
        };
        let batch = ProcessPart {
            oom_score: Some(500),
            io_priority: Some(IoPriority::Idle),
            files: Some((1024, 16384)),
            restricted: false,
            user_namespace: true,
        };
        let both = web.stricter(batch);
        assert_eq!(both, batch.stricter(web));
        let expected = ProcessPart {
            oom_score: Some(500),
            io_priority: Some(IoPriority::Idle),
            files: Some((1024, 8192)),
            restricted: true,
            user_namespace: false,
        };
        assert_eq!(both, expected);
        assert_eq!(web.stricter(ProcessPart::default()).oom_score, Some(-500));
    }
}
