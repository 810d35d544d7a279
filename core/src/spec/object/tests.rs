//! Objects that are edited, and that stay as they were.

use super::*;
use proptest::prelude::*;

#[test]
fn only_what_was_set_differs() {
    let text = "{ \"a\" : 1,\n\t\"b\":{\"c\": [1, 2],  \"d\":null} ,\"z\": 1e5 }\n";
    let mut doc = Object::parse(text, "").unwrap();
    assert_eq!(doc.render(), text);
    doc.inside("b").unwrap().set("d", "7".to_owned()).unwrap();
    doc.inside("b")
        .unwrap()
        .set("e", "\"x\"".to_owned())
        .unwrap();
    assert_eq!(
        doc.render(),
        "{ \"a\" : 1,\n\t\"b\":{\"c\": [1, 2],  \"d\":7,\"e\":\"x\"} ,\"z\": 1e5 }\n"
    );
}

#[test]
fn absent_objects_are_made_only_when_something_goes_in() {
    let mut doc = Object::parse("{ }", "").unwrap();
    doc.inside("linux").unwrap().inside("resources").unwrap();
    assert_eq!(doc.render(), "{ }");
    let resources = doc.inside("linux").unwrap().inside("resources").unwrap();
    resources.set("a", "1".to_owned()).unwrap();
    resources.set("b", "2".to_owned()).unwrap();
    resources.set("a", "3".to_owned()).unwrap();
    assert_eq!(doc.render(), r#"{"linux":{"resources":{"a":3,"b":2}} }"#);
}

#[test]
fn removing_takes_the_comma_along() {
    let text = r#"{ "a": 1, "b": 2 , "c": 3 }"#;
    for (gone, want) in [
        (&["a"][..], r#"{ "b": 2 , "c": 3 }"#),
        (&["b"], r#"{ "a": 1 , "c": 3 }"#),
        (&["c"], r#"{ "a": 1, "b": 2 }"#),
        (&["a", "b"], r#"{ "c": 3 }"#),
        (&["a", "b", "c"], "{ }"),
        (&["x"], text),
    ] {
        let mut doc = Object::parse(text, "").unwrap();
        for key in gone {
            doc.remove(key).unwrap();
        }
        assert_eq!(doc.render(), want);
        doc.set("n", "0".to_owned()).unwrap();
        assert!(Object::parse(&doc.render(), "").is_ok(), "{}", doc.render());
    }
}

#[test]
fn a_member_twice_is_refused_only_when_it_matters() {
    let doc = Object::parse(r#"{"a":1,"b":2,"a":3}"#, "").unwrap();
    assert_eq!(doc.raw("b").unwrap(), Some("2"));
    assert_eq!(doc.raw("a").unwrap_err().to_string(), "a stands twice");
    assert_eq!(doc.render(), r#"{"a":1,"b":2,"a":3}"#);
}

#[test]
fn a_name_that_differs_in_case_only_is_refused_where_it_matters() {
    for name in ["Linux", "LINUX", "linu\\u0058", "lin\\u0075X"] {
        let text = format!(r#"{{"{name}":{{}},"other":{{}}}}"#);
        let mut doc = Object::parse(&text, "").unwrap();
        assert!(doc.object("other").is_ok());
        for error in [
            doc.raw("linux").unwrap_err(),
            doc.inside("linux").unwrap_err(),
        ] {
            let said = error.to_string();
            assert!(said.starts_with("linux stands there as"), "{said}");
        }
    }
    let doc = Object::parse("{\"bloc\u{212a}IO\":1,\"Ba\u{17f}e\":1}", "").unwrap();
    assert!(doc.raw("blockIO").is_err() && doc.raw("base").is_err());
    assert!(doc.raw("block").is_ok());
    let items = Object::parse(r#"{"a":[{"B":1}]}"#, "").unwrap();
    let items = items.items("a").unwrap();
    let said = items[0].read::<u8>("b").unwrap_err().to_string();
    assert!(said.starts_with("a[0].b stands there as \"B\""), "{said}");
}

#[test]
fn escaped_names_are_the_same_names() {
    let mut doc = Object::parse(r#"{"l\u0069nux":{}}"#, "").unwrap();
    doc.inside("linux")
        .unwrap()
        .set("x", "1".to_owned())
        .unwrap();
    assert_eq!(doc.render(), r#"{"l\u0069nux":{"x":1}}"#);
}

#[test]
fn what_is_no_object_is_named() {
    for text in ["", "[]", "{", "1", "{\"a\":}", "{} {}", "null"] {
        assert!(Object::parse(text, "").is_err(), "{text}");
    }
    let doc = Object::parse(r#"{"linux":[1]}"#, "").unwrap();
    let error = doc.object("linux").unwrap_err().to_string();
    assert!(error.starts_with("linux: "), "{error}");
}

#[test]
fn deep_nesting_that_is_not_looked_at_passes() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut doc = Object::parse(&deep, "").unwrap();
    doc.set("y", "1".to_owned()).unwrap();
    assert!(doc.render().ends_with("],\"y\":1}"));
}

/// Any JSON value, as text with odd white space.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just(" -1.5e3".to_owned()),
        "[a-zé\\\\\"]{0,5}".prop_map(|s| quote(&s)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let member =
            ("[a-c]{1,2}", inner.clone()).prop_map(|(k, v)| format!(" {}:\t{v} ", quote(&k)));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|v| format!("{{{}}}", v.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn unedited_objects_render_as_they_were(text in any_json()) {
        if let Ok(doc) = Object::parse(&text, "") {
            prop_assert_eq!(doc.render(), text);
        }
    }

    #[test]
    fn an_edit_is_valid_json_and_repeating_it_changes_nothing(text in any_json(), key in "[a-d]") {
        if let Ok(mut doc) = Object::parse(&text, "")
            && doc.set(&key, "42".to_owned()).is_ok()
        {
            let once = doc.render();
            let mut again = Object::parse(&once, "").unwrap();
            prop_assert_eq!(again.read::<u8>(&key).unwrap(), Some(42));
            again.set(&key, "42".to_owned()).unwrap();
            prop_assert_eq!(again.render(), once);
        }
    }
}
