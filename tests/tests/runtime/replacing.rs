//! config.json is the old one or the new one at every moment.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use packrank_tests::fake_engine::Scene;

use super::ENGINE;
use super::config::ranked;

/// A spec large enough that writing it takes a while.
fn large() -> String {
    let env: String = (0..8_000)
        .map(|n| format!("\"NAME_{n}=some value or other\","))
        .collect();
    ranked("low").replace("\"A=b\"", &format!("{env}\"A=b\""))
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_or_the_new() {
    let old = large();
    let scene = Scene::new(ENGINE, &old);
    let bundle = scene.bundle.path.to_str().unwrap();
    let spawn = || {
        let mut command = scene.command(&scene.runtime);
        command.args(["create", "--bundle", bundle, scene.id()]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    // How long an undisturbed run takes says when to strike.
    let start = Instant::now();
    assert!(spawn().wait().unwrap().success());
    let whole = start.elapsed();
    let new = scene.bundle.bytes();
    assert_ne!(new, old.as_bytes());
    let (mut killed, mut untouched, mut replaced) = (0, 0, 0);
    for round in 0..100u32 {
        std::fs::write(scene.bundle.config(), &old).unwrap();
        let start = Instant::now();
        let mut child = spawn();
        let strike = whole * round / 80;
        while start.elapsed() < strike {
            std::thread::sleep(Duration::from_micros(20));
        }
        let _ = kill(
            Pid::from_raw(child.id().try_into().unwrap()),
            Signal::SIGKILL,
        );
        let status = child.wait().unwrap();
        killed += u32::from(status.signal() == Some(9));
        let now = scene.bundle.bytes();
        match (now == old.as_bytes(), now == new) {
            (true, _) => untouched += 1,
            (_, true) => replaced += 1,
            _ => panic!("round {round}: {} bytes are neither old nor new", now.len()),
        }
    }
    // Strikes that all came too early or too late would prove nothing.
    assert!(killed >= 20, "{killed} of 100 were killed");
    assert!(
        untouched > 0 && replaced > 0,
        "{untouched} old, {replaced} new"
    );
    assert!(spawn().wait().unwrap().success());
    assert_eq!(scene.bundle.bytes(), new);
    assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
}

#[test]
fn what_a_killed_run_left_is_gone_after_the_next() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let left = scene.bundle.path.join(".config.json.packrank");
    std::fs::write(left, "of a run that was stopped before its rename").unwrap();
    assert_eq!(scene.create(&[]).status, Some(0));
    assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
}

#[test]
fn runs_at_the_same_moment_agree() {
    let old = ranked("low");
    let alone = Scene::new(ENGINE, &old);
    assert_eq!(alone.create(&[]).status, Some(0));
    let scene = Scene::new(ENGINE, &old);
    let bundle = scene.bundle.path.to_str().unwrap();
    for _ in 0..10 {
        std::fs::write(scene.bundle.config(), &old).unwrap();
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut command = scene.command(&scene.runtime);
                command
                    .args(["create", "-b", bundle, scene.id()])
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_eq!(scene.bundle.bytes(), alone.bundle.bytes());
        assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
    }
}

#[test]
fn owner_and_mode_stay() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let scene = Scene::new(ENGINE, ranked("low"));
    let config = scene.bundle.config();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(scene.create(&[]).status, Some(0));
    let meta = config.metadata().unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o640);
    assert_eq!(meta.uid(), nix::unistd::geteuid().as_raw());
}
