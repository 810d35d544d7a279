//! The built-in policy without the cost of reading it.
//!
//! In: nothing. Out: what reading `default-policy.toml` gives. The table is
//! written by the test below (`UPDATE_BUILT_IN=1 cargo test -p packrank-core
//! built_in`), which fails when it and the file differ.

mod table;

use wildmatch::WildMatch;

use super::{Grant, GuaranteeFile, Location, Policy, Ruled};
use crate::Priority;

/// Every class's values, in the order of [`Priority`] and of
/// [`crate::key::Key`].
pub(super) type Classes = [[Ruled; 29]; 5];

/// A grant of the built-in policy: its line, its highest class, its namespace,
/// and whether it is for containers outside Kubernetes.
type GrantRow = (usize, Priority, Option<&'static str>, bool);

pub(super) fn policy() -> Policy {
    let mut policy = Policy::empty();
    policy.base = Some(&table::CLASSES);
    for (class, file) in policy.classes.iter_mut().zip(table::GUARANTEE_FILES) {
        class.guarantee_file = Some(file);
    }
    let file: std::sync::Arc<str> = "built-in policy".into();
    let grant = |(line, highest, namespace, outside_kubernetes): &GrantRow| Grant {
        highest: *highest,
        mode: None,
        from: Location {
            file: file.clone(),
            line: *line,
        },
        namespace: namespace.map(WildMatch::new),
        outside_kubernetes: *outside_kubernetes,
        labels: Vec::new(),
        annotations: Vec::new(),
    };
    policy.grants = table::GRANTS.iter().map(grant).collect();
    policy
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, read};
    use super::*;
    use crate::key::Key;
    use crate::value::Value;
    use std::fmt::Write;

    fn value(value: &Value) -> String {
        match value {
            Value::Unlimited => "UNLIMITED".to_owned(),
            Value::Number(n) => format!("number({n})"),
            Value::Share(n) => format!("of(Value::Share({n}))"),
            Value::Score(n) => format!("of(Value::Score({n}))"),
            Value::Switch(on) => format!("of(Value::Switch({on}))"),
            Value::Files { soft, hard } => format!("files({soft}, {hard})"),
            Value::Affinity(all) => format!("of(Value::Affinity(Affinity::{all:?}))"),
            Value::Dscp(dscp) => format!("of(Value::Dscp({dscp:?}))"),
            Value::IoPriority(p) => format!("of(Value::IoPriority(IoPriority::{p:?}))"),
            Value::Security(preset) => format!("of(Value::Security(Security::{preset:?}))"),
            Value::Cpus(_) => unreachable!("a policy knows no host"),
        }
    }

    /// `table.rs`, as the policy file wants it.
    fn table(policy: &Policy) -> String {
        let mut out = String::from(include_str!("built_in/head.txt"));
        out.push_str("#[rustfmt::skip]\npub(super) static CLASSES: Classes = [\n");
        for class in Priority::ALL {
            writeln!(out, "    // {class}\n    [").unwrap();
            for key in Key::all() {
                let ruled = policy.class(class, key).unwrap();
                assert_eq!(ruled.from, None);
                writeln!(out, "        {}, // {key}", value(&ruled.value)).unwrap();
            }
            out.push_str("    ],\n");
        }
        out.push_str(
            "];\n\n#[rustfmt::skip]\npub(super) const GUARANTEE_FILES: [GuaranteeFile; 5] = [\n",
        );
        for class in Priority::ALL {
            let file = policy.guarantee_file(class);
            writeln!(out, "    GuaranteeFile::{file:?}, // {class}").unwrap();
        }
        let grants = policy.grants();
        writeln!(
            out,
            "];\n\n#[rustfmt::skip]\npub(super) const GRANTS: [GrantRow; {}] = [",
            grants.len()
        )
        .unwrap();
        for grant in grants {
            let Grant { highest, from, .. } = grant;
            let namespace = grant.namespace.as_ref().map(ToString::to_string);
            let outside = grant.outside_kubernetes;
            let line = from.line;
            writeln!(
                out,
                "    ({line}, Priority::{highest:?}, {namespace:?}, {outside}),"
            )
            .unwrap();
            // What the table cannot say must not be in the file.
            assert!(grant.mode.is_none() && grant.labels.is_empty());
            assert!(grant.annotations.is_empty() && &*from.file == "built-in policy");
        }
        out.push_str("];\n");
        out
    }

    #[test]
    fn the_table_is_what_the_file_says() {
        let mut policy = Policy::empty();
        read::merge(&mut policy, "built-in policy", BUILT_IN, true).unwrap();
        let empty = Policy::empty();
        assert_eq!((policy.mode, policy.strict), (empty.mode, empty.strict));
        assert_eq!((policy.default_class, &policy.engine), (None, &None));
        assert!(policy.limits.is_empty() && policy.watch.is_empty());
        for class in &policy.classes {
            assert!(class.ceiling.is_empty() && class.floor.is_empty());
        }
        let want = table(&policy);
        if std::env::var_os("UPDATE_BUILT_IN").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/built_in/table.rs");
            std::fs::write(path, &want).unwrap();
        }
        assert!(
            want == include_str!("built_in/table.rs"),
            "default-policy.toml changed: UPDATE_BUILT_IN=1 cargo test -p packrank-core built_in"
        );
        assert_eq!(table(&super::policy()), want);
    }
}
