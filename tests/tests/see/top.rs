//! The live view of a real node: once, and in a real terminal.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use packrank_tests::node::Node;
use packrank_tests::program;
use packrank_tests::skipped::skipped;
use serde_json::Value as Json;

use super::workload;

#[test]
fn top_shows_a_real_node() {
    let Some(mut node) = workload::busy("top") else {
        return;
    };
    node.policy("[watch]\nlinger = 600\n");
    node.watch();
    let out = node
        .packrank(&["top", "--once", "--format", "json"])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let told: Json = serde_json::from_slice(&out.stdout).unwrap();
    let packs = told["packs"].as_array().unwrap();
    let named = |name: &str| packs.iter().find(|p| p["name"] == name).unwrap();
    assert_eq!(packs.len(), 4, "{told}");
    assert!(
        named("api")["cpu-percent"].as_f64().unwrap() > 1.0,
        "{told}"
    );
    assert!(named("db")["memory-bytes"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(named("db")["memory-limit-bytes"], 256 << 20);
    let out = node
        .packrank(&["top", "--once", "--sort", "cpu", "--filter", "shop"])
        .output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    assert!(
        text.contains("crit db") && text.contains("norm api"),
        "{text}"
    );
    assert!(
        !text.contains("batch") && !text.contains('\u{1b}'),
        "{text}"
    );
}

/// A terminal of 80 by 24 in which `packrank top` runs, by tmux.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(node: &Node) -> Terminal {
        let socket = node.folder.path().join("tmux").display().to_string();
        let terminal = Terminal { socket };
        let top = format!(
            "{} top --run {}; echo ended with $?; exec sleep 60",
            program::cli().display(),
            node.run().display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &top]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let out = Command::new("/usr/bin/tmux")
            .args(["-u", "-f", "/dev/null", "-S", &self.socket])
            .args(words)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "tmux {words:?}: {said}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn press(&self, keys: &[&str]) {
        for key in keys {
            self.tmux(&["send-keys", key]);
            // An Esc that another key follows at once is an Alt.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn screen(&self) -> Vec<String> {
        let text = self.tmux(&["capture-pane", "-p"]);
        text.lines().map(str::to_owned).collect()
    }

    /// The screen, once it is so.
    fn until(&self, node: &Node, what: &str, so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut screen = Vec::new();
        node.wait(what, || {
            screen = self.screen();
            println!("{}", screen.join("\n"));
            so(&screen)
        });
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("/usr/bin/tmux")
            .args(["-S", &self.socket, "kill-server"])
            .output();
    }
}

/// The names of packs, in the order in which they stand.
fn order(screen: &[String]) -> Vec<&'static str> {
    let named = |line: &String| {
        let name = ["db", "api", "backup", "batch"];
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        name.into_iter().find(|name| words.contains(name))
    };
    let packs = screen
        .iter()
        .skip(6)
        .take_while(|line| !line.starts_with("── "));
    packs.filter_map(named).collect()
}

#[test]
fn keys_do_what_they_say_in_a_real_terminal() {
    if !Path::new("/usr/bin/tmux").exists() {
        return skipped("top in a terminal", "Debian's tmux is not installed");
    }
    let Some(mut node) = workload::busy("terminal") else {
        return;
    };
    // The busy node squeezes, so that there is something to tell.
    let policy = "[watch]\nlinger = 600\ncpu.some = [0, 0, 101, 101]\nsqueeze.down-every = 1\n";
    node.policy(policy);
    node.watch();
    let terminal = Terminal::open(&node);
    let has = |text: &'static str| move |s: &[String]| s.iter().any(|line| line.contains(text));
    let screen = terminal.until(&node, "all packs by class, and a deed", |screen| {
        order(screen) == ["db", "api", "backup", "batch"] && has("set cpu.quota")(screen)
    });
    assert_eq!(screen.len(), 24);
    assert!(screen.iter().all(|line| line.chars().count() <= 80));
    assert!(screen[0].contains("4 packs") && screen[0].contains("watching"));
    assert!(has("▼")(&screen), "no mark of what pressure took");

    terminal.press(&["a"]);
    terminal.until(&node, "sorted by name", |screen| {
        order(screen) == ["api", "backup", "batch", "db"]
    });
    terminal.press(&["/", "b", "a"]);
    terminal.until(&node, "the filter as it is typed", |screen| {
        order(screen) == ["backup", "batch"] && has("Enter keeps it")(screen)
    });
    terminal.press(&["Enter", "Down", "Enter"]);
    let screen = terminal.until(&node, "one pack in full", has("DECIDED BY"));
    assert!(has("scavenger")(&screen) && has("Esc back")(&screen));
    terminal.press(&["Escape"]);
    terminal.until(&node, "the list again", |screen| {
        order(screen) == ["backup", "batch"]
    });
    terminal.press(&["Escape"]);
    terminal.until(&node, "without the filter", |screen| {
        order(screen).len() == 4
    });

    // Another watcher counts from one: what it does is heard all the same.
    node.kill_watcher();
    terminal.until(&node, "no watcher", has("no watcher"));
    node.policy(
        "[watch]\nlinger = 600\nmemory.used = [0, 0, 101, 101]\ncpu.some = [101, 101, 101, 101]\n",
    );
    node.watch();
    terminal.until(&node, "what the second one does", has("compact memory"));

    terminal.press(&["q"]);
    let screen = terminal.until(&node, "it has ended", has("ended with 0"));
    assert!(
        !has("what the watcher does")(&screen),
        "the screen is not given back"
    );
}
