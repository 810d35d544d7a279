//! What a container's annotations ask. Syntax only: whether it is granted is
//! the plan's to say.
//!
//! In: the spec's annotations and the container's name in its pod. Out: a
//! [`Request`], or the one annotation that cannot be read.

use std::collections::BTreeMap;
use std::fmt;

use crate::Priority;
use crate::key::Key;
use crate::value::{Value, ValueError};

/// What every annotation of ours begins with, behind an optional
/// `<container-name>.`.
pub const DOMAIN: &str = "packrank.io/";

/// Something that an annotation asked, and the annotation's full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// What is asked.
    pub value: T,
    /// `packrank.io/priority`, or `web.packrank.io/priority`.
    pub annotation: String,
}

/// What is to happen when a pack violates its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnViolation {
    /// An alert, and no more.
    Alert,
    /// An alert, then the pack is restarted.
    Restart,
}

/// Everything the annotations of one container ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The class it claims.
    pub priority: Option<Asked<Priority>>,
    /// Overrides of what its class gives.
    pub settings: BTreeMap<Key, Asked<Value>>,
    /// Tell the program inside its limits, through its environment.
    pub inform: bool,
    /// `false` keeps the watcher from adapting its limits.
    pub adaptive: Option<bool>,
    /// What follows a violation.
    pub on_violation: Option<OnViolation>,
    /// The signal it wants when memory runs short, by name.
    pub gc_signal: Option<String>,
    /// Annotations of ours that belong to other containers of the pod.
    pub others: usize,
    /// The lowest class those claim. Whether there are such containers is not
    /// known here.
    pub lowest_other: Option<Priority>,
}

/// An annotation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// A key of ours that means nothing.
    #[error("{annotation}: no such annotation; known are {}", known())]
    Unknown {
        /// Its full name.
        annotation: Quoted,
    },
    /// A value that its key does not take.
    #[error("{annotation}: {value} is not accepted: {source}")]
    Value {
        /// Its full name.
        annotation: Quoted,
        /// What was written.
        value: Quoted,
        /// What is accepted.
        source: ValueError,
    },
    /// The same annotation twice: which one counts differs between engines.
    #[error("{annotation} stands twice in the annotations")]
    Twice {
        /// Its full name.
        annotation: Quoted,
    },
}

/// A text from a container's side, safe to print: no control characters, and
/// no longer than a line takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(pub String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let mut chars = self.0.chars();
        let head: String = chars.by_ref().take(MOST).collect();
        let more = if chars.next().is_some() { "…" } else { "" };
        if self.0.starts_with(|c: char| c.is_ascii_alphabetic())
            && self.0.contains('/')
            && head.chars().all(plain)
        {
            write!(f, "{head}{more}")
        } else {
            write!(f, "{head:?}{more}")
        }
    }
}

const CONTROLS: [&str; 5] = [
    "priority",
    "inform",
    "adaptive",
    "on-violation",
    "gc-signal",
];

fn known() -> String {
    let names = CONTROLS.into_iter().chain(Key::all().map(Key::name));
    names.collect::<Vec<_>>().join(", ")
}

/// The signals a program can be asked to collect garbage with.
const SIGNALS: [&str; 6] = [
    "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGURG", "SIGCONT",
];

/// The names after [`DOMAIN`] that are not settings, for `annotations.md`'s test.
#[must_use]
pub fn controls() -> &'static [&'static str] {
    &CONTROLS
}

impl Request {
    /// Reads the annotations that are ours. `container` is the container's
    /// name in its pod: `<container>.packrank.io/<key>` overrides
    /// `packrank.io/<key>`; annotations for other names are left to them.
    ///
    /// # Errors
    /// For the first of ours that is unknown, malformed or there twice.
    pub fn parse<'a>(
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
        container: Option<&str>,
    ) -> Result<Request, AnnotationError> {
        // Per key: the pod's word, then the container's own.
        let mut found: BTreeMap<&str, [Option<(&str, &str)>; 2]> = BTreeMap::new();
        let mut request = Request::default();
        for (annotation, value) in annotations {
            let Some((prefix, key)) = split(annotation) else {
                continue;
            };
            let slot = match prefix {
                "" => 0,
                name if Some(name) == container => 1,
                _ => {
                    request.others += 1;
                    let claim = Some(value).filter(|_| key == "priority");
                    let claim = claim.and_then(|class| class.parse().ok());
                    let lowest = [request.lowest_other, claim];
                    request.lowest_other = lowest.into_iter().flatten().min();
                    continue;
                }
            };
            let slot = &mut found.entry(key).or_default()[slot];
            if slot.replace((annotation, value)).is_some() {
                let annotation = Quoted(annotation.to_owned());
                return Err(AnnotationError::Twice { annotation });
            }
        }
        for (key, [pod, own]) in found {
            for (annotation, value) in pod.into_iter().chain(own) {
                request.take(key, annotation, value)?;
            }
        }
        Ok(request)
    }

    fn take(&mut self, key: &str, annotation: &str, text: &str) -> Result<(), AnnotationError> {
        let wrong = |source| AnnotationError::Value {
            annotation: Quoted(annotation.to_owned()),
            value: Quoted(text.to_owned()),
            source,
        };
        let form = |expected| wrong(ValueError::Form(expected));
        let switch = || match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(form("true or false")),
        };
        match key {
            "priority" => {
                let value = text
                    .parse()
                    .map_err(|_| form("one of critical, high, normal, low, scavenger"))?;
                let annotation = annotation.to_owned();
                self.priority = Some(Asked { value, annotation });
            }
            "inform" => self.inform = switch()?,
            "adaptive" => self.adaptive = Some(switch()?),
            "on-violation" => {
                self.on_violation = Some(match text {
                    "alert" => OnViolation::Alert,
                    "restart" => OnViolation::Restart,
                    _ => return Err(form("alert or restart")),
                });
            }
            "gc-signal" => {
                let known = SIGNALS.contains(&text);
                let expected = "SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGURG or SIGCONT";
                self.gc_signal = Some(text.to_owned())
                    .filter(|_| known)
                    .ok_or_else(|| form(expected))
                    .map(Some)?;
            }
            _ => {
                let key = Key::named(key).ok_or_else(|| AnnotationError::Unknown {
                    annotation: Quoted(annotation.to_owned()),
                })?;
                let value = Value::parse(key, text).map_err(wrong)?;
                let annotation = annotation.to_owned();
                self.settings.insert(key, Asked { value, annotation });
            }
        }
        Ok(())
    }

    /// Whether any annotation asks something for this container.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let others = self.others;
        *self
            == Request {
                others,
                ..Request::default()
            }
    }
}

/// `("", key)` or `(container, key)` of an annotation that is ours.
fn split(annotation: &str) -> Option<(&str, &str)> {
    let (prefix, key) = annotation.split_once(DOMAIN)?;
    match prefix.strip_suffix('.') {
        Some(name) => Some((name, key)),
        None if prefix.is_empty() => Some(("", key)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(pairs: &[(&str, &str)], container: Option<&str>) -> Result<Request, String> {
        Request::parse(pairs.iter().copied(), container).map_err(|e| e.to_string())
    }

    #[test]
    fn the_containers_own_word_overrides_the_pods() {
        let pairs = [
            ("packrank.io/priority", "low"),
            ("web.packrank.io/priority", "high"),
            ("db.packrank.io/priority", "not for us to read"),
            ("notpackrank.io/priority", "nor this"),
            ("io.kubernetes.pod.name", "x"),
        ];
        let web = request(&pairs, Some("web")).unwrap();
        let claim = web.priority.unwrap();
        assert_eq!(claim.value, Priority::High);
        assert_eq!(claim.annotation, "web.packrank.io/priority");
        assert_eq!(web.others, 1);
        let other = request(&pairs[..2], Some("cron")).unwrap();
        assert_eq!(other.priority.unwrap().value, Priority::Low);
    }

    #[test]
    fn a_bad_pod_value_is_refused_even_where_it_is_overridden() {
        let pairs = [("packrank.io/pids", "-1"), ("a.packrank.io/pids", "5")];
        assert!(request(&pairs, Some("a")).is_err());
    }

    #[test]
    fn refusals_name_key_value_and_form() {
        for (key, value, want) in [
            (
                "packrank.io/priority",
                "urgent",
                "packrank.io/priority: \"urgent\" is not accepted: expected one of critical, high",
            ),
            (
                "packrank.io/memory.limit",
                "768Mb",
                "packrank.io/memory.limit: \"768Mb\" is not accepted: expected bytes such as 768Mi, 768MB",
            ),
            (
                "packrank.io/memory.limt",
                "1Gi",
                "packrank.io/memory.limt: no such annotation; known are priority, inform",
            ),
            ("packrank.io/", "x", "packrank.io/: no such annotation"),
            ("packrank.io/gc-signal", "SIGKILL", "expected SIGHUP"),
            ("packrank.io/inform", "yes", "expected true or false"),
            (
                "packrank.io/pids",
                "1\n\u{1b}[31m",
                "\"1\\n\\u{1b}[31m\" is not accepted",
            ),
        ] {
            let error = request(&[(key, value)], None).unwrap_err();
            assert!(error.contains(want), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let twice = [("packrank.io/pids", "5"), ("packrank.io/pids", "5")];
        assert_eq!(
            request(&twice, None).unwrap_err(),
            "packrank.io/pids stands twice in the annotations"
        );
    }

    proptest! {
        #[test]
        fn no_annotation_panics(
            pairs in prop::collection::vec(("(web\\.)?packrank\\.io/(.{0,12}|pids|priority|nofile)", ".{0,90}"), 0..4),
        ) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            if let Err(error) = request(&pairs, Some("web")) {
                prop_assert!(!error.contains('\n'));
            }
        }
    }
}
