//! `docker network connect`: an interface that comes while the container
//! runs, of which no hook hears.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packrank_tests::program;

use crate::world::{id, world};

/// Far more than it takes: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_network_that_comes_later_is_shaped_by_the_watcher() {
    world("connected", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("connected"));
        let pid = world.create(&bundle, &id);
        world.veth("vfirst", pid);
        world.call(&["start", &id]);
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
        let shaped = waited(&|| classes("vsecond").contains("rate 5"));
        let from = waited(&|| {
            let tables = world.run("nft", &["list", "ruleset"]);
            tables.contains("\"vsecond\"")
        });
        let other = classes("vother");
        watcher.kill().unwrap();
        watcher.wait().unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        assert!(up && shaped, "to the container: {said}");
        assert!(from, "from the container: {said}");
        assert_eq!(other, "");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}
