//! What a container may open.

use serde_json::json;

use crate::lab::Lab;

/// Opens a device that no driver serves: what is forbidden and what is absent are told apart.
const SCRIPT: &str = "mknod /tmp/odd c 240 9; (: < /tmp/odd) 2>&1; echo x > /dev/null && echo null";

#[test]
fn only_what_is_allowed() {
    let (forbidden, allowed) = ("not permitted", "No such device");
    for (rules, wanted) in [
        (json!(null), forbidden),
        (json!([]), forbidden),
        (json!([{"allow": false, "access": "rwm"}]), forbidden),
        (
            json!([{"allow": true, "type": "b", "major": 240, "minor": 9, "access": "rwm"}]),
            forbidden,
        ),
        (
            json!([{"allow": true, "type": "c", "major": 240, "minor": 9, "access": "w"}]),
            forbidden,
        ),
        (
            json!([{"allow": true, "type": "c", "major": 240, "minor": 9, "access": "r"}]),
            allowed,
        ),
        (
            json!([{"allow": true, "type": "c", "major": 240, "access": "rw"}]),
            allowed,
        ),
        (
            json!([{"allow": false}, {"allow": true, "access": "rwm"}]),
            allowed,
        ),
    ] {
        let Some(lab) = Lab::new(|config| {
            config["process"]["args"] = json!(["/bin/sh", "-c", SCRIPT]);
            config["linux"]["resources"] = json!({"devices": rules});
            if rules.is_null() {
                config["linux"].as_object_mut().unwrap().remove("resources");
            }
        }) else {
            return;
        };
        let said = lab.run();
        assert!(
            said.stdout.contains(wanted) && said.stdout.ends_with("null\n"),
            "{rules}: {said:?}"
        );
    }
}
