//! A real Prometheus, and promtool.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use packrank_tests::node::http_of;
use packrank_tests::skipped::skipped;
use serde_json::{Value as Json, json};

/// The folder of rules and dashboard.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

/// Whether Debian's `prometheus` is there; says so when not.
pub fn installed(test: &str) -> bool {
    let found = ["prometheus", "promtool"].map(|name| Path::new("/usr/bin").join(name).exists());
    if found != [true, true] {
        skipped(test, "Debian's package prometheus is not installed");
    }
    found == [true, true]
}

/// Has `promtool check metrics` read a text; fails with what it complains about.
pub fn lint(text: &str) {
    let mut promtool = Command::new("/usr/bin/promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = promtool.stdin.take().unwrap();
    to.write_all(text.as_bytes()).unwrap();
    drop(to);
    let out = promtool.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success() && said.trim().is_empty(), "{said}");
}

/// A port nobody has now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A Prometheus that scrapes one node every second.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Prometheus {
    pub fn scraping(target: SocketAddr) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(examples().join("prometheus.yaml")).unwrap();
        assert!(config.contains("127.0.0.1:9435"), "{config}");
        let config = config
            .replace("127.0.0.1:9435", &target.to_string())
            .replace("15s", "1s");
        fs::write(folder.path().join("prometheus.yaml"), config).unwrap();
        fs::copy(
            examples().join("rules.yaml"),
            folder.path().join("rules.yaml"),
        )
        .unwrap();
        let address = free_port();
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let child = Command::new("/usr/bin/prometheus")
            .arg(format!(
                "--config.file={}",
                folder.path().join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        Prometheus {
            child,
            address,
            folder,
        }
    }

    /// What `GET path` gives as data; `None` when it does not answer yet.
    pub fn data(&self, path: &str) -> Option<Json> {
        let (head, body) = http_of(TcpStream::connect(self.address).ok()?, path, "*/*").ok()?;
        let answer = body.find('{').and_then(|at| {
            let end = body.rfind('}')?;
            serde_json::from_str::<Json>(&body[at..=end]).ok()
        })?;
        assert!(!head.contains(" 400 "), "{path}: {answer}");
        Some(answer["data"].clone())
    }

    /// The result of a query now.
    pub fn query(&self, query: &str) -> Vec<Json> {
        let path = format!("/api/v1/query?query={}", escaped(query));
        let data = self.data(&path).unwrap_or(json!({}));
        data["result"].as_array().cloned().unwrap_or_default()
    }

    /// What it said on stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For a URL: everything but letters and digits by its bytes.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
