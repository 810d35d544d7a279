//! What `packrank gc` takes: only what a container that is gone has left.

use std::fs;
use std::process::{Command, Output};

use packrank_tests::program;

use crate::hooks::world::{World, id, world};

fn gc(world: &World, run: &str) -> Output {
    let run = world.path(run);
    let mut gc = Command::new(program::cli());
    gc.arg("gc").arg("--run").arg(run).output().unwrap()
}

#[test]
fn another_folder_of_records_says_nothing_of_what_runs() {
    world("elsewhere", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("elsewhere"));
        let pid = world.create(&bundle, &id);
        world.veth("velse", pid);
        world.call(&["start", &id]);
        let before = world.ours();
        fs::create_dir(world.path("empty")).unwrap();
        let output = gc(world, "empty");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert_eq!(world.ours(), before);
        let output = gc(world, "absent");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("absent: no such folder"), "{said}");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn a_damaged_record_stays_and_goes_with_its_container() {
    world("damaged", |world| {
        for by_gc in [false, true] {
            let (bundle, id) = (world.bundle(&format!("one-{by_gc}"), |_| {}), id("damaged"));
            let pid = world.create(&bundle, &id);
            world.veth("vdamaged", pid);
            world.call(&["start", &id]);
            let before = world.ours();
            let record = format!("/run/packrank/packs/{id}.json");
            let whole = fs::read(&record).unwrap();
            fs::write(&record, &whole[..whole.len() / 2]).unwrap();
            let output = world.gc();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(world.ours(), before, "{output:?}");
            if by_gc {
                World::kill(pid);
                let output = world.gc();
                assert!(output.status.success(), "{output:?}");
            } else {
                world.remove(&id);
            }
            assert_eq!(world.ours(), Vec::<String>::new(), "by gc: {by_gc}");
            world.remove(&id);
        }
    });
}
