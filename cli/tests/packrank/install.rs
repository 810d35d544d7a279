//! `packrank install` and `uninstall` on a folder that stands in for the
//! root, with the containerd of this machine. The guest does it on real nodes.
//! Only CRI-O, which Debian does not have, is a stand-in everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use packrank_skipped::skipped;
use tempfile::TempDir;

const PROGRAMS: [&str; 4] = [
    "packrank-runtime",
    "packrank-hook",
    "packrank-engine",
    "packrank-watcher",
];

/// A node with this machine's containerd, and packrank unpacked beside it.
pub struct Node {
    folder: TempDir,
}

impl Node {
    /// `None`, and says so, where it cannot be.
    pub fn with_containerd() -> Option<Node> {
        let containerd = ["/usr/bin/containerd", "/usr/local/bin/containerd"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let root =
            fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let (Some(containerd), true) = (containerd, root) else {
            skipped(
                "a node to install on",
                "no containerd on this machine, or not root",
            );
            return None;
        };
        let node = Node::bare();
        symlink(containerd, node.root().join("usr/bin/containerd")).unwrap();
        Some(node)
    }

    pub fn bare() -> Node {
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

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Exit status, stdout, stderr.
    pub fn packrank(&self, args: &[&str]) -> (i32, String, String) {
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

    pub fn write(&self, path: &str, text: &str) {
        let place = self.root().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
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

const CRIO: &str = "etc/crio/crio.conf.d/99-packrank.conf";

/// A stand-in for CRI-O, which Debian does not have: `crio config` with the
/// file and the drop-ins it is told of, passed through `filter`. What the real
/// one makes of them it does not know.
fn crio(node: &Node, filter: &str) {
    let script = format!(
        r#"#!/bin/sh
PATH=/usr/bin:/bin
while [ $# -gt 0 ]; do
  case $1 in
    --config) file=$2; shift ;;
    --config-dir) folder=$2; shift ;;
  esac
  shift
done
cat ${{file:+"$file"}} "$folder"/*.conf | {filter}
"#
    );
    packrank_executable::write(&node.root().join("usr/bin/crio"), &script);
}

#[test]
fn crio_is_asked_with_its_own_file_and_what_it_comments_out_does_not_count() {
    let node = Node::bare();
    crio(&node, "cat");
    node.write("etc/crio/crio.conf", "[crio.api]\nstream_port = \"0\"\n");
    let theirs = "etc/crio/crio.conf.d/10-mine.conf";
    node.write(theirs, "[crio.image]\npause_command = \"/pause\"\n");
    packrank_executable::write(&node.root().join("usr/bin/conmon"), "#!/bin/sh\n");
    let before = node.state();
    let (status, said, wrong) = node.packrank(&["install", "--for", "crio", "--class-runtimes"]);
    assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
    let written = node.read(CRIO);
    assert!(written.contains("[crio.runtime.runtimes.packrank-low]"));
    // Without the flag again: the classes' runtimes stay.
    let (_, said, _) = node.packrank(&["install", "--for", "crio"]);
    assert!(said.contains("nothing to change"), "{said}");
    assert_eq!(node.read(CRIO), written);
    // Somebody made one of ours the default meanwhile.
    let default = "etc/crio/crio.conf.d/99-zz.conf";
    node.write(
        default,
        "[crio.runtime]\ndefault_runtime = \"packrank-low\"\n",
    );
    let installed = node.state();
    let (status, _, wrong) = node.packrank(&["uninstall"]);
    assert_eq!(status, 1);
    assert!(wrong.contains("default_runtime is packrank-low"), "{wrong}");
    assert_eq!(node.state(), installed);
    fs::remove_file(node.root().join(default)).unwrap();
    node.packrank(&["uninstall"]);
    assert_eq!(node.state(), before);

    for (filter, part) in [
        ("sed 's/^/# /'", "it does not see handler packrank"),
        (
            "sed s/packrank-runtime/runc/",
            "it does not see handler packrank",
        ),
        (
            "{ echo no >&2; exit 1; }",
            "accept the change, so it was not made: no",
        ),
    ] {
        crio(&node, filter);
        let before = node.state();
        let (status, _, wrong) = node.packrank(&["install", "--for", "crio"]);
        assert_eq!(status, 1);
        assert!(wrong.contains(part), "{filter}: {wrong}");
        assert_eq!(node.state(), before);
    }
}

/// Packages put it where no PATH leads, and CRI-O does not start with a handler
/// whose conmon it does not find.
#[test]
fn crios_handlers_have_the_conmon_of_the_one_that_is_there() {
    // What `crio config` leaves out is the default that is CRI-O's own.
    for default in ["", "default_runtime = \"other\"\n"] {
        let node = Node::bare();
        crio(&node, "cat");
        let handlers = format!(
            "[crio.runtime]\n{default}[crio.runtime.runtimes.crun]\n\
             runtime_path = \"/usr/libexec/crio/crun\"\nruntime_type = \"pod\"\n\
             monitor_path = \"/usr/libexec/crio/conmonrs\"\n\
             [crio.runtime.runtimes.other]\nruntime_path = \"/opt/other/runc\"\n\
             monitor_path = \"/opt/other/conmon\"\n"
        );
        node.write("etc/crio/crio.conf.d/10-crio.conf", &handlers);
        let before = node.state();
        let (status, _, wrong) = node.packrank(&["install", "--for", "crio"]);
        assert_eq!(status, 1);
        assert!(wrong.contains("no conmon was found"), "{wrong}");
        assert_eq!(node.state(), before);
        node.write("usr/libexec/crio/conmon", "");
        node.write("opt/other/conmon", "");
        let (status, said, wrong) = node.packrank(&["install", "--for", "crio"]);
        assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
        let (folder, engine) = match default {
            "" => ("/usr/libexec/crio", "crun"),
            _ => ("/opt/other", "runc"),
        };
        // None is in PATH here.
        assert!(
            said.contains(&format!("[engine] path = \"{folder}/{engine}\"")),
            "{said}"
        );
        let monitor = format!("runtime_type = \"oci\"\nmonitor_path = \"{folder}/conmon\"\n");
        assert!(node.read(CRIO).contains(&monitor), "{}", node.read(CRIO));
    }
}

#[test]
fn make_install_puts_all_under_destdir_and_make_uninstall_takes_it_away() {
    let node = Node::bare();
    let make = |target: &str, prefix: &str| {
        let output = Command::new(crate::run::root().join("../scripts").join(target))
            .env("PACKRANK_BIN", node.folder.path().join("unpacked"))
            .env("DESTDIR", node.root())
            .env("PREFIX", prefix)
            .output()
            .unwrap();
        let wrong = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{target}: {wrong}");
    };
    let files = |node: &Node| -> Vec<String> {
        let state = node.state().into_iter();
        let files = state.filter(|(path, _)| !path.is_dir() || path.is_symlink());
        let names = files.map(|(path, _)| path.strip_prefix(node.root()).unwrap().to_owned());
        names.map(|name| crate::run::text(&name)).collect()
    };
    for (prefix, unit) in [
        ("/usr/local", "etc/systemd/system/packrank-watcher.service"),
        ("/usr", "usr/lib/systemd/system/packrank-watcher.service"),
    ] {
        make("install", prefix);
        let below = &prefix[1..];
        let put = files(&node);
        for name in [
            "bin/packrank-runtime",
            "bin/packrank-runtime-low",
            "share/man/man1/packrank-install.1.gz",
            "share/bash-completion/completions/packrank",
            "share/zsh/site-functions/_packrank",
            "share/doc/packrank/annotations.md",
        ] {
            assert!(put.contains(&format!("{below}/{name}")), "{name}: {put:?}");
        }
        let link = node.root().join(below).join("bin/packrank-runtime-low");
        assert_eq!(fs::read_link(link).unwrap(), Path::new("packrank-runtime"));
        let started = format!("ExecStart={prefix}/bin/packrank-watcher\n");
        assert!(node.read(unit).contains(&started), "{}", node.read(unit));
        let program = node.root().join(below).join("bin/packrank-runtime");
        let mode = fs::metadata(program).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        make("uninstall", prefix);
        assert_eq!(files(&node), [""; 0]);
    }
}
