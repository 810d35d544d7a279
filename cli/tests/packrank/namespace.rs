//! A namespace's least and most, with a LimitRange's figures: 100m to 4 CPUs,
//! 128 MiB to 8 GiB.

use crate::run::{file, folder, host, packrank_with};

const POLICY: &str = r#"
[[limits]]
namespace = "shop"
min.cpu.quota = "10%"
min.memory.limit = "128Mi"
max.cpu.quota = "400%"
max.memory.limit = "8Gi"

[ceiling.high]
cpu.quota = "800%"
memory.limit = "16Gi"

[class.scavenger]
cpu.quota = "5%"
memory.limit = "64Mi"

[class.high]
memory.limit = "12Gi"
"#;

/// What `explain` answers for a container of the namespace with these
/// annotations, as a table.
fn explain(namespace: &str, annotations: &[&str]) -> crate::run::Seen {
    let here = folder();
    let policy = file(&here, "policy.toml", POLICY);
    let spec = format!(
        r#"{{"annotations":{{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"web","io.kubernetes.cri.sandbox-namespace":"{namespace}"}},"root":{{"path":"/srv"}}}}"#
    );
    let host = host("v2");
    let mut args = vec!["explain", "-", "--policy", &policy, "--host", &host];
    for annotation in annotations {
        args.extend(["-a", annotation]);
    }
    packrank_with(&args, spec.as_bytes(), &[])
}

/// The row of the table for a key, its columns one blank apart.
fn row(table: &str, key: &str) -> String {
    let mut lines = table.lines().skip_while(|line| !line.starts_with(key));
    let mut row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    for line in lines.take_while(|line| line.starts_with(' ')) {
        row.extend(line.split_whitespace());
    }
    row.join(" ")
}

#[test]
fn what_a_class_gives_is_brought_inside() {
    let scavenger = explain("shop", &["packrank.io/priority=scavenger"]).ok();
    assert_eq!(
        row(&scavenger, "cpu.quota"),
        "cpu.quota 10 % policy at least 10 % in namespace \"shop\""
    );
    assert_eq!(
        row(&scavenger, "memory.limit"),
        "memory.limit 128 MiB policy at least 128 MiB in namespace \"shop\""
    );
    let high = explain("shop", &["packrank.io/priority=high"]).ok();
    assert_eq!(
        row(&high, "memory.limit"),
        "memory.limit 8 GiB policy at most 8 GiB in namespace \"shop\""
    );
    // Another namespace has no such limits.
    let other = explain("other", &["packrank.io/priority=scavenger"]).ok();
    assert!(row(&other, "memory.limit").starts_with("memory.limit 64 MiB policy"));
    let other = explain("other", &["packrank.io/priority=high"]).ok();
    assert!(row(&other, "memory.limit").starts_with("memory.limit 12 GiB policy"));
}

#[test]
fn what_an_annotation_asks_outside_is_refused() {
    let high = "packrank.io/priority=high";
    let asked = |annotation| explain("shop", &[high, annotation]);
    assert_eq!(
        asked("packrank.io/memory.limit=16Gi").refused(),
        "packrank.io/memory.limit: 16 GiB is outside what namespace \"shop\" allows: at most 8 GiB"
    );
    assert_eq!(
        asked("packrank.io/memory.limit=64Mi").refused(),
        "packrank.io/memory.limit: 64 MiB is outside what namespace \"shop\" allows: at least 128 MiB"
    );
    assert_eq!(
        asked("packrank.io/cpu.quota=5%").refused(),
        "packrank.io/cpu.quota: 5 % is outside what namespace \"shop\" allows: at least 10 %"
    );
    // The bounds themselves are inside.
    for (annotation, key) in [
        (
            "packrank.io/memory.limit=8Gi",
            "memory.limit 8 GiB annotation",
        ),
        (
            "packrank.io/memory.limit=128Mi",
            "memory.limit 128 MiB annotation",
        ),
        ("packrank.io/cpu.quota=400%", "cpu.quota 400 % annotation"),
        ("packrank.io/cpu.quota=10%", "cpu.quota 10 % annotation"),
    ] {
        let table = asked(annotation).ok();
        assert_eq!(row(&table, key.split(' ').next().unwrap()), key);
    }
}
