//! Two containers of one id, each in an engine's root of its own: what is one's
//! is not the other's.

use std::fs;

use packrank_tests::program;

use crate::hooks::world::{World, id, world};

/// Creates and starts the container in this root, with a veth.
fn up(world: &World, root: &str, id: &str, class: &str) {
    let bundle = world.bundle(&format!("{class}-{root}"), |spec| {
        spec["annotations"]["packrank.io/priority"] = class.into();
        spec["linux"]["cgroupsPath"] = format!("/{id}-{root}").into();
    });
    let pid_file = world.path(&format!("{root}.pid"));
    let status = world
        .ranked_in(root, &["create", "--bundle"])
        .arg(&bundle.path)
        .arg("--pid-file")
        .arg(&pid_file)
        .arg(id)
        .status();
    let said = || fs::read_to_string(world.path("errors")).unwrap();
    assert!(status.unwrap().success(), "{}", said());
    let pid = fs::read_to_string(pid_file).unwrap();
    world.veth(&format!("v{root}"), pid.trim().parse().unwrap());
    let status = world.ranked_in(root, &["start", id]).status();
    assert!(status.unwrap().success(), "{}", said());
}

fn down(world: &World, root: &str, id: &str) {
    let status = world.ranked_in(root, &["delete", "--force", id]).status();
    assert!(status.unwrap().success());
}

fn rate(world: &World, veth: &str) -> String {
    let classes = world.run("tc", &["class", "show", "dev", veth]);
    let mut words = classes.split_whitespace().skip_while(|w| *w != "rate");
    words.nth(1).unwrap_or("none").to_owned()
}

#[test]
fn two_containers_of_one_id_share_nothing() {
    world("twins", |world| {
        let id = id("twin");
        for (first_to_go, classes, rates) in [
            ("one", ["low", "normal"], ["5", "10"]),
            ("two", ["high", "low"], ["5", "5"]),
        ] {
            up(world, "one", &id, classes[0]);
            up(world, "two", &id, classes[1]);
            let (slow, fast) = (rate(world, "vone"), rate(world, "vtwo"));
            assert!(
                slow.starts_with(rates[0]) && fast.starts_with(rates[1]),
                "{slow} {fast}"
            );
            let ours = world.ours();
            let of = |begin: &str| ours.iter().filter(|o| o.starts_with(begin)).count();
            assert_eq!(
                (of("packs/"), of("networks/"), of("prk")),
                (2, 2, 2),
                "{ours:?}"
            );

            let stays = if first_to_go == "one" { "two" } else { "one" };
            let veth = format!("v{stays}");
            let before = rate(world, &veth);
            down(world, first_to_go, &id);
            assert_eq!(rate(world, &veth), before, "{stays} was robbed");
            let ours = world.ours();
            let of = |begin: &str| ours.iter().filter(|o| o.starts_with(begin)).count();
            assert_eq!(
                (of("packs/"), of("networks/"), of("prk")),
                (1, 1, 1),
                "{ours:?}"
            );
            let cli = program::cli().to_str().unwrap();
            world.run(cli, &["set", &id, "network.ingress=2Mbit"]);
            assert!(rate(world, &veth).starts_with('2'));
            down(world, stays, &id);
            assert_eq!(world.ours(), Vec::<String>::new());
        }
    });
}
