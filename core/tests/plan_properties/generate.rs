//! Specs of every kind: plausible, odd, wrong.
//!
//! Out: a [`Case`]: config.json's text, a runtime's claim and a policy file.

use packrank_core::Priority;
use packrank_core::policy::Policy;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::effective::NAMES;

#[derive(Debug, Clone)]
pub struct Case {
    pub text: String,
    pub claim: Option<Priority>,
    /// A policy file on top of the built-in one.
    pub extra: String,
    pub on_disk: bool,
}

impl Case {
    pub fn policy(&self) -> Policy {
        thread_local! {
            static BUILT_IN: Policy = Policy::built_in().unwrap();
        }
        let mut policy = BUILT_IN.with(Clone::clone);
        policy.merge("extra.toml", &self.extra).unwrap();
        policy
    }
}

const POLICIES: [&str; 8] = [
    "",
    "",
    "default-class = \"low\"",
    "[class.low]\ncpu.quota = \"unlimited\"\nmemory.limit = \"unlimited\"\nmemory.swap = \"unlimited\"\npids = \"unlimited\"\nnofile = \"unlimited\"\n",
    "[class.low]\nio.read-bps = \"unlimited\"\nio.write-iops = \"unlimited\"\nmemory.limit = \"unlimited\"\ncpu.quota = \"12.345%\"\n",
    "[class.normal]\nmemory.swap = \"1Gi\"\nmemory.high = \"100Mi\"\nhugepages = true\ncpu.affinity = \"last 25%\"\ncpu.idle = true\n",
    "[ceiling.low]\nmemory.limit = \"64Gi\"\nmemory.high = \"64Gi\"\npids = \"unlimited\"\ncpu.quota = \"800%\"\nmemory.swap = \"unlimited\"\nnofile = \"unlimited\"\n",
    "[[limits]]\nnamespace = \"shop\"\nmin.memory.limit = \"300Mi\"\nmax.pids = 77\nmax.cpu.quota = \"33%\"\n",
];

/// Numbers that specs have and ought not to have.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        2 => Just(json!(-1)),
        2 => Just(json!(0)),
        6 => prop::sample::select(vec![1u64, 100, 1000, 5000, 20_000, 50_000, 99_999, 4096, 1 << 20, 100 << 20, 512 << 20, 1 << 30]).prop_map(|n| json!(n)),
        2 => (1u64..200_000).prop_map(|n| json!(n)),
        1 => Just(json!(i64::MAX)),
        1 => (1u64 << 40..1 << 62).prop_map(|n| json!(n)),
        1 => prop::sample::select(vec![json!(u64::MAX), json!(i64::MIN), json!(1.5), json!("7"), json!([])]),
    ]
}

/// What stands in a cgroup v2 file.
fn file_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("max".to_owned()),
        4 => (0u64..2 << 30).prop_map(|n| n.to_string()),
        2 => ("[1-9][0-9]{0,2}", "[kKMGt]").prop_map(|(n, s)| format!("{n}{s}")),
        1 => Just("0x1000000".to_owned()),
        1 => Just("0100000000".to_owned()),
        1 => Just(" 4194304\n".to_owned()),
        1 => Just(u64::MAX.to_string()),
        2 => prop::sample::select(vec!["0X4000000", "0x40M", "+16", "0", "0X10", "020", "7\t"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["", "-1", "garbage", "1.5G", "12 34", "20000x", "+0x10K", "18446744073709551617"]).prop_map(str::to_owned),
    ]
}

fn cpu_max() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "max",
        "max 100000",
        "50000",
        "20000 100000",
        "20000 50000",
        "200000 100000",
        "1000 1000",
        "7000 33333",
        "x",
        "",
        "20000x",
        "20000x 50000x",
        "0 100000",
        "0x5000 100000",
        "20000 x",
        "400000 1000000\n",
    ])
    .prop_map(str::to_owned)
}

fn io_max() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "8:0 rbps=1048576 wiops=120",
        "8:0 rbps=max wbps=max riops=max wiops=max",
        "8:0 riops=7\n8:16 wbps=5000",
        "253:0 rbps=9999999999",
        "8:16 rbps=1024 wbps=2048 riops=3 wiops=4",
        "8:0 rbps=1048576x",
        "8:0 rbps=0",
        "8:0 rbps=+5",
        "nonsense",
    ])
    .prop_map(str::to_owned)
}

fn cpu_list() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["0-3", "0,2", "7", "", "0-7:2/4", "5-100"]).prop_map(str::to_owned)
}

/// An object of some of these members, in this order.
fn some_of(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |v| v.map(|v| (name, v))))
        .collect();
    members
        .prop_map(|found| {
            let pairs = found.into_iter().flatten();
            Value::Object(pairs.map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
        })
        .boxed()
}

fn text(strategy: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Value> {
    strategy.prop_map(Value::from).boxed()
}

fn unified() -> BoxedStrategy<Value> {
    some_of(vec![
        ("memory.max", text(file_text())),
        ("memory.high", text(file_text())),
        ("memory.swap.max", text(file_text())),
        ("memory.low", text(file_text())),
        ("memory.min", text(file_text())),
        ("pids.max", text(file_text())),
        ("cpu.max", text(cpu_max())),
        ("cpu.weight", text(Just("50".to_owned()))),
        ("cpu.idle", text(Just("1".to_owned()))),
        ("cpuset.cpus", text(cpu_list())),
        ("io.max", text(io_max())),
        ("hugetlb.2MB.max", text(file_text())),
        ("from.the.future", text(Just("x".to_owned()))),
    ])
}

fn devices() -> BoxedStrategy<Value> {
    let device = (
        prop::sample::select(vec![0, 8, 253, -1]),
        prop::sample::select(vec![0, 16]),
        number(),
    )
        .prop_map(|(major, minor, rate)| json!({"major": major, "minor": minor, "rate": rate}));
    prop::collection::vec(device, 0..3)
        .prop_map(Value::from)
        .boxed()
}

fn resources() -> BoxedStrategy<Value> {
    let numbers =
        |names: &[&'static str]| some_of(names.iter().map(|n| (*n, number().boxed())).collect());
    let huge = (prop::sample::select(vec!["2MB", "1GB"]), number())
        .prop_map(|(size, limit)| json!([{"pageSize": size, "limit": limit}]));
    some_of(vec![
        (
            "devices",
            Just(json!([{"allow": false, "access": "rwm"}])).boxed(),
        ),
        (
            "memory",
            numbers(&["limit", "swap", "reservation", "swappiness", "kernel"]),
        ),
        (
            "cpu",
            (
                numbers(&["shares", "quota", "period", "burst"]),
                prop::option::of(cpu_list()),
            )
                .prop_map(|(mut cpu, list)| {
                    if let Some(list) = list {
                        cpu["cpus"] = list.into();
                    }
                    cpu
                })
                .boxed(),
        ),
        ("pids", numbers(&["limit"])),
        (
            "blockIO",
            some_of(vec![
                ("weight", Just(json!(300)).boxed()),
                ("throttleReadBpsDevice", devices()),
                ("throttleWriteBpsDevice", devices()),
                ("throttleReadIOPSDevice", devices()),
                ("throttleWriteIOPSDevice", devices()),
            ]),
        ),
        ("hugepageLimits", huge.boxed()),
        (
            "unified",
            prop_oneof![4 => unified(), 1 => Just(Value::Null)].boxed(),
        ),
        ("rdma", Just(json!({"mlx5_1": {"hcaHandles": 3}})).boxed()),
        ("from the future", Just(json!([1, {"x": null}])).boxed()),
    ])
}

fn process() -> BoxedStrategy<Value> {
    let rlimit = (
        prop::sample::select(vec!["RLIMIT_NOFILE", "RLIMIT_NOFILE", "RLIMIT_CORE"]),
        number(),
        number(),
    )
        .prop_map(
            |(kind, hard, soft)| json!({"type": kind, "hard": hard, "soft": soft, "extra": 1}),
        );
    some_of(vec![
        ("args", Just(json!(["sh"])).boxed()),
        ("env", Just(json!(["A=b", "GOMAXPROCS=3"])).boxed()),
        (
            "rlimits",
            prop::collection::vec(rlimit, 0..3)
                .prop_map(Value::from)
                .boxed(),
        ),
        ("oomScoreAdj", number().boxed()),
        (
            "ioPriority",
            Just(json!({"class": "IOPRIO_CLASS_RT", "priority": 1})).boxed(),
        ),
        (
            "noNewPrivileges",
            any::<bool>().prop_map(Value::from).boxed(),
        ),
        ("user", user().boxed()),
        ("capabilities", capabilities()),
        ("selinuxLabel", Just(json!("é\u{7f}")).boxed()),
    ])
}

fn user() -> impl Strategy<Value = Value> {
    let id = prop::sample::select(vec![0u64, 1, 1000, 65_534]);
    let groups = prop::collection::vec(id.clone(), 0..3);
    (id.clone(), id, groups).prop_map(
        |(uid, gid, groups)| json!({"uid": uid, "umask": 18, "gid": gid, "additionalGids": groups}),
    )
}

fn capabilities() -> BoxedStrategy<Value> {
    let names = vec!["CAP_NET_BIND_SERVICE", "CAP_KILL", "CAP_FROM_THE_FUTURE"];
    let set = || {
        let names = prop::sample::subsequence(names.clone(), 0..=3);
        names.prop_map(Value::from).boxed()
    };
    some_of(vec![
        ("bounding", set()),
        ("effective", set()),
        ("inheritable", set()),
        ("permitted", set()),
        ("ambient", set()),
    ])
}

const ASKED: [(&str, &str); 19] = [
    ("cpu.quota", "10%"),
    ("cpu.quota", "700%"),
    ("cpu.shares", "2"),
    ("cpu.idle", "true"),
    ("cpu.affinity", "0-3"),
    ("cpu.affinity", "last 25%"),
    ("memory.limit", "64Mi"),
    ("memory.limit", "8Gi"),
    ("memory.high", "50%"),
    ("memory.high", "80Mi"),
    ("memory.guarantee", "0"),
    ("memory.swap", "0"),
    ("pids", "20"),
    ("nofile", "100/200"),
    ("io.read-bps", "1Mi"),
    ("inform", "true"),
    ("pids", "garbage"),
    ("security", "restricted"),
    ("security", "none"),
];

fn annotations() -> BoxedStrategy<Value> {
    let class = prop::sample::select(Priority::ALL.to_vec());
    let asked = prop::collection::vec(prop::sample::select(ASKED.to_vec()), 0..3);
    let place = prop::sample::select(vec!["", "", "shop", "kube-system"]);
    (prop::option::weighted(0.9, class), asked, place)
        .prop_map(|(class, asked, place)| {
            let mut map = Map::new();
            map.insert("org.example/unknown".to_owned(), "kept".into());
            if let Some(class) = class {
                map.insert("packrank.io/priority".to_owned(), class.name().into());
            }
            for (key, value) in asked {
                map.insert(format!("packrank.io/{key}"), value.into());
            }
            if !place.is_empty() {
                map.insert(
                    "io.kubernetes.cri.sandbox-namespace".to_owned(),
                    place.into(),
                );
            }
            Value::Object(map)
        })
        .boxed()
}

pub fn case() -> impl Strategy<Value = Case> {
    let linux = some_of(vec![
        (
            "namespaces",
            prop::sample::select(vec![
                json!([{"type": "pid"}]),
                json!([{"type": "pid"}, {"type": "user"}]),
            ])
            .boxed(),
        ),
        (
            "resources",
            prop_oneof![9 => resources(), 1 => Just(Value::Null)].boxed(),
        ),
        (
            "seccomp",
            Just(json!({"defaultAction": "SCMP_ACT_FROM_THE_FUTURE"})).boxed(),
        ),
    ]);
    let document = some_of(vec![
        ("ociVersion", Just(json!("1.9.9")).boxed()),
        ("process", process()),
        ("root", Just(json!({"path": "rootfs"})).boxed()),
        ("annotations", annotations()),
        (
            "linux",
            prop_oneof![9 => linux, 1 => Just(Value::Null)].boxed(),
        ),
        (
            "zzz",
            Just(json!({"unknown": [1.0e3, "\u{1F600}"]})).boxed(),
        ),
    ]);
    let claim = prop::option::weighted(0.3, prop::sample::select(Priority::ALL.to_vec()));
    let extra = prop::sample::select(POLICIES.to_vec());
    let layout = prop::sample::select(vec![false, true]);
    let odd = prop::option::weighted(0.2, (0..NAMES.len(), any::<bool>()));
    (document, claim, extra, any::<bool>(), layout, odd).prop_map(
        |(mut document, claim, extra, on_disk, pretty, odd)| {
            if let Some((name, upper)) = odd {
                misspell(&mut document, NAMES[name], upper);
            }
            Case {
                text: if pretty {
                    serde_json::to_string_pretty(&document).unwrap() + "\n"
                } else {
                    document.to_string()
                },
                claim,
                extra: extra.to_owned(),
                on_disk,
            }
        },
    )
}

/// Adds, beside every member of this name, the same in other case, that
/// restricts nothing.
fn misspell(value: &mut Value, name: &str, upper: bool) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(|v| misspell(v, name, upper));
            if let Some(there) = members.get(name) {
                let mut odd = name.to_owned();
                match upper {
                    true => odd.make_ascii_uppercase(),
                    false => odd[..1].make_ascii_uppercase(),
                }
                let free = match there {
                    Value::Number(_) => json!(-1),
                    Value::Object(_) => json!({ "limit": -1, "quota": -1 }),
                    _ => json!([]),
                };
                members.insert(odd, free);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| misspell(v, name, upper)),
        _ => {}
    }
}
