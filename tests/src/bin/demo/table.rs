//! One class: asked, planned, found.
//!
//! In: a class. Out: its table on stdout, and how many lines of it differ.

use std::path::Path;

use packrank_core::Priority;
use packrank_core::host::Roots;
use packrank_core::key::Key;
use packrank_core::plan::Origin;
use packrank_core::policy::Policy;
use packrank_shim::planning;

use crate::container::{Container, Programs};
use packrank_tests::kernel;

use crate::{Outcome, bundle};

/// Runs a container of the class and prints what became of it.
pub fn class(programs: &Programs, folder: &Path, class: Priority) -> Outcome<usize> {
    let bundle = bundle::make(folder, class.name(), class, "sleep 600", None)?;
    let document = std::fs::read(bundle.join("config.json"))?;
    let policy = Policy::built_in()?;
    let planned = planning::plan(&document, &bundle, None, &policy, Roots::own())?;
    let planned = planned.ok_or("the demo's own bundle is not ranked")?;
    let container = Container::run(programs, &bundle)?;
    let mut wrong = 0;
    println!("packrank.io/priority: {class}");
    println!(
        "  {:<18} {:>13} {:>13}  {:<32} {:>11}",
        "setting", "asked", "planned", "the kernel's own file", "found"
    );
    for setting in &planned.plan.settings {
        let key = setting.key;
        let Some(value) = &setting.value else {
            continue;
        };
        let v2 = planned.host.cgroups.v2();
        let Some(reading) = kernel::read(container.pid, key, &planned.plan, v2) else {
            continue;
        };
        let same = reading.planned == reading.found;
        wrong += usize::from(!same);
        let mark = if same {
            "ok".to_owned()
        } else {
            format!("DIFFERS: planned {}", reading.planned)
        };
        let asked = policy.class(class, key).map(|ruled| ruled.value.show(key));
        println!(
            "  {:<18} {:>13} {:>13}  {:<32} {:>11}  {mark}",
            key.name(),
            asked.unwrap_or_default(),
            value.show(key),
            reading.place,
            reading.found
        );
    }
    let by_host = planned
        .plan
        .settings
        .iter()
        .filter(|s| s.origin == Origin::Host);
    for setting in by_host.filter(|s| s.value.is_some()) {
        println!(
            "  {}: {}",
            setting.key,
            setting.note.as_deref().unwrap_or_default()
        );
    }
    let left_out = planned.plan.settings.iter().filter(|s| s.value.is_none());
    let left_out: Vec<&str> = left_out.map(|s| s.key.name()).collect();
    if !left_out.is_empty() {
        println!("  left out on this host: {}", left_out.join(", "));
    }
    if planned.plan.value(Key::NetworkEgress).is_some() {
        println!("  network and disk space: see packrank explain");
    }
    println!();
    Ok(wrong)
}
