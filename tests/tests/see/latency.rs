//! The time of each request, of the pack that made it.

use std::fs::{self, File};
use std::process::Command;

use packrank_tests::node::Node;
use packrank_tests::skipped::skipped;
use serde_json::json;

use super::metrics::{sample, scrape};

const READS: usize = 200;

#[test]
fn every_request_of_a_pack_is_in_its_own_histogram() {
    const NAME: &str = "every_request_of_a_pack_is_in_its_own_histogram";
    let mut node = match Node::new("latency") {
        Ok(node) => node,
        Err(why) => return skipped(NAME, &why),
    };
    let folder = node.folder.path().to_owned();
    let file = folder.join("file");
    fs::write(&file, vec![1; 4096 * READS]).unwrap();
    File::open(&file).unwrap().sync_all().unwrap();
    let path = file.display().to_string();
    let dd = format!("dd if={path} of=/dev/null bs=4096 count={READS}");
    // Here first, so that dd itself is read by nobody's pack.
    let direct = format!("{dd} iflag=direct");
    let mut words = direct.split(' ');
    let tried = Command::new(words.next().unwrap()).args(words).output();
    if !tried.unwrap().status.success() {
        return skipped(NAME, "no direct reads where temporary files are");
    }
    // A cgroup's first requests are on its parent's account while the kernel
    // finds no memory at once for one of its own: so it reads once before.
    for (name, read) in [("direct", &direct), ("cached", &dd)] {
        let script = format!(
            "dd if={path} of=/dev/null bs=4096 count=1 iflag=direct; : >{path}.{name}-ready
             while ! [ -e {path}.go ]; do sleep 0.1; done; {read} && : >{path}.{name}; sleep 600"
        );
        let words = ["sh", "-c", &script];
        node.pack(name, "normal", &words, &json!({ "name": name }));
    }
    let there = |ends: [&str; 2]| ends.iter().all(|end| folder.join(end).exists());
    node.wait("both have begun", || {
        there(["file.direct-ready", "file.cached-ready"])
    });
    node.policy("[watch]\nlinger = 600\n");
    node.watch();
    let get = || scrape(&node).unwrap().1;
    let text = get();
    let mut help = text
        .lines()
        .filter(|line| line.starts_with("# HELP pack_io_latency_seconds "));
    let help = help.next().unwrap();
    if !help.contains("BPF") {
        return skipped(NAME, help);
    }
    let count = |text: &str, pack: &str| {
        let label = format!("pack=\"{pack}\"");
        sample(text, "pack_io_latency_seconds_count", &[&label])
    };
    assert_eq!(count(&text, "direct"), None);
    fs::write(folder.join("file.go"), "").unwrap();
    node.wait("both have read", || there(["file.direct", "file.cached"]));
    node.wait("the reads are seen", || count(&get(), "direct").is_some());
    let text = get();
    let lines = text.lines();
    let of = lines.filter(|line| line.starts_with("pack_io_latency"));
    of.for_each(|line| println!("{line}"));
    assert_eq!(count(&text, "direct"), Some(200.0));
    assert_eq!(count(&text, "cached"), None);
    let direct = ["pack=\"direct\""];
    let sum = sample(&text, "pack_io_latency_seconds_sum", &direct).unwrap();
    // No disk answers within a microsecond.
    assert!(sum > 200.0 / 1e6, "{sum} s");
}
