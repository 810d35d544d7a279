//! On the running kernel, with the disk that temporary files are on.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use packrank_skipped::skipped;

use super::*;

const READS: u32 = 64;

/// A cgroup of the hierarchy that tells whose a request is.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Result<Cgroup, String> {
        let top = Path::new("/sys/fs/cgroup");
        let given = fs::read_to_string(top.join("cgroup.subtree_control")).unwrap_or_default();
        let root = match given.split_whitespace().any(|word| word == "io") {
            true => top.to_owned(),
            false => top.join("blkio"),
        };
        let path = root.join(format!("packrank-requests-{name}-{}", std::process::id()));
        let made = fs::create_dir(&path);
        made.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Cgroup(path))
    }

    fn number(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }

    fn run(&self, words: &[&str]) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]);
        let command = command.arg(&self.0).args(words).stderr(Stdio::null());
        command.status().unwrap().success()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn each_request_is_counted_once_for_the_cgroup_that_made_it() {
    let skipped = |why: &dyn std::fmt::Display| skipped("counting requests", &why.to_string());
    let (reader, other) = match (Cgroup::new("reader"), Cgroup::new("other")) {
        (Ok(reader), Ok(other)) => (reader, other),
        (Err(why), _) | (_, Err(why)) => return skipped(&why),
    };
    let requests = match Requests::watch(&[1_000, 1_000_000_000]) {
        Ok(requests) => requests,
        Err(why @ (RequestsError::Refused { .. } | RequestsError::NoTypes { .. })) => {
            return skipped(&why);
        }
        Err(error) => panic!("{error}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, [1; 4096].repeat(READS as usize)).unwrap();
    File::open(&path).unwrap().sync_all().unwrap();
    let from = format!("if={}", path.display());
    let count = format!("count={READS}");
    let direct = [
        "dd",
        "of=/dev/null",
        "bs=4096",
        "iflag=direct",
        &count,
        &from,
    ];
    let cached = ["dd", "of=/dev/null", "bs=4096", &count, &from];
    // Once unseen, so that the programs themselves are read from memory.
    if !reader.run(&direct) || !other.run(&cached) {
        return skipped(&"no direct reads where temporary files are");
    }
    requests.take().unwrap();
    assert!(reader.run(&direct) && other.run(&cached));
    let all = requests.take().unwrap();
    println!("{all:?}");
    let Some(times) = all.get(&reader.number()) else {
        return skipped(&"where temporary files are is no disk with requests");
    };
    // Faster than a microsecond is no disk, and none of them took a second.
    let reads = u64::from(READS);
    assert_eq!(times.counts, [0, reads, 0]);
    assert!((reads * 1_000..reads * 1_000_000_000).contains(&times.sum));
    assert_eq!(all.get(&other.number()), None);
    // What was taken is not there again.
    assert_eq!(requests.take().unwrap().get(&reader.number()), None);
}
