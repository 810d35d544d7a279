//! Bad input: one sentence that names the key, the value and the accepted
//! form, exit status 1, and nothing changed.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::run::{Seen, file, folder, host, packrank, packrank_with, text};

/// What `explain` says of this config.json, for people and for programs.
fn sentence(document: impl AsRef<[u8]>, more: &[&str]) -> String {
    let v2 = host("v2");
    let ask = |format: &[&str]| {
        let args = [&["explain", "-", "--host", &v2], more, format].concat();
        packrank_with(&args, document.as_ref(), &[])
    };
    let sentence = ask(&[]).refused();
    let program: Seen = ask(&["--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&program.out).unwrap();
    assert_eq!((program.status, program.err.as_str()), (1, ""));
    assert_eq!(answer["refused"], sentence);
    sentence
}

fn annotated(key: &str, value: &str) -> String {
    let annotations = serde_json::json!({ "packrank.io/priority": "low", key: value });
    serde_json::json!({ "annotations": annotations }).to_string()
}

#[test]
fn annotations() {
    const CLASSES: &str = "expected one of critical, high, normal, low, scavenger";
    const BYTES: &str = "expected bytes such as 768Mi, 768MB or 805306368";
    const COUNT: &str = "expected a whole number such as 5000 or 5k";
    for (key, value, want) in [
        ("priority", "urgent", format!("\"urgent\" is not accepted: {CLASSES}")),
        ("priority", "", format!("\"\" is not accepted: {CLASSES}")),
        ("memory.limit", "768Mb", format!("\"768Mb\" is not accepted: {BYTES}")),
        ("memory.limit", "-1", format!("\"-1\" is not accepted: {BYTES}")),
        ("memory.limit", "0", "\"0\" is not accepted: expected at least 4 MiB".to_owned()),
        (
            "memory.limit",
            "9223372036854775808",
            "\"9223372036854775808\" is not accepted: too large: at most 9223372036854775807 is representable".to_owned(),
        ),
        ("pids", "-5", format!("\"-5\" is not accepted: {COUNT}")),
        ("pids", "0", "\"0\" is not accepted: expected 1 to 4194304".to_owned()),
        ("pids", "1.5", format!("\"1.5\" is not accepted: {COUNT}")),
        ("pids", "\u{1b}[2J", format!("\"\\u{{1b}}[2J\" is not accepted: {COUNT}")),
        ("cpu.quota", "150", "\"150\" is not accepted: expected a percentage such as 150%".to_owned()),
        ("nofile", "9/3", "\"9/3\" is not accepted: expected open files soft/hard such as 1024/4096, soft not above hard".to_owned()),
        ("oom.score", "-1001", "\"-1001\" is not accepted: expected a whole number from -1000 to 1000".to_owned()),
        ("inform", "yes", "\"yes\" is not accepted: expected true or false".to_owned()),
    ] {
        let annotation = format!("packrank.io/{key}");
        let seen = sentence(annotated(&annotation, value), &[]);
        assert_eq!(seen, format!("{annotation}: {want}"));
    }
}

#[test]
fn unknown_and_duplicate_annotations() {
    let seen = sentence(annotated("packrank.io/memory.limt", "1Gi"), &[]);
    let want = "packrank.io/memory.limt: no such annotation; known are priority, inform,";
    assert!(seen.starts_with(want), "{seen}");
    let twice = r#"{"annotations":{"packrank.io/pids":"5","packrank.io/pids":"5"}}"#;
    assert_eq!(
        sentence(twice, &[]),
        "packrank.io/pids stands twice in the annotations"
    );
    assert_eq!(
        sentence(r#"{"annotations":{"packrank.io/pids":"5"}}"#, &[]),
        "packrank.io/pids needs a class: add packrank.io/priority (critical, high, normal, low or scavenger)"
    );
}

#[test]
fn more_than_one_may_have() {
    assert_eq!(
        sentence(annotated("packrank.io/memory.limit", "8Gi"), &[]),
        "packrank.io/memory.limit: 8 GiB is above what class low may ask for: at most 512 MiB"
    );
    let seen = sentence(annotated("packrank.io/memory.limit", "unlimited"), &[]);
    assert_eq!(
        seen,
        "packrank.io/memory.limit: unlimited is above what class low may ask for: at most 512 MiB"
    );
    let claim = r#"{"annotations":{"packrank.io/priority":"critical","io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
    let seen = sentence(claim, &[]);
    let want = "packrank.io/priority: \"critical\" is not granted in namespace \"shop\": at most \"high\" (built-in policy:";
    assert!(seen.starts_with(want), "{seen}");
}

#[test]
fn the_command_line() {
    assert_eq!(
        sentence("{}", &["--priority", "urgent"]),
        "--priority: \"urgent\" is no class: expected one of critical, high, normal, low, scavenger"
    );
    assert_eq!(
        sentence("{}", &["-a", "packrank.io/priority"]),
        "-a: \"packrank.io/priority\" is not accepted: expected key=value"
    );
    let bundle = folder();
    let config = file(&bundle, "config.json", "{}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_packrank"));
    command.args(["explain", &config, "-a"]);
    command.arg(std::ffi::OsStr::from_bytes(b"packrank.io/pids=\xff"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "packrank: -a: \"packrank.io/pids=\\xFF\" is not accepted: expected key=value in UTF-8\n"
    );
}

#[test]
fn documents() {
    let deep = |member: &str| {
        let nest = "[".repeat(100_000) + &"]".repeat(100_000);
        format!("{{\"{member}\":{nest}}}")
    };
    for (document, want) in [
        (b"".to_vec(), "config.json is empty"),
        (b" \n".to_vec(), "config.json is empty"),
        (
            b"{\"annotations\": {\"a\xff\": \"\"}}".to_vec(),
            "config.json is not UTF-8 at byte 19",
        ),
        (
            b"{\"linux\": ".to_vec(),
            "config.json: the document: EOF while parsing",
        ),
        (
            b"[]".to_vec(),
            "config.json: the document: invalid type: sequence, expected an object",
        ),
        (
            b"{\"annotations\":[]}".to_vec(),
            "config.json: annotations: invalid type: sequence, expected an object",
        ),
        (
            deep("annotations").into_bytes(),
            "config.json: annotations: invalid type: sequence",
        ),
        (deep("mounts").into_bytes(), "config.json: mounts[0]: "),
        (vec![b' '; 100 << 20], "config.json is larger than 16 MiB"),
    ] {
        let seen = sentence(document, &[]);
        assert!(seen.starts_with(want), "{seen}");
        assert!(seen.len() < 200, "{seen}");
    }
}

#[test]
fn bundles() {
    let bundle = folder();
    let path = text(bundle.path());
    let ask = |path: &str| packrank(&["explain", path, "--host", &host("v2")]).refused();
    assert_eq!(
        ask(&path),
        format!("{path}/config.json: No such file or directory (os error 2)")
    );
    assert_eq!(
        ask("/nonexistent/config.json"),
        "/nonexistent/config.json: No such file or directory (os error 2)"
    );
    let config = file(&bundle, "config.json", annotated("a", "b"));
    fs::set_permissions(bundle.path(), Permissions::from_mode(0o777)).unwrap();
    let seen = ask(&path);
    assert!(
        seen.starts_with(&format!("bundle {path}: owner ")),
        "{seen}"
    );
    assert!(
        seen.contains("mode 0777: somebody else can write to it"),
        "{seen}"
    );
    // A config.json alone is no bundle: it is explained wherever it lies.
    assert_eq!(
        packrank(&["explain", &config, "--host", &host("v2")]).status,
        0
    );
    fs::set_permissions(bundle.path(), Permissions::from_mode(0o755)).unwrap();
    fs::rename(&config, bundle.path().join("other.json")).unwrap();
    symlink("other.json", &config).unwrap();
    assert_eq!(
        ask(&path),
        format!(
            "bundle {path}/config.json: is a symbolic link; a ranked container's config.json must be a file"
        )
    );
    fs::remove_file(&config).unwrap();
    let large = fs::File::create(&config).unwrap();
    large.set_len(100 << 20).unwrap();
    assert_eq!(
        ask(&path),
        format!("{path}/config.json: 104857600 bytes; at most 16 MiB of config.json are read")
    );
}

#[test]
fn policies() {
    let etc = folder();
    let ask = |policy: &str| {
        let args = ["explain", "-", "--host", &host("v2"), "--policy", policy];
        let explained = packrank_with(&args, b"{}", &[]).refused();
        let checked = packrank(&["policy", "check", policy]).refused();
        assert_eq!(explained, checked);
        checked
    };
    let policy = file(&etc, "p.toml", "[class.low]\n  pidz = 3\n");
    let seen = ask(&policy);
    let want = format!("{policy}:2:3: class.low.pidz: no such key; known here: cpu.shares,");
    assert!(seen.starts_with(&want), "{seen}");
    let policy = file(&etc, "p.toml", "[class.low]\nmemory.limit = \"768Mb\"\n");
    assert_eq!(
        ask(&policy),
        format!(
            "{policy}:2:16: class.low.memory.limit: \"768Mb\" is not accepted: expected bytes such as 768Mi, 768MB or 805306368"
        )
    );
    fs::set_permissions(&policy, Permissions::from_mode(0o666)).unwrap();
    let seen = ask(&policy);
    let want = format!("policy {policy}: mode 0666, owner ");
    assert!(seen.starts_with(&want), "{seen}");
    assert!(seen.ends_with("only root may be able to write it (chmod go-w, chown root)"));
    assert_eq!(
        ask("/nonexistent/p.toml"),
        "policy /nonexistent/p.toml: No such file or directory (os error 2)"
    );
    let path = text(etc.path());
    assert_eq!(ask(&path), format!("policy {path}: not a regular file"));
    let policy = file(&etc, "p.toml", b"mode = \"\xff\"\n");
    let seen = ask(&policy);
    assert!(seen.starts_with(&format!("policy {policy}: ")), "{seen}");
}
