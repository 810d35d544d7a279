//! What a container sends and gets below its limit.
//!
//! In: two containers with a veth each, one ranked `critical` (100 Mbit/s),
//! one not ranked. Out: what iperf3 measures on both in turn, below that rate.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use packrank_tests::skipped::skipped;
use serde_json::{Value, json};

use crate::container::{Container, Wish};
use crate::host;
use crate::place::{Place, quiet};
use crate::race::spread;
use crate::table;

/// How far from an unshaped veth, either way.
const APART: f64 = 0.02;
const SECONDS: &str = "3";
const TURNS: usize = 5;

pub fn below_the_limit(place: &Place) {
    let Some(iperf3) = place.installed("iperf3") else {
        return skipped("bench of throughput", "no iperf3");
    };
    host::own(place, "bench of throughput", |runc| {
        in_turns(place, runc, &iperf3);
    });
}

fn in_turns(place: &Place, runc: &Path, iperf3: &Path) {
    let create = |name: &str, net: u8, annotations: Value| {
        let wish = Wish {
            name,
            annotations,
            network: true,
        };
        let container = Container::create(place, runc, &wish)?;
        Some(Peer::new(place, iperf3, container, name, net))
    };
    let critical = json!({ "packrank.io/priority": "critical" });
    let made = (create("shaped", 1, critical), create("plain", 2, json!({})));
    let (Some(shaped), Some(plain)) = made else {
        return skipped("bench of throughput", "runc creates no container here");
    };
    shaped.container.call("createRuntime");
    table::section(
        "Throughput below a limit of 100 Mbit/s, beside an unshaped veth: Mbit/s, medians",
    );
    for (name, options) in [
        ("TCP, from, 50 Mbit/s", &["-b", "50M"][..]),
        ("TCP, from, 90 Mbit/s", &["-b", "90M"]),
        ("TCP, to, 90 Mbit/s", &["-b", "90M", "-R"]),
        ("UDP, from, 90 Mbit/s", &["-u", "-l", "1400", "-b", "90M"]),
        (
            "UDP, to, 90 Mbit/s",
            &["-u", "-l", "1400", "-b", "90M", "-R"],
        ),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(shaped.receives(options));
            theirs.push(plain.receives(options));
        }
        let (ours, theirs) = (spread(&ours).0, spread(&theirs).0);
        let ratio = ours / theirs;
        let word = if (ratio - 1.0).abs() <= APART {
            "met"
        } else {
            "MISSED"
        };
        table::result(
            &format!(
                "{name:<24} shaped {ours:>7.2}, unshaped {theirs:>7.2}: {ratio:.4} (goal within {APART}: {word})"
            ),
            json!({ "name": name, "shaped-mbit": ours, "unshaped-mbit": theirs, "ratio": ratio }),
        );
    }
    shaped.container.call("poststop");
}

/// A container, and a server on the host for it.
struct Peer {
    container: Container,
    client: Vec<String>,
    server: Child,
}

impl Peer {
    fn new(place: &Place, iperf3: &Path, container: Container, name: &str, net: u8) -> Peer {
        let ip = |inside: bool, args: &str| {
            let ip = place.installed("ip").unwrap();
            let mut command = match inside {
                true => inside_of(&container, &ip),
                false => quiet(&ip),
            };
            assert!(command.args(args.split(' ')).status().unwrap().success());
        };
        ip(false, &format!("addr add 10.90.{net}.1/24 dev v{name}"));
        ip(true, &format!("addr add 10.90.{net}.2/24 dev eth0"));
        ip(true, "link set eth0 up");
        let address = format!("10.90.{net}.1");
        let mut server = quiet(iperf3);
        let server = server.args(["-s", "-B", &address]).spawn().unwrap();
        let client = [
            iperf3.to_str().unwrap(),
            "-J",
            "-t",
            SECONDS,
            "-c",
            &address,
        ];
        Peer {
            client: client.map(str::to_owned).to_vec(),
            container,
            server,
        }
    }

    /// Megabits per second that the receiver counted.
    fn receives(&self, options: &[&str]) -> f64 {
        let mut command = inside_of(&self.container, Path::new(&self.client[0]));
        command.args(&self.client[1..]).args(options);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let end = &report["end"];
        let sum = match end["sum_received"].is_null() {
            false => &end["sum_received"],
            true => &end["sum"],
        };
        sum["bits_per_second"].as_f64().unwrap() / 1e6
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It is ours and nobody waits for it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The program in the container's network.
fn inside_of(container: &Container, program: &Path) -> Command {
    let mut command = quiet(Path::new("nsenter"));
    command.args(["-t", &container.pid.to_string(), "-n"]);
    command.arg(program);
    command
}
