//! Packs that do something: one of each kind that a panel shows.

use packrank_tests::node::Node;
use serde_json::json;

/// A node with packs that compute, hold memory, write and are held back.
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
    let own = json!({ "namespace": "test" });
    node.pack(
        "c0ffee",
        "critical",
        &["unshare", "-n", "sleep", "600"],
        &json!({ "name": "db", "pod": "shop-0", "namespace": "shop", "network": own,
            "settings": limits(200, 256) }),
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
    let write = "while :; do dd if=/dev/zero of=\"$0\" bs=64k count=8 oflag=direct conv=notrunc; sleep 0.1; done";
    node.pack(
        "d15c",
        "low",
        &["sh", "-c", write, &file],
        &json!({ "name": "backup", "pod": "cron-1", "namespace": "ops", "settings": limits(50, 128) }),
    );
    Some(node)
}
