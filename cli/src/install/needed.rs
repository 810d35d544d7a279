//! Who needs packrank-runtime to end.
//!
//! In: the records; conmon's and our shim's processes; what containerd's own
//! shim wrote down in its bundles. Out: the containers' ids. One that runs
//! under packrank without a class has no record, and needs us all the same: to
//! be killed and deleted is asked of the runtime it was made by.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use packrank_core::record::Packs;
use packrank_shim::attach::{RUN_FOLDER, running};

use super::engine::is_our_program;
use super::node::Node;

/// The state folders of containerd, of the one that Docker starts itself, and
/// of k3s and RKE2; any other is found by its shims.
const STATES: [&str; 3] = [
    "/run/containerd",
    "/run/docker/containerd/daemon",
    "/run/k3s/containerd",
];

/// In a state folder: a folder for each namespace, in it one for each bundle.
const TASKS: &str = "io.containerd.runtime.v2.task";

/// The program of runc's shim, whose working directory is its first bundle.
const RUNC_SHIM: &str = "containerd-shim-runc-v2";
const OUR_SHIM: &str = "containerd-shim-packrank-v2";

/// What is read of a file that names a program: a path, or a script of two
/// lines that Docker makes of a runtime with arguments.
const LONGEST: u64 = 16 << 10;

/// The ids, as far as people use them.
pub(super) fn needed(node: &Node) -> BTreeSet<String> {
    let mut ids = ranked(node);
    let mut folders: BTreeSet<PathBuf> = STATES.map(|s| node.at(s).join(TASKS)).into();
    for process in processes(node) {
        ids.extend(process.container());
        folders.extend(process.tasks());
    }
    for bundle in folders
        .iter()
        .flat_map(|f| inside(f))
        .flat_map(|f| inside(&f))
    {
        if names_us(node, &bundle) {
            ids.extend(
                bundle
                    .file_name()
                    .map(|id| id.to_string_lossy().into_owned()),
            );
        }
    }
    ids.iter().map(|id| id.chars().take(12).collect()).collect()
}

fn ranked(node: &Node) -> BTreeSet<String> {
    let records = Packs::under(&node.at(RUN_FOLDER)).all().unwrap_or_default();
    let records = records.into_iter().filter_map(|(_, record)| record.ok());
    records.filter(running::alive).map(|r| r.id).collect()
}

/// A process beside which a container runs.
#[derive(Debug)]
struct Process {
    folder: PathBuf,
    program: String,
    args: Vec<String>,
}

/// The node's own processes: what runs in a container says of itself what it
/// likes, and is left out.
fn processes(node: &Node) -> Vec<Process> {
    let own = fs::read_link(node.at("/proc/self/ns/pid")).ok();
    let numbers = inside(&node.at("/proc")).into_iter().filter(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.bytes().all(|b| b.is_ascii_digit())
    });
    let ours = numbers.filter(|f| fs::read_link(f.join("ns/pid")).ok() == own);
    ours.filter_map(Process::at).collect()
}

impl Process {
    fn at(folder: PathBuf) -> Option<Process> {
        let program = fs::read_link(folder.join("exe")).ok()?;
        let line = fs::read(folder.join("cmdline")).ok()?;
        let args = line.split(|b| *b == 0).map(String::from_utf8_lossy);
        Some(Process {
            program: program.file_name()?.to_string_lossy().into_owned(),
            args: args.map(|a| a.into_owned()).collect(),
            folder,
        })
    }

    /// The container that this one would end by our programs. Both stay for a
    /// moment after the container and its bundle are removed, conmon to run
    /// `podman container cleanup`, which then has nothing to do.
    fn container(&self) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let after = |name: &str| {
            let at = self.args.iter().position(|arg| arg == name)?;
            self.args.get(at + 1).cloned()
        };
        // A program that was replaced is named with an end: "… (deleted)".
        let (id, there) = match () {
            () if self.program.starts_with(OUR_SHIM) => {
                let bundle = fs::metadata(self.folder.join("cwd"));
                (after("-id"), bundle.is_ok_and(|meta| meta.nlink() > 0))
            }
            () if self.program.starts_with("conmon")
                && self.args.iter().any(|arg| is_our_program(arg)) =>
            {
                let seen =
                    |path: String| self.folder.join("root").join(path.trim_start_matches('/'));
                (
                    after("-c"),
                    after("-b").is_none_or(|path| seen(path).exists()),
                )
            }
            () => return None,
        };
        let number = self.folder.file_name().unwrap_or_default();
        there.then(|| id.unwrap_or_else(|| format!("of process {}", number.display())))
    }

    /// Where containerd's own shim, root's, has its bundles: this one and those
    /// of the same pod.
    fn tasks(&self) -> Option<PathBuf> {
        use std::os::unix::fs::MetadataExt;
        let root = fs::metadata(&self.folder).ok()?.uid() == 0;
        let bundle = fs::read_link(self.folder.join("cwd")).ok()?;
        let tasks = bundle.ancestors().nth(2)?;
        (root && self.program.starts_with(RUNC_SHIM) && tasks.ends_with(TASKS))
            .then(|| tasks.to_owned())
    }
}

/// Whether a bundle of containerd's own shim is to be ended by our program. It
/// writes the program's path to `runtime`, and all its options to a file
/// beside, for whoever deletes the container after it.
fn names_us(node: &Node, bundle: &Path) -> bool {
    let text = |name: &str| short(&bundle.join(name));
    let options = text("options.json").and_then(|text| {
        let options: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(options.get("binary_name")?.as_str()?.to_owned())
    });
    [text("runtime"), options]
        .into_iter()
        .flatten()
        .any(|program| {
            let script = || short(&node.at(&program)).filter(|text| text.starts_with("#!"));
            is_our_program(&program)
                || script().is_some_and(|s| s.split([' ', '\n', '"', '\'']).any(is_our_program))
        })
}

/// A short file's text.
fn short(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok()?;
    let is = meta.is_file() && meta.len() <= LONGEST;
    is.then(|| fs::read_to_string(path).ok()).flatten()
}

/// What a folder holds; nothing, where it is not there.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    /// The guest asks real engines; here is what they leave, each in its form.
    #[test]
    fn bundles_that_would_be_deleted_by_us() {
        let root = tempfile::tempdir().unwrap();
        let node = Node::new(root.path());
        let write = |path: &str, text: &str| {
            let place = node.at(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        };
        let bundle = |state: &str, id: &str| format!("{state}/{TASKS}/moby/{id}");
        assert!(needed(&node).is_empty());
        let theirs = bundle(STATES[0], "theirs");
        write(&format!("{theirs}/runtime"), "/usr/bin/runc");
        write(&format!("{theirs}/options.json"), r#"{"binary_name":""}"#);
        assert!(needed(&node).is_empty());
        let by_path = bundle(STATES[0], "0123456789abcdef");
        write(
            &format!("{by_path}/runtime"),
            "/usr/bin/packrank-runtime-low",
        );
        let by_options = bundle(STATES[1], "options");
        write(
            &format!("{by_options}/options.json"),
            r#"{"binary_name":"/opt/packrank-runtime","systemd_cgroup":true}"#,
        );
        let by_script = bundle(STATES[2], "script");
        write(
            &format!("{by_script}/runtime"),
            "/var/lib/docker/runtimes/a/packrank",
        );
        write(
            "/var/lib/docker/runtimes/a/packrank",
            "#!/bin/sh\n/usr/local/bin/packrank-runtime --debug \"$@\"\n",
        );
        let ids: Vec<String> = needed(&node).into_iter().collect();
        assert_eq!(ids, ["0123456789ab", "options", "script"]);
    }

    #[test]
    fn processes_whose_containers_need_us() {
        const RUNS: &str = "echo up; read line";
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        let removed = folder.path().join("removed");
        let conmon = |runtime, bundle: &Path| ("conmon", ["-r", runtime, "-b"], bundle.to_owned());
        let shim = |bundle: &Path| (OUR_SHIM, ["-namespace", "k8s.io", "-id"], bundle.to_owned());
        let cases = [
            (conmon("/opt/packrank-runtime", &there), Some(RUNS)),
            (conmon("/opt/packrank-runtime", &removed), None),
            (conmon("/usr/bin/crun", &there), None),
            (shim(&there), Some("pod")),
            (shim(&removed), None),
        ];
        for ((program, args, bundle), wanted) in cases {
            fs::create_dir_all(&bundle).unwrap();
            let path = folder.path().join(program);
            packrank_executable::copy(Path::new("/bin/sh"), &path);
            let last = if program == OUR_SHIM {
                Path::new("pod")
            } else {
                &bundle
            };
            let mut command = Command::new(&path);
            command.args(["-c", RUNS]).args(args).arg(last);
            command.current_dir(&bundle);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // Its command line can be read from when it runs.
            let mut up = [0; 3];
            child.stdout.take().unwrap().read_exact(&mut up).unwrap();
            let _ = fs::remove_dir(&removed);
            let folder = PathBuf::from(format!("/proc/{}", child.id()));
            let found = Process::at(folder).unwrap().container();
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(found.as_deref(), wanted, "{program} {args:?} {bundle:?}");
        }
    }
}
