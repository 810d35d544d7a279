//! Packs that do something: one of each kind that a panel shows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use packrank_tests::node::Node;
use serde_json::json;

/// What the pack `db` does once it is given an `eth0` (see `wire`): two
/// connections over which it sends 80 KiB a second and gets them back.
const TALK: &str = "until grep -q eth0 /proc/net/dev; do sleep 0.5; done
ip address add 192.0.2.2/30 dev eth0
ip link set eth0 up
talk() {
  exec 3<>/dev/tcp/192.0.2.1/4242 || exit
  while printf %4096s x >&3 && read -r -N 4096 -u 3 _; do sleep 0.1; done
}
talk &
talk &
wait
exec sleep 600";

/// A node with packs that compute, hold memory, read, write and are held back.
/// `None`, said aloud, where no cgroups can be made.
pub fn busy(test: &str) -> Option<Node> {
    let mut node = match Node::new(test) {
        Ok(node) => node,
        Err(why) => {
            packrank_tests::skipped::skipped(test, &why);
            return None;
        }
    };
    let limits = |quota: u64, mebibytes: u64| {
        json!({ "cpu.quota": quota, "memory.limit": mebibytes << 20, "memory.high": mebibytes << 20,
            "memory.guarantee": 1 << 20, "pids": 128, "nofile": { "soft": 1024, "hard": 1024 },
            "io.read-bps": 50 << 20, "io.write-bps": 50 << 20,
            "network.egress": 10_000_000, "network.ingress": 10_000_000,
            "network.connections": 1000 })
    };
    let devices: Vec<String> = disk(node.folder.path()).into_iter().collect();
    let own = json!({ "namespace": "test" });
    node.pack(
        "c0ffee",
        "critical",
        &["unshare", "-n", "bash", "-c", TALK],
        &json!({ "name": "db", "pod": "shop-0", "namespace": "shop", "network": own,
            "settings": limits(200, 256), "devices": devices }),
    );
    let spin = "while :; do :; done";
    node.pack(
        "5p1n",
        "scavenger",
        &["sh", "-c", spin],
        &json!({ "name": "batch", "settings": limits(10, 64) }),
    );
    node.pack(
        "a91",
        "normal",
        &["sh", "-c", spin],
        &json!({ "name": "api", "pod": "shop-1", "namespace": "shop", "settings": limits(15, 64) }),
    );
    let file = node.folder.path().join("disk").display().to_string();
    let both = "while :; do dd if=/dev/zero of=\"$0\" bs=64k count=8 oflag=direct conv=notrunc
        dd if=\"$0\" of=/dev/null bs=64k count=8 iflag=direct; sleep 0.1; done";
    node.pack(
        "d15c",
        "low",
        &["sh", "-c", both, &file],
        &json!({ "name": "backup", "pod": "cron-1", "namespace": "ops",
            "settings": limits(50, 128), "devices": devices }),
    );
    Some(node)
}

/// The whole disk under a folder, as `major:minor`; `None` where it is in
/// memory or on many.
pub fn disk(folder: &Path) -> Option<String> {
    let dev = fs::metadata(folder).unwrap().dev();
    let (major, minor) = (nix::sys::stat::major(dev), nix::sys::stat::minor(dev));
    let block = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = match block.join("partition").exists() {
        true => block.parent()?,
        false => &block,
    };
    let name = fs::read_to_string(whole.join("dev")).ok()?;
    Some(name.trim().to_owned())
}
