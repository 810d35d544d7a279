//! What holds for every plan, whatever the spec, annotations, policy and host.
//!
//! In: generated specs and hosts. Out: no panic; never looser than the spec or
//! than the plan says, by a reading of the spec that is not core's own
//! ([`effective`]); the same bytes when done twice; every other byte as it was.
#![allow(clippy::unwrap_used)]

mod effective;
mod generate;
mod hosts;
mod members;
mod restricted;
mod written;

use std::path::Path;

use effective::{Effective, Version};
use generate::Case;
use hosts::HostKind;
use packrank_core::annotation::Request;
use packrank_core::host::{Devices, Disk, Host};
use packrank_core::key::Key;
use packrank_core::plan::{self, Inputs, Plan};
use packrank_core::policy::Policy;
use packrank_core::rank::{Rank, RuntimeClaim};
use packrank_core::spec::{Device, Spec, rewrite};
use packrank_core::value::Value;
use proptest::prelude::*;

/// The two disks every host of these tests writes to.
fn disks() -> Devices {
    let disk = |minor, name: &str| Disk {
        device: Device { major: 8, minor },
        name: name.to_owned(),
    };
    Devices {
        disks: vec![disk(0, "sda"), disk(16, "sdb")],
        without: vec![(Path::new("/run/x").to_owned(), "tmpfs".to_owned())],
    }
}

/// The document with its plan written in; `None` where it is refused or not
/// ranked.
fn ranked(text: &str, case: &Case, policy: &Policy, host: &Host) -> Option<(Plan, String)> {
    let spec = Spec::parse(text.as_bytes()).ok()?;
    let pairs = spec.annotations.iter();
    let pairs = pairs.map(|(k, v)| (k.as_str(), v.as_str()));
    let request = Request::parse(pairs, spec.place.container.as_deref()).ok()?;
    let claim = case.claim.map(|priority| RuntimeClaim {
        priority,
        claimed: "--priority".to_owned(),
    });
    let rank = Rank::resolve(
        &request,
        claim.as_ref(),
        &spec.place,
        &spec.annotations,
        policy,
    );
    let rank = rank.ok()??;
    let disks = if case.on_disk {
        disks()
    } else {
        Devices::default()
    };
    let plan = plan::plan(Inputs {
        rank: &rank,
        request: &request,
        spec: &spec,
        policy,
        host,
        disks: &disks,
    })
    .ok()?;
    let document = rewrite(&spec, &plan, &host.cgroups).ok()?.render();
    Some((plan, document))
}

fn version(host: &Host) -> Version {
    if host.cgroups.v2() {
        Version::Two
    } else {
        Version::One
    }
}

/// Found by the property below: limit and swap together are more than the
/// spec has a number for.
#[test]
fn the_largest_numbers_are_planned_the_same_twice() {
    let unlimited = ["cpu.quota", "memory.limit", "memory.swap"];
    let unlimited = unlimited.map(|key| format!("{key} = \"unlimited\"\n"));
    let case = generate::Case {
        text: r#"{"annotations":{"packrank.io/priority":"low"},"linux":{"resources":{"unified":{"memory.max":"18446744073709551615","memory.swap.max":"1"}}}}"#.to_owned(),
        claim: None,
        extra: format!("[class.low]\n{}", unlimited.concat()),
        on_disk: false,
    };
    let (policy, host) = (case.policy(), hosts::HostKind::Two.host());
    let (_, once) = ranked(&case.text, &case, &policy, &host).unwrap();
    let (_, twice) = ranked(&once, &case, &policy, &host).unwrap();
    assert_eq!(once, twice);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_looser_than_the_spec(case in generate::case(), kind in hosts::kind()) {
        let (policy, host) = (case.policy(), kind.host());
        let Some((_, after)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        let before = Effective::of(&case.text, version(&host));
        let now = Effective::of(&after, version(&host));
        if let Some(looser) = now.looser_than(&before) {
            prop_assert!(false, "{looser}\nbefore: {}\nafter: {after}", case.text);
        }
    }

    #[test]
    fn never_looser_than_the_plan(case in generate::case(), kind in hosts::kind()) {
        let (policy, host) = (case.policy(), kind.host());
        let Some((plan, after)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        let now = Effective::of(&after, version(&host));
        if let Some(looser) = now.looser_than(&planned(&plan)) {
            prop_assert!(false, "{looser}\nbefore: {}\nafter: {after}", case.text);
        }
    }

    #[test]
    fn what_a_class_gives_is_the_most_without_annotations_or_policy(case in generate::case()) {
        let case = Case { extra: String::new(), ..case };
        let (policy, host) = (case.policy(), HostKind::Two.host());
        let Some((plan, after)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        let class = Effective::of_class(plan.rank.priority.name(), if case.on_disk { &[(8, 0), (8, 16)] } else { &[] });
        let now = Effective::of(&after, Version::Two);
        if let Some(looser) = now.looser_than(&class) {
            prop_assert!(false, "{looser}\nbefore: {}\nafter: {after}", case.text);
        }
    }

    #[test]
    fn planning_twice_gives_the_same_bytes(case in generate::case(), kind in hosts::kind()) {
        let (policy, host) = (case.policy(), kind.host());
        let Some((_, once)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        let again = ranked(&once, &case, &policy, &host);
        prop_assert!(again.is_some(), "our own spec is refused: {once}");
        prop_assert_eq!(again.map(|(_, text)| text), Some(once), "from {}", case.text);
    }

    #[test]
    fn every_other_byte_is_as_it_was(case in generate::case(), kind in hosts::kind()) {
        let (policy, host) = (case.policy(), kind.host());
        let Some((_, after)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        if let Err(difference) = members::same_elsewhere(&case.text, &after) {
            prop_assert!(false, "{difference}\nbefore: {}\nafter: {after}", case.text);
        }
    }

    #[test]
    fn a_damaged_document_never_panics(case in generate::case(), kind in hosts::kind(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (policy, host) = (case.policy(), kind.host());
        let mut bytes = case.text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes.clone()) {
            let _ = ranked(&text, &case, &policy, &host);
        }
        let cut = case.text.trim_end().len().saturating_sub(1).min(at);
        prop_assert!(Spec::parse(&case.text.as_bytes()[..case.text.floor_char_boundary(cut)]).is_err());
    }
}

/// A plan's limits as they must come out.
fn planned(plan: &Plan) -> Effective {
    let number = |key| plan.number(key).map(u128::from);
    let files = match plan.value(Key::Nofile) {
        Some(Value::Files { soft, hard }) => Some((*soft, *hard)),
        _ => None,
    };
    let throttles = [
        // Only those of its disks: others are the spec's own business.
        Key::IoReadIops,
        Key::IoWriteIops,
        Key::IoReadBps,
        Key::IoWriteBps,
    ];
    let throttles = throttles.map(|key| {
        let devices = plan.disks.iter().map(|d| (d.device.major, d.device.minor));
        let rate = number(key);
        devices.filter_map(|d| Some((d, rate?))).collect()
    });
    Effective::new(
        number(Key::MemoryLimit),
        number(Key::MemorySwap),
        number(Key::MemoryHigh),
        // Thousandths of a percent, rounded down; no quota is below 1 ms.
        number(Key::CpuQuota).map(|share| (share.max(1_000) + 1, 100_000)),
        number(Key::Pids),
        files,
        throttles,
    )
}
