//! The only image there is: busybox in one layer.
//!
//! In: a folder. Out: a docker archive in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{IMAGE, said};

/// Makes it: its path.
pub fn archive(folder: &Path) -> String {
    let run = |script: &str| {
        let ran = Command::new("sh")
            .args(["-ec", script])
            .current_dir(folder)
            .output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{}", said(&ran));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    run("mkdir -p rootfs/bin rootfs/tmp; cp /bin/busybox rootfs/bin
        for name in sh sleep true cat echo dd tty stty; do ln -s busybox rootfs/bin/$name; done
        tar -C rootfs -cf layer.tar .");
    let layer = run("sha256sum layer.tar | cut -d ' ' -f 1");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["sleep", "300"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let config = run(
        "name=$(sha256sum config.json | cut -d ' ' -f 1).json; mv config.json $name; echo $name",
    );
    let manifest =
        serde_json::json!([{ "Config": config, "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    run(&format!(
        "tar -cf image.tar manifest.json {config} layer.tar"
    ));
    folder.join("image.tar").display().to_string()
}
