//! The Kubernetes example, read with the API's own types: a field that does
//! not exist, or is of another shape, is a difference between what stands in
//! the file and what the types make of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use packrank_core::Priority;
use packrank_core::key::Key;
use packrank_core::policy::Policy;
use packrank_core::value::Value as Setting;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes")
}

/// What `metrics/` has beside its objects: pieces of others' configuration.
const PIECES: [&str; 2] = ["adapter.yaml", "prometheus.yaml"];

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(example().join(path)).unwrap()).unwrap()
}

/// Every object of the example, by kind and name.
fn objects() -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for part in ["node", "team", "metrics"] {
        let folder = example().join(part);
        let list = yaml(&format!("{part}/kustomization.yaml"));
        let mut named: Vec<&str> = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap())
            .collect();
        named.sort_unstable();
        let mut there: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        there.retain(|name| name.ends_with(".yaml") && name != "kustomization.yaml");
        if part == "metrics" {
            there.retain(|name| !PIECES.contains(&name.as_str()));
        }
        there.sort();
        assert_eq!(
            named, there,
            "{part}: what kustomization.yaml names is what is there"
        );
        for file in there {
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            for document in serde_yaml_ng::Deserializer::from_str(&text) {
                let object = Value::deserialize(document).unwrap();
                let kind = object["kind"].as_str().unwrap().to_owned();
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                let twice = found.insert((kind, name), object);
                assert!(twice.is_none(), "{file}: {twice:?} stands twice");
            }
        }
    }
    found
}

fn object<T: DeserializeOwned>(kind: &str, name: &str) -> T {
    let object = objects()
        .remove(&(kind.to_owned(), name.to_owned()))
        .unwrap();
    serde_json::from_value(object).unwrap()
}

/// Reads the object as `T` and holds what came back to what was written.
fn typed<T: Resource + DeserializeOwned + serde::Serialize>(object: &Value) {
    let at = &object["metadata"]["name"];
    assert_eq!(object["apiVersion"], T::API_VERSION, "{at}");
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{at}: {e}"));
    let back = serde_json::to_value(read).unwrap();
    assert_eq!(&back, object, "{at}: a field that the API does not have");
}

#[test]
fn every_object_is_one_of_the_api() {
    for ((kind, _), object) in &objects() {
        match kind.as_str() {
            "DaemonSet" => typed::<DaemonSet>(object),
            "Deployment" => typed::<Deployment>(object),
            "HorizontalPodAutoscaler" => typed::<HorizontalPodAutoscaler>(object),
            "Job" => typed::<Job>(object),
            "LimitRange" => typed::<LimitRange>(object),
            "Namespace" => typed::<Namespace>(object),
            "NetworkPolicy" => typed::<NetworkPolicy>(object),
            "PriorityClass" => typed::<PriorityClass>(object),
            "ResourceQuota" => typed::<ResourceQuota>(object),
            "RuntimeClass" => typed::<RuntimeClass>(object),
            "Service" => typed::<Service>(object),
            other => panic!("{other} is checked by nothing"),
        }
    }
}

#[test]
fn a_runtime_class_for_each_class_and_one_for_the_annotation() {
    let classes = Priority::ALL.map(|class| Some(class.to_string()));
    for class in classes.into_iter().chain([None]) {
        let name = class
            .as_deref()
            .map_or("packrank".to_owned(), |c| format!("packrank-{c}"));
        let runtime: RuntimeClass = object("RuntimeClass", &name);
        assert_eq!(runtime.handler, name);
        assert!(runtime.scheduling.is_some(), "{name}");
        let overhead = runtime.overhead.unwrap().pod_fixed.unwrap();
        let figures = overhead.iter().map(|(k, v)| (k.as_str(), v.0.as_str()));
        let said: Vec<_> = figures.collect();
        assert_eq!(said, [("cpu", "10m"), ("memory", "16Mi")], "{name}");
        if class.is_some() {
            object::<PriorityClass>("PriorityClass", &name);
        }
    }
    // What is named is there.
    for ((kind, name), object) in &objects() {
        let pod = &object["spec"]["template"]["spec"];
        if let Some(class) = pod["runtimeClassName"].as_str() {
            assert!(
                objects().contains_key(&("RuntimeClass".to_owned(), class.to_owned())),
                "{kind} {name}"
            );
        }
    }
    let value =
        |class: &str| object::<PriorityClass>("PriorityClass", &format!("packrank-{class}")).value;
    assert!(value("critical") > value("high") && value("high") > value("normal"));
    assert!(value("normal") > value("low") && value("low") > value("scavenger"));
}

#[test]
fn the_worked_example_has_its_figures_and_the_nodes_policy_the_same() {
    let quota: ResourceQuota = object("ResourceQuota", "shop");
    let hard = quota.spec.unwrap().hard.unwrap();
    let figures: Vec<(&str, &str)> = hard
        .iter()
        .map(|(k, v)| (k.as_str(), v.0.as_str()))
        .collect();
    assert_eq!(
        figures,
        [
            ("limits.cpu", "32"),
            ("limits.memory", "64Gi"),
            ("pods", "50"),
            ("requests.cpu", "16"),
            ("requests.memory", "32Gi"),
            ("requests.storage", "500Gi"),
        ]
    );
    let quota: ResourceQuota = object("ResourceQuota", "shop-critical");
    let spec = quota.spec.unwrap();
    assert_eq!(spec.hard.unwrap()["pods"].0, "0");
    let scope = spec.scope_selector.unwrap().match_expressions.unwrap();
    assert_eq!(scope.len(), 1);
    assert_eq!(scope[0].scope_name, "PriorityClass");
    assert_eq!(scope[0].values, Some(vec!["packrank-critical".to_owned()]));

    let range: LimitRange = object("LimitRange", "shop");
    let range = range.spec.unwrap().limits.remove(0);
    let figures = |map: Option<BTreeMap<String, _>>| {
        let map: BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity> =
            map.unwrap();
        (map["cpu"].0.clone(), map["memory"].0.clone())
    };
    let (least, most) = (figures(range.min), figures(range.max));
    assert_eq!(figures(range.default), ("1".into(), "1Gi".into()));
    assert_eq!(
        figures(range.default_request),
        ("500m".into(), "512Mi".into())
    );
    assert_eq!(most, ("4".into(), "8Gi".into()));
    assert_eq!(least, ("100m".into(), "128Mi".into()));

    let mut policy = Policy::built_in().unwrap();
    let text = fs::read_to_string(example().join("node/50-kubernetes.toml")).unwrap();
    policy.merge("50-kubernetes.toml", &text).unwrap();
    let limits = policy.limits(Some("shop")).unwrap();
    let memory = |text: &str| Setting::parse(Key::MemoryLimit, text).unwrap();
    // Thousandths of a CPU, as a percentage of one.
    let cpu = |text: &str| {
        let milli = match text.strip_suffix('m') {
            Some(milli) => milli.parse::<u64>().unwrap(),
            None => text.parse::<u64>().unwrap() * 1000,
        };
        Setting::parse(Key::CpuQuota, &format!("{}%", milli / 10)).unwrap()
    };
    assert_eq!(limits.min[&Key::CpuQuota].value, cpu(&least.0));
    assert_eq!(limits.min[&Key::MemoryLimit].value, memory(&least.1));
    assert_eq!(limits.max[&Key::CpuQuota].value, cpu(&most.0));
    assert_eq!(limits.max[&Key::MemoryLimit].value, memory(&most.1));
}

/// The README builds the image that the DaemonSets name: this version's.
#[test]
fn the_installers_image_is_of_this_version() {
    let image = format!("packrank-installer:{}", env!("CARGO_PKG_VERSION"));
    for name in ["packrank-installer", "packrank-metrics"] {
        let set: DaemonSet = object("DaemonSet", name);
        let pod = set.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.containers[0].image, Some(image.clone()), "{name}");
    }
    for file in ["README.md", "node/Dockerfile"] {
        let text = fs::read_to_string(example().join(file)).unwrap();
        let named = text.matches("packrank-installer:").count();
        assert!(named > 0, "{file}");
        assert_eq!(text.matches(&image).count(), named, "{file}");
    }
}

/// A node's containers start while the installer runs: none may read half a
/// policy. Its own lines are run, on a folder of the test's.
#[test]
fn the_installer_replaces_the_policy_in_one_step() {
    let set: DaemonSet = object("DaemonSet", "packrank-installer");
    let pod = set.spec.unwrap().template.spec.unwrap();
    let script = pod.containers[0].command.clone().unwrap().pop().unwrap();
    let node = tempfile::tempdir().unwrap();
    let (host, policy) = (node.path().join("host"), node.path().join("policy"));
    let there = host.join("etc/packrank/policy.d/50-kubernetes.toml");
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::create_dir_all(&policy).unwrap();
    fs::write(policy.join("50-kubernetes.toml"), "mode = \"audit\"\n").unwrap();
    fs::write(&there, "mode = \"off\"\n").unwrap();
    // Whoever has the old file open goes on reading the old one.
    let mut old = fs::File::open(&there).unwrap();
    let lines = script.lines().filter(|line| {
        let line = line.trim_start();
        line.contains("policy") && !line.starts_with('#') && !line.contains("policy check")
    });
    let lines: Vec<&str> = lines.collect();
    let lines = lines.join("\n").replace("/host", host.to_str().unwrap());
    let lines = lines.replace(" /policy", &format!(" {}", policy.display()));
    let run = Command::new("/bin/sh").args(["-euc", &lines]).status();
    assert!(run.unwrap().success(), "{lines}");
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert_eq!(text, "mode = \"off\"\n");
    assert_eq!(fs::read_to_string(&there).unwrap(), "mode = \"audit\"\n");
    let mode = fs::metadata(&there).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert_eq!(fs::read_dir(there.parent().unwrap()).unwrap().count(), 1);
}

/// What the autoscaler asks for is a metric of ours, and the adapter has a rule
/// for it that finds a pod by the labels that ours have.
#[test]
fn what_the_autoscaler_asks_for_is_there() {
    let scaler: HorizontalPodAutoscaler = object("HorizontalPodAutoscaler", "web");
    let metrics = scaler.spec.unwrap().metrics.unwrap();
    let asked: Vec<String> = metrics
        .into_iter()
        .map(|metric| metric.pods.unwrap().metric.name)
        .collect();
    assert_eq!(asked.len(), 2);
    let page = fs::read_to_string(example().join("../../docs/metrics.md")).unwrap();
    let adapter = yaml("metrics/adapter.yaml");
    let rules = adapter["rules"].as_array().unwrap();
    assert_eq!(rules.len(), asked.len());
    for (name, rule) in asked.iter().zip(rules) {
        assert!(page.contains(&format!("| `{name}` | gauge |")), "{name}");
        let series = format!("{name}{{namespace!=\"\",pod!=\"\"}}");
        assert_eq!(rule["seriesQuery"], series);
        for label in ["namespace", "pod"] {
            assert_eq!(rule["resources"]["overrides"][label]["resource"], label);
        }
    }
}

/// All but how nodes are found: Debian's Prometheus is built without Kubernetes.
#[test]
fn prometheus_takes_its_piece() {
    let text = fs::read_to_string(example().join("metrics/prometheus.yaml")).unwrap();
    let found = "kubernetes_sd_configs:\n      - role: node";
    assert!(text.contains(found), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yaml");
    let named = "static_configs:\n      - targets: [\"node:9100\"]";
    fs::write(&config, text.replace(found, named)).unwrap();
    let asked = Command::new("promtool")
        .args(["check", "config"])
        .arg(&config)
        .output();
    match asked {
        Err(error) => eprintln!("SKIPPED: no promtool on this machine: {error}"),
        Ok(said) => assert!(said.status.success(), "{said:?}"),
    }
    let job = &yaml("metrics/prometheus.yaml")["scrape_configs"][0];
    assert_eq!(job["honor_labels"], true);
}
