use super::*;
use crate::disk::PROJECTS;

fn entry(id: &str, project: u32) -> Entry {
    Entry {
        id: id.to_owned(),
        project,
        upper: "/upper".into(),
        bytes: 1,
        before: 0,
        files_before: 0,
        mount: "/".into(),
        device: (8, 1),
    }
}

#[test]
fn what_is_written_is_found_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projects");
    assert_eq!(list(&path).unwrap(), []);
    let registry = Registry::open(&path).unwrap();
    let locked = registry.lock().unwrap();
    let (one, two) = (entry("one", 0x7061_0001), entry("../two", 0x7061_0000));
    locked.write(&one).unwrap();
    locked.write(&two).unwrap();
    assert_eq!(list(&path).unwrap(), [two.clone(), one.clone()]);
    assert_eq!(registry.find("../two").unwrap(), Some(two.clone()));
    assert_eq!(registry.find("three").unwrap(), None);
    assert_eq!(locked.owner(two.project).unwrap(), Some(two.clone()));
    registry.remove(&two).unwrap();
    registry.remove(&two).unwrap();
    assert_eq!(registry.find("../two").unwrap(), None);
}

#[test]
fn numbers_that_are_given_out_or_in_use_are_not_free() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    let locked = registry.lock().unwrap();
    let first = locked.free("id", |_| Ok(false)).unwrap().unwrap();
    assert!(PROJECTS.contains(&first));
    locked.write(&entry("other", first)).unwrap();
    let mut asked = Vec::new();
    let free = locked.free("id", |project| {
        asked.push(project);
        Ok(asked.len() == 1)
    });
    let expected = |n| PROJECTS.start() + (first - PROJECTS.start() + n) % 0x1_0000;
    assert_eq!(free.unwrap(), Some(expected(2)));
    assert_eq!(asked, [expected(1), expected(2)]);
    assert_eq!(locked.free("id", |_| Ok(true)).unwrap(), None);
}

#[test]
fn what_is_no_entry_is_passed_over_and_keeps_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    for name in ["unfinished", "70610001.0000000000000001", "70610001", "1.2"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(list(folder.path()).unwrap(), []);
    let locked = registry.lock().unwrap();
    assert_eq!(locked.projects().unwrap(), [0x7061_0001]);
    locked.tidy().unwrap();
    assert!(locked.projects().unwrap().is_empty());
    assert!(folder.path().join("1.2").exists() && !folder.path().join("unfinished").exists());
}

#[test]
fn a_held_lock_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    let held = registry.lock().unwrap();
    assert!(matches!(registry.lock(), Err(Error::Locked { .. })));
    drop(held);
    registry.lock().unwrap();
}

#[test]
fn who_waited_for_an_entry_gets_it_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    let mut one = entry("one", 0x7061_0001);
    registry.lock().unwrap().write(&one).unwrap();
    let held = registry.hold("one").unwrap().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.hold("one").unwrap().map(|held| held.entry));
        thread::sleep(Duration::from_millis(20));
        one.bytes = 2;
        registry.lock().unwrap().write(&one).unwrap();
        drop(held);
        assert_eq!(waiting.join().unwrap(), Some(one.clone()));

        let held = registry.hold("one").unwrap().unwrap();
        let waiting = scope.spawn(|| registry.hold("one").unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
        registry.remove(&held.entry).unwrap();
        drop(held);
        assert!(waiting.join().unwrap());
    });
}
