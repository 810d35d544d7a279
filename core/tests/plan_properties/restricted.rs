//! `security: restricted` only ever tightens, and nothing else touches what it
//! touches.

use packrank_core::key::Key;
use packrank_core::value::{Security, Value as Planned};
use proptest::prelude::*;
use serde_json::Value;

use crate::{generate, hosts, ranked};

const SETS: [&str; 5] = [
    "bounding",
    "effective",
    "inheritable",
    "permitted",
    "ambient",
];

fn names(set: &Value) -> Vec<&str> {
    let names = set.as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_ever_tighter(case in generate::case(), kind in hosts::kind()) {
        let (policy, host) = (case.policy(), kind.host());
        let Some((plan, after)) = ranked(&case.text, &case, &policy, &host) else { return Ok(()) };
        let restricted = plan.value(Key::Security) == Some(&Planned::Security(Security::Restricted));
        let before: Value = serde_json::from_str(&case.text).unwrap();
        let after: Value = serde_json::from_str(&after).unwrap();
        let (was, is) = (&before["process"], &after["process"]);
        if !restricted {
            for member in ["noNewPrivileges", "capabilities", "user"] {
                prop_assert_eq!(&was[member], &is[member]);
            }
            prop_assert_eq!(&before["linux"]["seccomp"], &after["linux"]["seccomp"]);
            return Ok(());
        }
        prop_assert_eq!(&is["noNewPrivileges"], &Value::Bool(true));
        for set in SETS {
            let had = names(&was["capabilities"][set]);
            prop_assert!(is["capabilities"][set].is_array(), "{set} is left to the engine");
            for name in names(&is["capabilities"][set]) {
                prop_assert!(name == "CAP_NET_BIND_SERVICE" && had.contains(&name), "{set}: {name}");
            }
        }
        let own_root = before["linux"]["namespaces"].as_array().is_some_and(|n| n.iter().any(|n| n["type"] == "user"));
        for id in ["uid", "gid"] {
            let had = was["user"][id].as_u64().unwrap_or(0);
            let now = is["user"][id].as_u64().unwrap_or(0);
            let wanted = if had == 0 && !own_root { 65_534 } else { had };
            prop_assert_eq!(now, wanted, "{}", id);
        }
        prop_assert_eq!(&was["user"]["umask"], &is["user"]["umask"]);
        let groups = is["user"]["additionalGids"].as_array();
        prop_assert!(own_root || !groups.is_some_and(|groups| groups.contains(&Value::from(0))));
        match &before["linux"]["seccomp"] {
            Value::Null => prop_assert_eq!(&after["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO"),
            own => prop_assert_eq!(own, &after["linux"]["seccomp"]),
        }
    }
}

/// The filter as libseccomp reads it, for one call with one argument: whether
/// some rule lets it pass.
fn allows(profile: &Value, call: &str, index: u64, value: u64) -> bool {
    let rules = profile["syscalls"].as_array().unwrap();
    rules.iter().any(|rule| {
        let of = |arg: &Value| {
            assert_eq!(arg["op"], "SCMP_CMP_MASKED_EQ");
            let number = |name: &str| arg[name].as_u64().unwrap();
            number("index") == index && value & number("value") == number("valueTwo")
        };
        names(&rule["names"]).contains(&call)
            && rule["action"] == "SCMP_ACT_ALLOW"
            && rule["args"]
                .as_array()
                .is_none_or(|args| args.iter().all(of))
    })
}

#[test]
fn the_profile_keeps_files_in_their_quota() {
    let document = serde_json::json!({
        "annotations": {"packrank.io/priority": "low", "packrank.io/security": "restricted"},
        "linux": {},
    });
    let case = generate::Case {
        text: document.to_string(),
        claim: None,
        extra: String::new(),
        on_disk: false,
    };
    let host = hosts::HostKind::Two.host();
    let (_, after) = ranked(&case.text, &case, &case.policy(), &host).unwrap();
    let after: Value = serde_json::from_str(&after).unwrap();
    let profile = &after["linux"]["seccomp"];
    // TCGETS, FS_IOC_FSGETXATTR, and neighbours of the one that is refused.
    for request in [0x5401, 0x801c_581f, 0x401c_5821, 0x401c_5822, 0, u64::MAX] {
        assert!(allows(profile, "ioctl", 1, request), "{request:#x}");
    }
    for request in [0x401c_5820, 0x1_401c_5820, 0xffff_ffff_401c_5820] {
        assert!(!allows(profile, "ioctl", 1, request), "{request:#x}");
    }
    assert!(allows(profile, "clone", 0, 0x003d_0f00));
    assert!(!allows(profile, "clone", 0, 0x1000_0000));
    for call in [
        "file_setattr",
        "bpf",
        "mount",
        "unshare",
        "setns",
        "clone3",
        "ptrace",
    ] {
        assert!(!allows(profile, call, 0, 0), "{call}");
    }
    for call in ["read", "execve", "openat", "futex", "prctl"] {
        assert!(allows(profile, call, 0, 0), "{call}");
    }
}
