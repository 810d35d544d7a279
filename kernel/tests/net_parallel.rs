//! Two hundred containers at once: no two share a thing, nothing is left.

use std::collections::HashSet;
use std::thread;
use std::time::Instant;

use packrank_kernel::net::{Guard, list_ours, remove};

use crate::net_lab::{Container, Host, both, inside, megabits, on_a_host, sh};

const CONTAINERS: u8 = 200;
const GUARD: Guard = Guard {
    connections: Some(1000),
    new_connections: Some(100),
    packets: Some(833),
    dscp: Some(8),
};

/// Runs `work` for every item at once, each in a thread on the host.
fn at_once<T: Sync, R: Send>(host: &Host, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let work = &work;
        let runs: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(move || inside(&host.namespace, || work(item))))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

#[test]
fn two_hundred_containers_come_and_go_at_once() {
    on_a_host(|host| {
        let nets: Vec<u8> = (0..CONTAINERS).collect();
        let containers: Vec<Container> = nets
            .chunks(8)
            .flat_map(|some| {
                at_once(host, some, |&net| {
                    Container::with_veth(&format!("container-{net}"), net)
                })
            })
            .collect();

        let begin = Instant::now();
        let applied = at_once(host, &containers, |container| {
            container.apply(&both(megabits(10)), &GUARD)
        });
        eprintln!("{CONTAINERS} applied in {:?}", begin.elapsed());
        assert!(applied.iter().all(|applied| applied.changed));
        let ours = list_ours().unwrap();
        let owners: HashSet<_> = ours
            .iter()
            .map(|found| found.owner.clone().unwrap())
            .collect();
        assert_eq!(owners.len(), usize::from(CONTAINERS));
        assert_eq!(
            ours.len(),
            2 * usize::from(CONTAINERS),
            "an ifb and a table each"
        );
        let again = at_once(host, &containers, |container| {
            container.apply(&both(megabits(10)), &GUARD)
        });
        assert!(again.iter().all(|applied| !applied.changed));

        let ids: Vec<String> = containers
            .iter()
            .map(|container| container.id.clone())
            .collect();
        drop(containers);
        let begin = Instant::now();
        at_once(host, &ids, |id| remove(id).unwrap());
        eprintln!("{CONTAINERS} removed in {:?}", begin.elapsed());
        assert_eq!(list_ours().unwrap(), []);
        assert_eq!(sh("nft list tables; ip -o link show type ifb"), "");
    });
}

/// A pod's containers start side by side and share one network namespace.
#[test]
fn twenty_hooks_of_one_pod_agree() {
    on_a_host(|host| {
        for round in 0..5 {
            let id = format!("pod-{round}");
            let pod = Container::with_veth(&id, 10);
            let hooks = [(); 20];
            let applied = at_once(host, &hooks, |()| pod.apply(&both(megabits(10)), &GUARD));
            assert!(applied.iter().any(|applied| applied.changed));
            let rules = sh("nft list ruleset");
            assert_eq!(rules.matches("fwd to").count(), 1, "{rules}");
            let inner = pod.sh("nft list ruleset");
            assert_eq!(inner.matches("ct count").count(), 1, "{inner}");
            assert!(!pod.apply(&both(megabits(10)), &GUARD).changed);
            drop(pod);
            sh("ip link del veth10 2>/dev/null; true");
            remove(&id).unwrap();
        }
        assert_eq!(list_ours().unwrap(), []);
    });
}
