//! `docker network connect`: an interface that comes while the container
//! runs, of which no hook hears.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packrank_tests::program;
use serde_json::{Value, json};

use super::world::{id, world};

/// Far more than it takes: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_network_that_comes_later_gets_the_rate_in_force() {
    world("connected", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("connected"));
        let pid = world.create(&bundle, &id);
        world.veth("vfirst", pid);
        world.call(&["start", &id]);
        // As a watcher left it that had seen little use.
        let record = std::fs::read(format!("/run/packrank/packs/{id}.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let deeds = json!({
            "version": record["version"], "id": id, "pid": pid, "started": record["started"],
            "taken": { "network.ingress": { "original": 5_000_000, "adapted": 3_000_000 } },
        });
        let path = format!("/run/packrank/deeds/{id}.json");
        std::fs::write(&path, deeds.to_string()).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let said = world.path("watcher");
        let mut watcher = Command::new(program::watcher())
            .args(["--guest", "--foreground"])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&said).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let waited = |so: &dyn Fn() -> bool| {
            let end = Instant::now() + PATIENCE;
            while !so() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
            so()
        };
        let up = waited(&|| std::path::Path::new("/run/packrank/watcher.sock").exists());
        // Somebody else's interface is nobody's business.
        world.run(
            "ip",
            &[
                "link", "add", "vother", "type", "veth", "peer", "name", "vpeer",
            ],
        );
        let netns = format!("/proc/{pid}/ns/net");
        world.run(
            "ip",
            &[
                "link", "add", "vsecond", "type", "veth", "peer", "name", "eth1", "netns", &netns,
            ],
        );
        world.run("ip", &["link", "set", "vsecond", "up"]);
        let classes = |device: &str| world.run("tc", &["class", "show", "dev", device]);
        let shaped = waited(&|| !classes("vsecond").is_empty());
        let class = classes("vsecond");
        let from = waited(&|| {
            let tables = world.run("nft", &["list", "ruleset"]);
            tables.contains("\"vsecond\"")
        });
        let other = classes("vother");
        watcher.kill().unwrap();
        watcher.wait().unwrap();
        let cli = program::cli().to_str().unwrap();
        world.run(cli, &["set", &id, "network.packets=100"]);
        let later = classes("vsecond");
        let said = std::fs::read_to_string(said).unwrap();
        assert!(up && shaped, "to the container: {said}");
        assert!(class.contains("rate 3"), "not the adapted rate: {class}");
        assert!(from, "from the container: {said}");
        assert!(
            later.contains("rate 3"),
            "another setting undid it: {later}"
        );
        assert_eq!(other, "");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}
