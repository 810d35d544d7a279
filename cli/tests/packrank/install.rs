//! `packrank install` and `uninstall` on a folder that stands in for the
//! root, with the containerd of this machine. The guest does it on real nodes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PROGRAMS: [&str; 4] = [
    "packrank-runtime",
    "packrank-hook",
    "packrank-engine",
    "packrank-watcher",
];

/// A node with this machine's containerd, and packrank unpacked beside it.
struct Node {
    folder: TempDir,
}

impl Node {
    /// `None`, and says so, where it cannot be.
    fn with_containerd() -> Option<Node> {
        let containerd = ["/usr/bin/containerd", "/usr/local/bin/containerd"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let root =
            fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let (Some(containerd), true) = (containerd, root) else {
            eprintln!("SKIPPED: no containerd on this machine, or not root");
            return None;
        };
        let node = Node::bare();
        symlink(containerd, node.root().join("usr/bin/containerd")).unwrap();
        Some(node)
    }

    fn bare() -> Node {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("unpacked");
        fs::create_dir_all(&beside).unwrap();
        fs::create_dir_all(folder.path().join("root/usr/bin")).unwrap();
        let packrank = Path::new(env!("CARGO_BIN_EXE_packrank"));
        packrank_executable::copy(packrank, &beside.join("packrank"));
        for name in PROGRAMS {
            fs::write(beside.join(name), name).unwrap();
            fs::set_permissions(beside.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Node { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Exit status, stdout, stderr.
    fn packrank(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(self.folder.path().join("unpacked/packrank"))
            .args(args)
            .arg("--root")
            .arg(self.root())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn write(&self, path: &str, text: &str) {
        let place = self.root().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Every path under the root, with mode and contents.
    fn state(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let bytes = if meta.is_file() {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                if meta.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path, (meta.permissions().mode(), bytes));
            }
        }
        found
    }
}

const TOML: &str = "etc/containerd/config.toml";

#[test]
fn in_and_out_again_without_a_trace() {
    let Some(node) = Node::with_containerd() else {
        return;
    };
    for text in [
        None,
        Some(
            "# mine\nversion = 2 # so far\n\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n    SystemdCgroup = true",
        ),
    ] {
        if let Some(text) = text {
            node.write(TOML, text);
        }
        let before = node.state();
        let install = ["install", "--for", "containerd", "--class-runtimes"];
        let (status, said, _) = node.packrank(&[&install[..], &["--dry-run"]].concat());
        assert_eq!((status, node.state()), (0, before.clone()), "{said}");
        let (status, said, wrong) = node.packrank(&install);
        assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
        assert!(
            said.contains("to be done: systemctl restart containerd"),
            "{said}"
        );
        let installed = node.state();
        let written = node.read(TOML);
        assert!(
            written.starts_with(text.unwrap_or("version = ")),
            "{written}"
        );
        if text.is_some() {
            // Like the node's default handler, or the kubelet's pods fail.
            assert_eq!(
                written.matches("SystemdCgroup = true").count(),
                7,
                "{written}"
            );
        }
        for program in PROGRAMS {
            assert_eq!(node.read(&format!("usr/local/bin/{program}")), program);
        }
        let link = fs::read_link(node.root().join("usr/local/bin/packrank-runtime-low"));
        assert_eq!(link.unwrap(), Path::new("packrank-runtime"));

        let (_, said, _) = node.packrank(&install);
        assert!(said.contains("nothing to change"), "{said}");
        assert_eq!(node.state(), installed);

        let (status, said, wrong) = node.packrank(&["uninstall"]);
        assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
        assert_eq!(node.state(), before);
    }
}

#[test]
fn what_others_change_meanwhile_stays() {
    let Some(node) = Node::with_containerd() else {
        return;
    };
    node.write(TOML, "version = 2\n");
    node.packrank(&["install", "--for", "containerd"]);
    let theirs = "[timeouts]\n  \"io.containerd.timeout.shim.load\" = \"7s\"\n";
    node.write(TOML, &(node.read(TOML) + theirs));
    let (status, said, wrong) = node.packrank(&["uninstall"]);
    assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
    assert_eq!(node.read(TOML), format!("version = 2\n{theirs}"));
}

#[test]
fn what_would_keep_the_cri_from_starting_is_left_alone() {
    let Some(node) = Node::with_containerd() else {
        return;
    };
    let refused = |text: &str| {
        node.write(TOML, text);
        let before = node.state();
        let (status, said, wrong) = node.packrank(&["install", "--for", "containerd"]);
        assert_eq!((status, said.as_str()), (1, ""), "{wrong}");
        assert_eq!(node.state(), before);
        wrong
    };
    let no_toml = refused("version = = 2");
    assert!(
        no_toml.contains("config.toml is left as it is"),
        "{no_toml}"
    );
    let inline = refused(
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nruntimes = { runc = { runtime_type = \"io.containerd.runc.v2\" } }\n",
    );
    assert!(inline.contains("does not accept the change"), "{inline}");
}

#[test]
fn an_engine_that_is_not_there_is_said_so() {
    let node = Node::bare();
    for (engine, said) in [
        ("docker", "docker (dockerd)"),
        ("crio", "crio"),
        ("podman", "podman"),
    ] {
        let (status, _, wrong) = node.packrank(&["install", "--for", engine, "--dry-run"]);
        assert_eq!(status, 1);
        assert_eq!(wrong, format!("packrank: {said} is not installed here\n"));
    }
}
