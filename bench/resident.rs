//! Whether anything of ours stays while a container runs.

use std::fs;
use std::path::Path;

use packrank_tests::bundle::Bundle;
use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::place::{Place, quiet};
use crate::table;

pub fn while_a_container_runs(place: &Place) {
    table::section("Resident while a ranked container runs");
    let bundle = Bundle::busybox(&place.path("resident"), &["sleep", "60"], |spec| {
        spec["annotations"] = json!({ "packrank.io/priority": "low" });
    });
    let (Some(bundle), Some(engine)) = (bundle, place.installed("runc")) else {
        return skipped("what stays resident", "no busybox or no runc");
    };
    let root = place.path("root-resident");
    let call = |args: &[&str]| {
        let mut command = quiet(&place.runtime);
        command
            .arg("--engine")
            .arg(&engine)
            .arg("--root")
            .arg(&root)
            .args(args);
        command.status().is_ok_and(|status| status.success())
    };
    let bundle = bundle.path.to_str().unwrap();
    let ran = call(&["create", "--bundle", bundle, "packrank-bench-r"])
        && call(&["start", "packrank-bench-r"]);
    let ours = processes_of(&place.runtime);
    call(&["delete", "--force", "packrank-bench-r"]);
    if ran {
        table::result(
            &format!("processes of packrank-runtime: {ours} (goal 0)"),
            json!({ "name": "processes of packrank-runtime", "count": ours }),
        );
    } else {
        skipped("what stays resident", "runc does not run a container here");
    }
}

fn processes_of(program: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path().join("exe")).ok());
    links.filter(|link| link == program).count()
}
