//! annotations.md says what the code does: every key and control, its range,
//! its rule and each class's default; and nothing that the code does not know.

use packrank_core::Priority;
use packrank_core::annotation::{Request, controls};
use packrank_core::key::{Key, Rule, Unit};
use packrank_core::policy::Policy;
use packrank_core::value::Value;

use crate::run::root;

/// Name and text of each annotation's section.
fn sections() -> Vec<(String, String)> {
    let path = root().join("../annotations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() {
            let name = heading.trim().strip_prefix("`packrank.io/");
            inside = name.is_some();
            if let Some(name) = name {
                found.push((name.strip_suffix('`').unwrap().to_owned(), String::new()));
            }
        } else if let (true, Some((_, text))) = (inside, found.last_mut()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    found
}

fn point<'t>(text: &'t str, name: &str) -> &'t str {
    let start = format!("- {name}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn every_annotation_has_its_section_and_no_other_has() {
    let documented: Vec<String> = sections().into_iter().map(|(name, _)| name).collect();
    let known = controls().iter().copied().chain(Key::all().map(Key::name));
    let known: Vec<&str> = known.collect();
    assert_eq!(documented, known);
}

#[test]
fn no_other_annotation_is_mentioned() {
    let text = std::fs::read_to_string(root().join("../annotations.md")).unwrap();
    for (at, start) in text.match_indices("packrank.io/") {
        let rest = &text[at + start.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || ".-".contains(c)));
        let name = &rest[..end.unwrap_or(rest.len())];
        let known = name.is_empty() || controls().contains(&name) || Key::named(name).is_some();
        assert!(known, "packrank.io/{name}");
    }
}

#[test]
fn settings_have_the_codes_range_and_rule() {
    for (name, text) in sections() {
        let Some(key) = Key::named(&name) else {
            continue;
        };
        assert_eq!(point(&text, "Range"), range(key), "{name}");
        let rule = match key.rule() {
            Rule::Limit => "limit",
            Rule::Class => "class",
            Rule::Guarantee => "guarantee",
        };
        assert_eq!(point(&text, "Rule"), rule, "{name}");
        let unlimited = Value::parse(key, "unlimited").is_ok();
        let said = point(&text, "Type").contains("`unlimited`");
        assert_eq!(unlimited, said, "{name}");
        for version in ["cgroup v2", "cgroup v1"] {
            assert!(!point(&text, version).is_empty(), "{name}");
        }
    }
}

fn range(key: Key) -> String {
    let (least, most) = key.range();
    let show = |n: i64| match u64::try_from(n) {
        Ok(n) => Value::Number(n).show(key),
        Err(_) => n.to_string(),
    };
    match key.unit() {
        Unit::Switch => "true or false".to_owned(),
        Unit::Cpus | Unit::IoPriority | Unit::Security => {
            let form = Value::parse(key, "?").unwrap_err().to_string();
            form.strip_prefix("expected ").unwrap().to_owned()
        }
        _ if most == i64::MAX => format!("at least {}", show(least)),
        _ => format!("{} to {}", show(least), show(most)),
    }
}

#[test]
fn settings_have_the_built_in_policys_defaults() {
    let policy = Policy::built_in().unwrap();
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let classes = || Priority::ALL.into_iter().rev();
    let heading = row(classes().map(|c| c.to_string()).collect());
    for (name, text) in sections() {
        let Some(key) = Key::named(&name) else {
            continue;
        };
        let default = |class| policy.class(class, key).unwrap().value.show(key);
        let defaults = row(classes().map(default).collect());
        let table = format!("{heading}\n|---|---|---|---|---|\n{defaults}\n");
        assert!(text.contains(&table), "{name}: wanted\n{table}in\n{text}");
    }
}

#[test]
fn what_the_controls_sections_quote_is_accepted() {
    for (name, text) in sections() {
        if Key::named(&name).is_some() {
            continue;
        }
        let quoted = point(&text, "Type").split('`').skip(1).step_by(2);
        let annotation = format!("packrank.io/{name}");
        for value in quoted {
            let request = Request::parse([(annotation.as_str(), value)], None);
            assert!(request.is_ok(), "{annotation}: {value}");
        }
        let default = point(&text, "Default");
        assert!(!default.is_empty(), "{name}");
    }
}

#[test]
fn values_that_are_quoted_for_a_setting_are_accepted() {
    for (name, text) in sections() {
        let Some(key) = Key::named(&name) else {
            continue;
        };
        for value in point(&text, "Type").split('`').skip(1).step_by(2) {
            let parsed = Value::parse(key, value);
            // Examples are of the form; some are outside a key's own range.
            let outside = parsed
                .as_ref()
                .is_err_and(|e| e.to_string().contains(" to "));
            assert!(parsed.is_ok() || outside, "{name}: {value}: {parsed:?}");
        }
    }
}
