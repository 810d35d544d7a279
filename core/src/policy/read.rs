//! A policy file's text, read with the place of every mistake.
//!
//! In: TOML. Out: the policy it is laid on, changed by what it names; or the
//! file, line, column and key of what is wrong.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wildmatch::WildMatch;

use super::grant::Pattern;
use super::{Grant, GuaranteeFile, Location, Mode, NamespaceLimits, Policy, Profile, Ruled};
use crate::Priority;
use crate::key::{Key, Unit};
use crate::value::Value;

/// What is wrong in a policy file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {key}{problem}")]
pub struct PolicyError {
    /// The file's name, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key with a colon and a space behind it, or nothing where none is known.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

type Table<'t> = DeTable<'t>;
type Item<'t> = Spanned<DeValue<'t>>;
type Read<T> = Result<T, PolicyError>;

/// Lays `text` on `policy`.
pub(super) fn merge(policy: &mut Policy, file: &str, text: &str, built_in: bool) -> Read<()> {
    let reader = Reader {
        file: file.into(),
        text,
        built_in,
    };
    let table = DeTable::parse(text).map_err(|e| {
        let span = e.span().unwrap_or(0..0);
        reader.error(span, "", e.message().trim().replace('\n', "; "))
    })?;
    // A file is taken whole or not at all.
    let mut next = policy.clone();
    reader.top(&mut next, table.get_ref())?;
    *policy = next;
    Ok(())
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    built_in: bool,
}

impl Reader<'_> {
    fn top(&self, policy: &mut Policy, table: &Table<'_>) -> Read<()> {
        let mut grants = Vec::new();
        let mut limits = Vec::new();
        for (name, item) in table {
            match name.get_ref().as_ref() {
                "mode" => policy.mode = self.mode(item, "mode")?,
                "strict" => policy.strict = self.switch(item, "strict")?,
                "default-class" => {
                    policy.default_class = Some(self.priority(item, "default-class")?)
                }
                "engine" => policy.engine = self.engine(self.table(item, "engine")?)?,
                "class" | "ceiling" | "floor" => self.classes(policy, name.get_ref(), item)?,
                "grant" => grants = self.each(item, "grant", |t, at| self.grant(t, at))?,
                "limits" => limits = self.each(item, "limits", |t, at| self.limits(t, at))?,
                "watch" => {
                    self.table(item, "watch")?;
                    let file = self.file.to_string().into();
                    policy.watch.push((file, self.text.into()));
                }
                other => {
                    let known = "mode, strict, default-class, engine, class, ceiling, floor, grant, limits, watch";
                    return Err(self.unknown(name.span(), other, known));
                }
            }
        }
        policy.grants.splice(0..0, grants);
        policy.limits.splice(0..0, limits);
        Ok(())
    }

    fn engine(&self, table: &Table<'_>) -> Read<Option<PathBuf>> {
        let mut path = None;
        for (name, item) in table {
            match name.get_ref().as_ref() {
                "path" => path = Some(PathBuf::from(self.text(item, "engine.path")?)),
                other => {
                    return Err(self.unknown(
                        name.span(),
                        &format!("engine.{other}"),
                        "engine.path",
                    ));
                }
            }
        }
        Ok(path)
    }

    /// `[class.NAME]`, `[ceiling.NAME]`, `[floor.NAME]`.
    fn classes(&self, policy: &mut Policy, kind: &str, item: &Item<'_>) -> Read<()> {
        for (name, item) in self.table(item, kind)? {
            let at = format!("{kind}.{}", name.get_ref());
            let class: Priority = name
                .get_ref()
                .parse()
                .map_err(|e| self.error(name.span(), &at, format!("no such class: {e}")))?;
            let kept = &mut policy.classes[class as usize];
            let (profile, file) = match kind {
                "class" => (&mut kept.profile, Some(&mut kept.guarantee_file)),
                "ceiling" => (&mut kept.ceiling, None),
                _ => (&mut kept.floor, None),
            };
            self.profile(profile, file, self.table(item, &at)?, &at, "")?;
        }
        Ok(())
    }

    /// Settings, whether written `memory.limit = …` or as a table `[….memory]`.
    fn profile(
        &self,
        profile: &mut Profile,
        mut guarantee: Option<&mut Option<GuaranteeFile>>,
        table: &Table<'_>,
        at: &str,
        prefix: &str,
    ) -> Read<()> {
        for (name, item) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let place = format!("{at}.{key}");
            if let Some(known) = Key::named(&key) {
                let value = self.value(known, item, &place)?;
                let from = (!self.built_in).then(|| self.location(item.span().start));
                profile.insert(known, Ruled { value, from });
            } else if let (DeValue::Table(inner), true) = (item.get_ref(), is_prefix(&key)) {
                let guarantee = guarantee.as_deref_mut();
                self.profile(profile, guarantee, inner, at, &format!("{key}."))?;
            } else if let ("memory.guarantee-file", Some(slot)) = (key.as_str(), &mut guarantee) {
                **slot = Some(self.guarantee_file(item, &place)?);
            } else {
                let known: Vec<&str> = Key::all().map(Key::name).collect();
                return Err(self.unknown(name.span(), &place, &known.join(", ")));
            }
        }
        Ok(())
    }

    fn value(&self, key: Key, item: &Item<'_>, at: &str) -> Read<Value> {
        let parsed = match item.get_ref() {
            DeValue::String(text) => Value::parse(key, text),
            DeValue::Boolean(on) if key.unit() == Unit::Switch => Ok(Value::Switch(*on)),
            DeValue::Integer(number) => {
                let radix = number.radix();
                match i64::from_str_radix(number.as_str(), radix) {
                    Ok(number) => Value::from_integer(key, number),
                    Err(_) => Value::parse(key, number.as_str()),
                }
            }
            DeValue::Array(pair) if key.unit() == Unit::Files => {
                let number = |i: usize| match pair.get(i).map(Spanned::get_ref) {
                    Some(DeValue::Integer(n)) => n.as_str().parse().ok(),
                    _ => None,
                };
                match (number(0), number(1), pair.len()) {
                    (Some(soft), Some(hard), 2) => Value::files(soft, hard),
                    _ => Value::parse(key, ""),
                }
            }
            other => {
                let problem = format!("a {} is not accepted here", other.type_str());
                return Err(self.error(item.span(), at, problem));
            }
        };
        parsed.map_err(|e| {
            let written = self.text.get(item.span()).unwrap_or_default();
            self.error(item.span(), at, format!("{written} is not accepted: {e}"))
        })
    }

    fn guarantee_file(&self, item: &Item<'_>, at: &str) -> Read<GuaranteeFile> {
        match self.text(item, at)? {
            "memory.min" => Ok(GuaranteeFile::Min),
            "memory.low" => Ok(GuaranteeFile::Low),
            _ => Err(self.error(item.span(), at, "expected memory.min or memory.low")),
        }
    }

    fn grant(&self, table: &Table<'_>, span: Range<usize>) -> Read<Grant> {
        let mut highest = None;
        let mut grant = Grant {
            highest: Priority::Scavenger,
            mode: None,
            from: self.location(span.start),
            namespace: None,
            outside_kubernetes: false,
            labels: Vec::new(),
            annotations: Vec::new(),
        };
        for (name, item) in table {
            let at = format!("grant.{}", name.get_ref());
            match name.get_ref().as_ref() {
                "highest" => highest = Some(self.priority(item, &at)?),
                "mode" => grant.mode = Some(self.mode(item, &at)?),
                "namespace" => grant.namespace = Some(WildMatch::new(self.text(item, &at)?)),
                "outside-kubernetes" => grant.outside_kubernetes = self.switch(item, &at)?,
                "pod-label" => self.patterns(&mut grant.labels, item, &at, "")?,
                "annotation" => self.patterns(&mut grant.annotations, item, &at, "")?,
                _ => {
                    let known =
                        "highest, mode, namespace, outside-kubernetes, pod-label, annotation";
                    return Err(self.unknown(name.span(), &at, known));
                }
            }
        }
        grant.highest = highest.ok_or_else(|| {
            self.error(
                span,
                "grant.highest",
                "is missing: which class may be claimed at most?",
            )
        })?;
        Ok(grant)
    }

    /// `pod-label.app = "web-*"`; dots in a label's name may stand unquoted.
    fn patterns(
        &self,
        into: &mut Vec<Pattern>,
        item: &Item<'_>,
        at: &str,
        prefix: &str,
    ) -> Read<()> {
        for (name, item) in self.table(item, at)? {
            let key = format!("{prefix}{}", name.get_ref());
            let place = format!("{at}.{}", name.get_ref());
            match item.get_ref() {
                DeValue::Table(_) => self.patterns(into, item, &place, &format!("{key}."))?,
                _ => into.push((key, WildMatch::new(self.text(item, &place)?))),
            }
        }
        Ok(())
    }

    fn limits(&self, table: &Table<'_>, span: Range<usize>) -> Read<NamespaceLimits> {
        let mut limits = NamespaceLimits {
            min: Profile::new(),
            max: Profile::new(),
            namespace: WildMatch::new("*"),
        };
        let mut named = false;
        for (name, item) in table {
            let at = format!("limits.{}", name.get_ref());
            match name.get_ref().as_ref() {
                "namespace" => {
                    limits.namespace = WildMatch::new(self.text(item, &at)?);
                    named = true;
                }
                "min" => self.profile(&mut limits.min, None, self.table(item, &at)?, &at, "")?,
                "max" => self.profile(&mut limits.max, None, self.table(item, &at)?, &at, "")?,
                _ => return Err(self.unknown(name.span(), &at, "namespace, min, max")),
            }
        }
        if !named {
            return Err(self.error(
                span,
                "limits.namespace",
                "is missing: whose limits are these?",
            ));
        }
        Ok(limits)
    }

    fn each<T>(
        &self,
        item: &Item<'_>,
        at: &str,
        read: impl Fn(&Table<'_>, Range<usize>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let DeValue::Array(items) = item.get_ref() else {
            return Err(self.error(item.span(), at, format!("write it as [[{at}]]")));
        };
        items
            .iter()
            .map(|item| read(self.table(item, at)?, item.span()))
            .collect()
    }

    fn table<'v>(&self, item: &'v Item<'_>, at: &str) -> Read<&'v Table<'v>> {
        match item.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.error(item.span(), at, "expected a table")),
        }
    }

    fn text<'v>(&self, item: &'v Item<'_>, at: &str) -> Read<&'v str> {
        match item.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.error(item.span(), at, "expected a text in quotes")),
        }
    }

    fn switch(&self, item: &Item<'_>, at: &str) -> Read<bool> {
        match item.get_ref() {
            DeValue::Boolean(on) => Ok(*on),
            _ => Err(self.error(item.span(), at, "expected true or false")),
        }
    }

    fn mode(&self, item: &Item<'_>, at: &str) -> Read<Mode> {
        let text = self.text(item, at)?;
        [Mode::Enforce, Mode::Audit, Mode::Off]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| {
                self.error(
                    item.span(),
                    at,
                    format!("{text:?} is not accepted: expected enforce, audit or off"),
                )
            })
    }

    fn priority(&self, item: &Item<'_>, at: &str) -> Read<Priority> {
        let text = self.text(item, at)?;
        text.parse()
            .map_err(|e| self.error(item.span(), at, format!("{text:?} is not accepted: {e}")))
    }

    fn location(&self, offset: usize) -> Location {
        Location {
            file: self.file.clone(),
            line: self.position(offset).0,
        }
    }

    /// Line and column, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        (line, column)
    }

    fn unknown(&self, span: Range<usize>, key: &str, known: &str) -> PolicyError {
        self.error(span, key, format!("no such key; known here: {known}"))
    }

    fn error(&self, span: Range<usize>, key: &str, problem: impl Into<String>) -> PolicyError {
        let (line, column) = self.position(span.start);
        PolicyError {
            file: self.file.to_string(),
            line,
            column,
            key: if key.is_empty() {
                String::new()
            } else {
                format!("{key}: ")
            },
            problem: problem.into(),
        }
    }
}

/// Whether some setting's name begins with `key.`.
fn is_prefix(key: &str) -> bool {
    Key::all().any(|k| {
        k.name()
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, Claimant};
    use super::*;
    use proptest::prelude::*;

    fn with(text: &str) -> Read<Policy> {
        let mut policy = Policy::built_in().unwrap();
        policy.merge("p.toml", text)?;
        Ok(policy)
    }

    #[test]
    fn the_built_in_policy_names_every_key_of_every_class() {
        let policy = Policy::built_in().unwrap();
        for class in Priority::ALL {
            for key in Key::all() {
                assert!(policy.class(class, key).is_some(), "{class} {key}");
            }
        }
    }

    #[test]
    fn a_file_overrides_only_what_it_names() {
        let policy =
            with("[class.low]\nmemory.limit = \"1Gi\"\n[class.low.cpu]\nquota = 75\n").unwrap();
        let low = |key| policy.class(Priority::Low, key).unwrap();
        assert_eq!(low(Key::MemoryLimit).value, Value::Number(1 << 30));
        assert_eq!(low(Key::CpuQuota).value, Value::Number(75_000));
        assert_eq!(low(Key::Pids).from, None);
        assert_eq!(low(Key::CpuQuota).from.as_ref().unwrap().line, 4);
    }

    #[test]
    fn mistakes_name_file_line_column_and_key() {
        for (text, want) in [
            (
                "[class.low]\n  pidz = 3\n",
                "p.toml:2:3: class.low.pidz: no such key; known here: cpu.shares,",
            ),
            (
                "[class.low]\nmemory.limit = \"768Mb\"",
                "p.toml:2:16: class.low.memory.limit: \"768Mb\" is not accepted: expected bytes such as 768Mi",
            ),
            (
                "[class.low]\npids = -4",
                "p.toml:2:8: class.low.pids: -4 is not accepted: expected a whole number",
            ),
            ("[class.low]\npids = 0", "expected 1 to 4194304"),
            ("[class.low]\nnofile = [9, 3]", "soft not above hard"),
            (
                "[class.low]\nhugepages = 1.5",
                "p.toml:2:13: class.low.hugepages: a float is not accepted here",
            ),
            (
                "[class.medium]\n",
                "p.toml:1:8: class.medium: no such class: expected one of critical",
            ),
            (
                "mode = \"on\"",
                "p.toml:1:8: mode: \"on\" is not accepted: expected enforce, audit or off",
            ),
            (
                "colour = 1",
                "p.toml:1:1: colour: no such key; known here: mode",
            ),
            ("[grant]\nhighest = \"low\"", "grant: write it as [[grant]]"),
            ("[[grant]]\nnamespace = \"x\"", "grant.highest: is missing"),
            ("[[limits]]\nmin.pids = 3", "limits.namespace: is missing"),
            (
                "[ceiling.low]\nmemory.guarantee-file = \"memory.min\"",
                "no such key",
            ),
            ("a = [", "p.toml:1:"),
            (
                "mode = \"audit\"\nmode = \"off\"",
                "p.toml:2:1: duplicate key",
            ),
        ] {
            let error = with(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text:?} gave: {error}");
        }
    }

    #[test]
    fn the_first_grant_that_matches_decides_and_later_files_come_first() {
        let policy = with("[[grant]]\nnamespace = \"pay-*\"\npod-label.app.tier = \"f*\"\nhighest = \"critical\"\nmode = \"audit\"").unwrap();
        let labels = [("app.tier".to_owned(), "front".to_owned())];
        let highest = |namespace, labels| {
            let claimant = Claimant {
                namespace,
                labels,
                annotations: &[],
            };
            policy.grant(&claimant).unwrap().highest
        };
        assert_eq!(highest(None, &[][..]), Priority::Critical);
        assert_eq!(highest(Some("kube-system"), &[][..]), Priority::Critical);
        assert_eq!(highest(Some("pay-1"), &[][..]), Priority::High);
        assert_eq!(highest(Some("pay-1"), &labels[..]), Priority::Critical);
        assert_eq!(highest(Some("other"), &labels[..]), Priority::High);
    }

    #[test]
    fn a_wrong_file_changes_nothing() {
        let mut policy = Policy::built_in().unwrap();
        assert!(policy.merge("p.toml", "mode = \"off\"\nwrong = 1").is_err());
        assert_eq!(policy.mode, Mode::Enforce);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\[|\\]|=|\"|\\.|class|low|pids|grant|[0-9]|\n| |é){0,40}") {
            let _ = with(&text);
        }

        #[test]
        fn a_cut_file_never_panics(end in 0usize..BUILT_IN.len()) {
            let text = BUILT_IN.get(..end).unwrap_or_default();
            let _ = with(text);
        }
    }
}
