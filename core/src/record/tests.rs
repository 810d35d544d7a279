//! Records as hooks write them, and as vandals do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::store::parse;
use super::*;

fn record(id: &str) -> Record {
    serde_json::from_value(json!({
        "version": 1, "id": id, "priority": "low", "pid": 42, "started": 4711,
        "cgroups": { "unified": "/machine.slice/x" }, "bundle": "/b", "engine": "/usr/bin/runc",
        "settings": { "memory.limit": 1048576, "cpu.quota": 50 },
        "floor": { "cpu.quota": 10 }, "options": { "gc-signal": 10 },
        "from-the-future": { "a": 1 },
    }))
    .unwrap()
}

#[test]
fn a_record_is_written_private_and_reads_back_with_what_it_does_not_know() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    let record = record("web/1");
    packs.write(&record).unwrap();
    let path = packs.path("web/1");
    assert_eq!(path.parent().unwrap(), packs.folder());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let back = packs.read("web/1").unwrap();
    assert_eq!(back, record);
    assert_eq!(back.unknown["from-the-future"], json!({ "a": 1 }));
    assert_eq!(back.amount(Key::CpuQuota), Some(Amount::At(50_000)));
    assert!(back.options.adaptive && back.options.gc_signal == Some(10));
    assert_eq!(packs.all().unwrap().len(), 1);
    assert!(packs.remove("web/1").unwrap() && !packs.remove("web/1").unwrap());
    assert!(packs.read("web/1").unwrap_err().is_absent());
}

#[test]
fn a_change_is_of_one_that_is_there_and_pins_come_first() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    assert!(packs.change("a", |_| ()).unwrap_err().is_absent());
    packs.write(&record("a")).unwrap();
    let pin = |r: &mut Record| r.pinned.put_amount(Key::MemoryLimit, Amount::At(7));
    packs.change("a", pin).unwrap();
    assert_eq!(
        packs.read("a").unwrap().amount(Key::MemoryLimit),
        Some(Amount::At(7))
    );
}

/// Containers of one id in two engines' roots.
#[test]
fn each_of_two_containers_of_one_id_has_a_record_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    let (one, other) = (Path::new("/a/web"), Path::new("/b/web"));
    let lives = |_: &Record| true;
    let of = |key: &str, bundle: &Path| {
        let mut record = record(key);
        record.bundle = bundle.to_owned();
        packs.write(&record).unwrap();
        record
    };
    assert_eq!(packs.key("web", one, lives), "web");
    let first = of("web", one);
    assert_eq!(packs.key("web", one, lives), "web");
    let key = packs.key("web", other, lives);
    assert!(key.starts_with("web@") && key != packs.key("web", Path::new("/c"), lives));
    let second = of(&key, other);
    assert_eq!((second.engine_id(), first.engine_id()), ("web", "web"));
    assert_eq!(packs.find("web", one).unwrap(), first);
    assert_eq!(packs.find("web", other).unwrap(), second);
    assert!(packs.find("web", Path::new("/c")).unwrap_err().is_absent());
    assert!(packs.twins("web").eq([second.clone()]));

    // The second keeps its key when the first goes, and the first's place is
    // free for a third.
    packs.remove("web").unwrap();
    assert_eq!(packs.key("web", other, lives), key);
    assert_eq!(packs.find("web", other).unwrap(), second);
    assert_eq!(packs.key("web", Path::new("/c"), lives), "web");
    // What cannot be read is nobody's to take.
    fs::write(packs.path("web"), "{").unwrap();
    assert_ne!(packs.key("web", one, lives), "web");
    assert_eq!(packs.unreadable().unwrap()[0].0, "web");
    // The dead one's place is.
    of("web", one);
    assert_eq!(packs.key("web", Path::new("/c"), |_| false), "web");
}

#[test]
fn what_is_too_large_to_be_read_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    let mut large = record("large");
    large.names.pod = Some("x".repeat(300_000));
    packs.make().unwrap();
    packs.write(&large).unwrap_err();
    assert_eq!(fs::read_dir(packs.folder()).unwrap().count(), 0);
}

#[test]
fn deeds_are_of_one_process_and_go_with_the_record() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    let mut record = record("a");
    packs.write(&record).unwrap();
    let mut deeds = packs.deeds(&record);
    assert_eq!((deeds.pid, deeds.started, deeds.damaged), (42, 4711, false));
    deeds.taken.insert(
        "memory.high".into(),
        Taken {
            original: Some(9),
            adapted: Some(9),
            pressed: Some(5),
        },
    );
    let path = packs.deeds_folder().join("a.json");
    let put = |text: &str| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put(&serde_json::to_string(&deeds).unwrap());
    assert_eq!(packs.deeds(&record), deeds);
    record.started += 1;
    let another = packs.deeds(&record);
    assert!(
        another.taken.is_empty() && !another.damaged,
        "another process's deeds were taken over"
    );
    for broken in ["", "{\"version\":1,\"frozen\":tr", "[]"] {
        put(broken);
        let found = packs.deeds(&record);
        assert!(found.damaged && found.taken.is_empty(), "{broken}");
    }
    let raised = AncestorDeed {
        cgroup: "top.slice".into(),
        min: 0,
        low: 0,
        raised: Some((1 << 20, 0)),
    };
    packs.write_ancestors(&[raised]).unwrap();
    fs::remove_file(packs.path("a")).unwrap();
    packs.sweep();
    let left = || fs::read_dir(packs.deeds_folder()).unwrap().count();
    assert_eq!(left(), 1, "what was raised is known without a record");
    packs.write_ancestors(&[]).unwrap();
    packs.write_ancestors(&[]).unwrap();
    assert_eq!(left(), 0);
}

#[test]
fn foreign_and_damaged_files_say_so() {
    let root = tempfile::tempdir().unwrap();
    let packs = Packs::under(root.path());
    packs.write(&record("good")).unwrap();
    let put = |name: &str, text: &str| {
        let path = packs.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    put("empty.json", "");
    put("half.json", "{\"version\":1,\"id\":");
    put("array.json", "[]");
    put("zero.json", "{\"version\":0}");
    put("newer.json", "{\"version\":2,\"id\":7}");
    put("deep.json", &"[".repeat(100_000));
    put("negative.json", "{\"version\":-1}");
    put(
        "other.json",
        &serde_json::to_string(&record("another")).unwrap(),
    );
    put("large.json", &" ".repeat(300_000));
    let open = put("writable.json", "{}");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    symlink("/etc/passwd", packs.folder().join("link.json")).unwrap();
    fs::create_dir(packs.folder().join("folder.json")).unwrap();
    put(".half-written.json", "not looked at");
    put("notes.txt", "not looked at");
    let all = packs.all().unwrap();
    assert_eq!(all.len(), 13);
    for (path, outcome) in all {
        let good = path.ends_with("good.json");
        assert_eq!(outcome.is_ok(), good, "{}: {outcome:?}", path.display());
        if let Err(error) = outcome {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
}

#[test]
fn what_a_person_pinned_comes_before_use_and_use_before_the_plan() {
    let mut record = record("a");
    record
        .settings
        .put_amount(Key::NetworkEgress, Amount::At(5));
    let mut deeds = Deeds::default();
    let now = |record: &Record, deeds: &Deeds| record.in_force(deeds, Key::NetworkEgress);
    assert_eq!(now(&record, &deeds), Some(Amount::At(5)));
    let mut taken = Taken {
        original: Some(5),
        adapted: Some(3),
        pressed: Some(2),
    };
    let name = Key::NetworkEgress.name();
    deeds.taken.insert(name.to_owned(), taken);
    assert_eq!(now(&record, &deeds), Some(Amount::At(2)));
    taken.pressed = None;
    deeds.taken.insert(name.to_owned(), taken);
    assert_eq!(now(&record, &deeds), Some(Amount::At(3)));
    record.pinned.put_amount(Key::NetworkEgress, Amount::At(4));
    assert_eq!(now(&record, &deeds), Some(Amount::At(4)));
    assert_eq!(record.in_force(&deeds, Key::NetworkIngress), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_record_with_a_changed_byte_is_read_or_refused(at in 0usize..300, byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&record("a")).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(record) = parse(&bytes) {
            let _ = (record.amount(Key::CpuQuota), record.title());
        }
    }
}

#[test]
fn what_a_killed_writer_left_goes_and_a_living_ones_stays() {
    let run = tempfile::tempdir().unwrap();
    let packs = Packs::under(run.path());
    packs.write(&record("a.b")).unwrap();
    let own = std::process::id();
    let left = packs.folder().join(".a.json.4294967295.0");
    let living = packs.folder().join(format!(".a.json.{own}.0"));
    for path in [&left, &living] {
        fs::write(path, "{").unwrap();
    }
    packs.sweep_temporaries();
    assert!(!left.exists() && living.exists());
    assert_eq!(packs.read("a.b").unwrap(), record("a.b"));
}
