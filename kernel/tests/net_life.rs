//! From the first apply to the last trace: what is found, what is changed in
//! place, what is refused, and that nothing stays behind.

use std::os::fd::AsFd;

use packrank_kernel::net::{
    Error, Guard, Means, Note, Object, Ours, Rate, Shape, Target, apply, list_ours, read, remove,
};

use crate::net_lab::{Container, NO_GUARD, both, megabits, on_a_host, sh};

const GUARD: Guard = Guard {
    connections: Some(1000),
    new_connections: Some(100),
    packets: Some(833),
    dscp: Some(8),
};

/// Everything an apply could leave on the host.
fn traces() -> String {
    sh("tc qdisc show | grep -v noqueue; nft list ruleset; ip -o link show type ifb; true")
}

#[test]
fn the_second_apply_changes_nothing_and_removal_leaves_nothing() {
    on_a_host(|_| {
        let clean = traces();
        let container = Container::with_veth("idempotent", 10);
        let before = traces();
        let shape = both(megabits(10));
        let first = container.apply(&shape, &GUARD);
        assert!(first.changed, "{first:?}");
        let events = sh("ip -o link show type ifb");
        let second = container.apply(&shape, &GUARD);
        assert!(!second.changed, "{second:?}");
        assert_eq!(first.made, second.made);
        assert_eq!(events, sh("ip -o link show type ifb"));

        let freed = container.apply(&Shape::default(), &NO_GUARD);
        assert!(freed.changed);
        assert_eq!(traces(), before, "a container without limits is as it was");
        assert_eq!(container.sh("nft list ruleset"), "");

        container.apply(&shape, &GUARD);
        drop(container);
        sh("ip link del veth10 2>/dev/null; true");
        let removed = remove("idempotent").unwrap();
        assert_eq!(removed.len(), 2, "{removed:?}");
        assert_eq!(traces(), clean);
        assert_eq!(remove("idempotent").unwrap(), []);
    });
}

#[test]
fn rates_change_in_place() {
    on_a_host(|_| {
        let container = Container::with_veth("live", 10);
        container.apply(&both(megabits(10)), &GUARD);
        let qdiscs = || {
            sh(
                "tc qdisc show | grep -o '^qdisc htb .* r2q'; tc class show dev veth10 | grep -c htb",
            )
        };
        let before = qdiscs();
        let handles = || {
            sh(
                "nft -a list table netdev $(nft list tables netdev | cut -d' ' -f3) | grep -o 'forward.*'",
            )
        };
        let forward = handles();
        let rate = Rate {
            bits_per_second: 7_300_000,
            burst_bits: 1_000_000,
        };
        let guard = Guard {
            packets: Some(500),
            ..GUARD
        };
        let changed = container.apply(&both(rate), &guard);
        assert!(changed.changed);
        assert_eq!(qdiscs(), before, "the qdiscs are the same ones");
        assert_eq!(
            handles(),
            forward,
            "the neighbouring rules are the same ones"
        );
        let status = read("live", container.fd()).unwrap();
        assert_eq!(status.egress[0].rate, rate);
        assert_eq!(status.ingress[0].rate, rate);
        assert_eq!(status.guard, guard);
    });
}

#[test]
fn the_host_itself_is_refused() {
    on_a_host(|host| {
        let clean = traces();
        let target = Target {
            id: "on-the-host",
            netns: host.namespace.as_fd(),
            net_admin: false,
            net_raw: false,
        };
        let applied = apply(&target, &both(megabits(1)), &GUARD, &Default::default()).unwrap();
        assert_eq!(applied.notes, [Note::HostNetwork]);
        assert_eq!(applied.made, []);
        assert_eq!(traces(), clean);
    });
}

#[test]
fn every_veth_is_found_and_no_other_interface_touched() {
    on_a_host(|_| {
        let container = Container::with_veth("many", 10);
        container.veth(11, "net1");
        container.veth(12, "net2");
        let stranger = Container::with_veth("stranger", 13);
        // Inside the container: its own bridge and a pair that leads to a
        // namespace below it, as a container engine in a container has.
        container.sh(
            "ip link add br0 type bridge; ip link set br0 up; ip link add name a type veth peer name b",
        );
        let nested = Container::new("nested");
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&nested.namespace);
        let this = std::process::id();
        container.sh(&format!(
            "ip link set dev b netns /proc/{this}/fd/{descriptor}"
        ));

        let applied = container.apply(&both(megabits(10)), &NO_GUARD);
        let mut hosts: Vec<_> = applied
            .interfaces
            .iter()
            .filter_map(|i| i.host.clone())
            .collect();
        hosts.sort();
        assert_eq!(hosts, ["veth10", "veth11", "veth12"]);
        assert!(
            applied
                .notes
                .contains(&Note::EachInterface { interfaces: 3 })
        );
        assert!(applied.notes.contains(&Note::PeerElsewhere {
            interface: "a".into()
        }));
        let shaped = sh("tc qdisc show | grep htb");
        assert_eq!(
            shaped.lines().count(),
            4,
            "three veths and one ifb:\n{shaped}"
        );
        assert!(!sh("tc qdisc show dev veth13").contains("htb"));
        assert_eq!(container.sh("tc qdisc show | grep -c htb || true"), "0\n");
        drop(stranger);
    });
}

#[test]
fn a_macvlan_is_shaped_inside_with_a_note() {
    on_a_host(|_| {
        sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
        let container = Container::new("macvlan");
        container.give(
            "ip link add link up0 name mac0 type macvlan mode bridge",
            "mac0",
        );
        container.sh("ip addr add 10.50.0.2/24 dev mac0; ip link set mac0 up");
        let before = traces();
        let applied = container.apply(&both(megabits(10)), &GUARD);
        assert!(applied.notes.contains(&Note::ShapedInside {
            interface: "mac0".into(),
            kind: "macvlan".into()
        }));
        assert!(container.sh("tc qdisc show dev mac0").contains("htb"));
        assert_eq!(traces(), before, "the host is untouched");
        let status = read("macvlan", container.fd()).unwrap();
        assert_eq!(status.egress[0].interface, "mac0");
        assert_eq!(status.egress[0].rate, megabits(10));
        assert_eq!(status.ingress[0].rate, megabits(10));
        assert_eq!(status.guard, GUARD);
    });
}

#[test]
fn a_container_without_a_network_gets_a_note() {
    on_a_host(|_| {
        let clean = traces();
        let container = Container::new("alone");
        let applied = container.apply(&both(megabits(10)), &GUARD);
        assert_eq!(applied.notes, [Note::NoInterface]);
        assert!(!applied.changed);

        // What pasta and slirp4netns make.
        container.sh("ip tuntap add tap0 mode tap");
        let applied = container.apply(&both(megabits(10)), &GUARD);
        assert_eq!(
            applied.notes,
            [Note::UserMode {
                interface: "tap0".into()
            }]
        );
        assert_eq!(traces(), clean);
    });
}

#[test]
fn somebody_elses_qdisc_is_left_alone() {
    on_a_host(|_| {
        let container = Container::with_veth("foreign", 10);
        sh("tc qdisc add dev veth10 root handle 1: tbf rate 5mbit burst 64k latency 50ms");
        let before = sh("tc qdisc show dev veth10");
        let applied = container.apply(&both(megabits(10)), &NO_GUARD);
        assert!(applied.notes.contains(&Note::Foreign {
            interface: "veth10".into(),
            kind: "tbf".into()
        }));
        assert_eq!(sh("tc qdisc show dev veth10"), before);

        let container = Container::with_veth("foreign-filter", 11);
        sh("tc qdisc add dev veth11 clsact
            tc filter add dev veth11 ingress prio 1 u32 match u32 0 0 action ok 2>/dev/null ||
                tc filter add dev veth11 ingress prio 1 u32 match u32 0 0 classid :1");
        let before = sh("tc filter show dev veth11 ingress");
        let applied = container.apply(&both(megabits(10)), &NO_GUARD);
        assert!(applied.notes.contains(&Note::Foreign {
            interface: "veth11".into(),
            kind: "filter on arrivals".into()
        }));
        assert_eq!(sh("tc filter show dev veth11 ingress"), before);
    });
}

#[test]
fn what_belongs_to_another_is_not_taken() {
    on_a_host(|_| {
        let container = Container::with_veth("mine", 10);
        let applied = container.apply(&both(megabits(10)), &NO_GUARD);
        let Some(Object::Ifb(name)) = applied.made.iter().find(|o| matches!(o, Object::Ifb(_)))
        else {
            panic!("{applied:?}");
        };
        sh(&format!("ip link set {name} alias 'packrank yours'"));
        let error = container
            .try_apply(&both(megabits(5)), &NO_GUARD)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Taken { owner, .. } if owner == "yours"),
            "{error}"
        );
        assert!(remove("mine").is_err());
        assert!(sh("ip link show type ifb").contains(name));
    });
}

#[test]
fn without_the_mark_an_administrators_limits_sit_inside_and_say_so() {
    on_a_host(|_| {
        let container = Container::with_veth("unmarked", 10);
        let target = Target {
            net_admin: true,
            ..container.target()
        };
        let means = Means {
            forward: false,
            ..Means::default()
        };
        let applied = apply(&target, &both(megabits(10)), &GUARD, &means).unwrap();
        assert!(applied.notes.contains(&Note::WithinReach), "{applied:?}");
        assert!(container.sh("nft list ruleset").contains("ct count"));
        // Once it can be marked, the limits move out of its reach.
        let applied = apply(&target, &both(megabits(10)), &GUARD, &Means::default()).unwrap();
        assert!(!applied.notes.contains(&Note::WithinReach), "{applied:?}");
        assert_eq!(container.sh("nft list ruleset"), "");
        assert!(sh("nft list ruleset").contains("ct count"));
    });
}

#[test]
fn what_is_ours_names_its_owner() {
    on_a_host(|_| {
        sh("ip link add ifb-theirs type ifb; nft add table inet theirs");
        let container = Container::with_veth("sandbox-1", 10);
        container.apply(&both(megabits(10)), &GUARD);
        let ours = list_ours().unwrap();
        assert_eq!(ours.len(), 2, "{ours:?}");
        assert!(
            ours.iter()
                .all(|found| found.owner.as_deref() == Some("sandbox-1"))
        );
        remove("sandbox-1").unwrap();
        assert_eq!(list_ours().unwrap(), []);
        assert!(sh("ip link; nft list tables").contains("theirs"));
    });
}

#[test]
fn values_out_of_range_are_refused_before_anything_is_done() {
    on_a_host(|_| {
        let container = Container::with_veth("range", 10);
        let before = traces();
        let zero = Guard {
            packets: Some(0),
            ..NO_GUARD
        };
        let no_rate = Rate {
            bits_per_second: 0,
            burst_bits: 0,
        };
        for (shape, guard) in [
            (Shape::default(), zero),
            (
                Shape::default(),
                Guard {
                    dscp: Some(64),
                    ..NO_GUARD
                },
            ),
            (both(no_rate), NO_GUARD),
        ] {
            let error = container.try_apply(&shape, &guard).unwrap_err();
            assert!(matches!(error, Error::Range { .. }), "{error}");
        }
        assert_eq!(traces(), before);
    });
}

/// By interfaces that are there, however arrivals are redirected.
#[test]
fn what_holds_an_interface_is_in_use_until_the_namespace_is_gone() {
    on_a_host(|_| {
        for (id, net, forward, guard) in
            [("by-nft", 10, true, GUARD), ("by-tc", 11, false, NO_GUARD)]
        {
            let container = Container::with_veth(id, net);
            let means = Means {
                forward,
                ..Means::default()
            };
            apply(&container.target(), &both(megabits(10)), &guard, &means).unwrap();
            let own = || -> Vec<Ours> {
                let ours = list_ours().unwrap().into_iter();
                ours.filter(|one| one.owner.as_deref() == Some(id))
                    .collect()
            };
            assert!(!own().is_empty());
            assert!(own().iter().all(|one| one.used), "{:?}", own());
            sh(&format!("ip link delete veth{net}"));
            assert!(own().iter().all(|one| !one.used), "{:?}", own());
            assert!(!remove(id).unwrap().is_empty());
        }
    });
}

#[test]
fn the_objects_of_another_namespace_are_not_taken() {
    on_a_host(|_| {
        let first = Container::with_veth("web", 10);
        first.apply(&both(megabits(10)), &GUARD);
        let second = Container::with_veth("web", 11);
        let error = second.try_apply(&both(megabits(1)), &GUARD).unwrap_err();
        assert!(matches!(error, Error::Elsewhere { .. }), "{error}");
        // The first one's own are its own, however often.
        assert!(!first.apply(&both(megabits(10)), &GUARD).changed);
        sh("ip link delete veth10");
        second.apply(&both(megabits(1)), &GUARD);
        assert!(!remove("web").unwrap().is_empty());
    });
}
