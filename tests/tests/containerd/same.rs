//! The stock shim and ours, asked the same.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use packrank_tests::containerd::{IMAGE, PACKRANK, STOCK, World, said, world};

/// One question after the other, and what came: compared as a whole.
fn answers(world: &World, runtime: &str, tag: &str) -> Vec<(&'static str, String)> {
    let mut answers = Vec::new();
    let mut tell =
        |what, answer: String| answers.push((what, answer.replace(&format!("{tag}-"), "ID-")));
    let of = |args: &[&str]| {
        let output = world.ctr(args);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        format!("{:?} {out}", output.status.code())
    };
    let id = |name: &str| format!("{tag}-{name}");
    let run = |name: &str, flags: &[&str], command: &[&str]| {
        let id = id(name);
        let mut args = vec!["run", "--rm", "--runtime", runtime];
        args.extend(flags);
        args.extend([IMAGE, &id]);
        args.extend(command);
        of(&args)
    };
    tell("output", run("a", &[], &["echo", "hello"]));
    tell("status", run("b", &[], &["sh", "-c", "echo out; exit 7"]));
    tell(
        "signal",
        run("c", &[], &["sh", "-c", "kill -9 $$; sleep 1"]),
    );
    // More than any pipe holds.
    let much = run(
        "d",
        &[],
        &["sh", "-c", "dd if=/dev/zero bs=1000 count=3000 2>/dev/null"],
    );
    tell("much output", much.len().to_string());

    let sleeper = id("e");
    world.sleeper(runtime, &sleeper, &[]);
    let exec = |name: &str, command: &[&str]| {
        let mut args = vec!["task", "exec", "--exec-id", name, &sleeper];
        args.extend(command);
        of(&args)
    };
    tell("running", world.status(&sleeper));
    tell("exec", exec("x1", &["sh", "-c", "echo from exec; exit 5"]));
    tell(
        "processes",
        of(&["task", "ps", &sleeper]).lines().count().to_string(),
    );
    let metrics = of(&["task", "metrics", &sleeper]);
    let names = metrics
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().next());
    tell("metrics", names.collect::<Vec<_>>().join(" "));
    tell("pause", of(&["task", "pause", &sleeper]));
    tell("paused", world.status(&sleeper));
    tell("exec while paused", exec("x2", &["true"]));
    tell("resume", of(&["task", "resume", &sleeper]));
    tell("resumed", world.status(&sleeper));
    tell("delete while running", of(&["task", "rm", &sleeper]));
    tell(
        "again",
        of(&["run", "-d", "--runtime", runtime, IMAGE, &sleeper, "true"]),
    );
    tell("kill", of(&["task", "kill", "-s", "KILL", &sleeper]));
    world.wait("it has ended", || world.status(&sleeper) == "STOPPED");
    tell(
        "kill what ended",
        said(&world.ctr(&["task", "kill", &sleeper])),
    );
    tell("delete", of(&["task", "rm", &sleeper]));
    world.ctr(&["container", "rm", &sleeper]);

    tell(
        "no such program",
        said(&world.ctr(&[
            "run",
            "--rm",
            "--runtime",
            runtime,
            IMAGE,
            &id("f"),
            "/none",
        ]))
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned(),
    );
    world.ctr(&["container", "rm", &id("f")]);

    let log = world.path(&id("log"));
    let uri = format!("file://{}", log.display());
    run(
        "g",
        &["--log-uri", &uri],
        &["sh", "-c", "echo to a file; echo and this >&2"],
    );
    // The stock shim's deletion waits for what is under way, but not for ever.
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    world.wait("both lines were written", || logged().lines().count() == 2);
    let logged = logged();
    let mut lines: Vec<_> = logged.lines().collect();
    lines.sort_unstable();
    tell("a log file", lines.join("|"));

    let logger = world.path("logger");
    let script = "#!/bin/sh\nexec 5>&-\nread line <&3\necho \"$CONTAINER_ID $CONTAINER_NAMESPACE $1 $2 $line\" >\"$2\"\n";
    packrank_executable::write(&logger, script);
    let got = world.path(&id("got"));
    let uri = format!("binary://{}?tag={}", logger.display(), got.display());
    run("h", &["--log-uri", &uri], &["echo", "to a program"]);
    world.wait("the logger has written", || {
        fs::read_to_string(&got).is_ok_and(|text| text.ends_with('\n'))
    });
    tell("a logging program", fs::read_to_string(&got).unwrap());

    // In the foreground: a terminal stops who is not there and sets its modes.
    let ctr = format!(
        "timeout --foreground -k 1 20 ctr -a {} -n {} run --rm -t --runtime {runtime} {IMAGE} {} tty",
        world.path("sock").display(),
        world.namespace,
        id("i")
    );
    let mut script = std::process::Command::new("script");
    script.env("SHELL", "/bin/sh");
    let terminal = terminal_output(script.args(["-qec", &ctr, "/dev/null"]));
    assert!(terminal.contains("/dev/pts/"), "{terminal:?}");
    tell("a terminal", terminal);

    tell(
        "killed for want of memory",
        run(
            "j",
            &["--memory-limit", "16777216"],
            &["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"],
        ),
    );
    answers
}

fn terminal_output(command: &mut std::process::Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.replace(['\0', '^', '@', 'D', '\u{8}'], "")
}

/// The events of containers whose id begins so, in order, without their times
/// and numbers.
fn events(text: &str, tag: &str) -> Vec<String> {
    let ours = text
        .lines()
        .filter(|line| line.contains(&format!("\"{tag}-")) && line.contains(" /tasks/"));
    let short = |line: &str| {
        let (_, rest) = line.split_once(" /tasks/").unwrap();
        let (topic, json) = rest.split_once(' ').unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let members = ["container_id", "exec_id", "id", "exit_status"];
        let mut words = vec![topic.to_owned()];
        for member in members.map(|key| &json[key]) {
            let word = member.as_str().map_or(member.to_string(), str::to_owned);
            // The first process's own id is its container's.
            if !member.is_null() && !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" ").replace(tag, "ID")
    };
    ours.map(short).collect()
}

/// Those that `answers` brings about, but for the want of memory, which is told
/// when the kernel has killed. The stock shim's are not asked for: beside other
/// work it tells of an end behind the deletion, or not at all.
fn wanted() -> Vec<String> {
    let lives = |ids: &[&str], status: &str| -> Vec<String> {
        let life = |id: &&str| {
            let ended = format!("ID-{id} {status}");
            [
                format!("create ID-{id}"),
                format!("start ID-{id}"),
                format!("exit {}", ended.trim_end()),
                format!("delete {}", ended.trim_end()),
            ]
        };
        ids.iter().flat_map(life).collect()
    };
    let sleeper = [
        "create ID-e",
        "start ID-e",
        "exec-added ID-e x1",
        "exec-started ID-e x1",
        "exit ID-e x1 5",
        "paused ID-e",
        "resumed ID-e",
        "exit ID-e 137",
        "delete ID-e 137",
    ];
    [
        lives(&["a"], ""),
        lives(&["b"], "7"),
        lives(&["c", "d"], ""),
        sleeper.map(str::to_owned).to_vec(),
        lives(&["g", "h", "i"], ""),
        lives(&["j"], "137"),
    ]
    .concat()
}

/// The events that tell of a want of memory, and all others.
fn apart(events: Vec<String>) -> (Vec<String>, Vec<String>) {
    let oom = |event: &String| event.starts_with("oom");
    events.into_iter().partition(oom)
}

/// Who listens to containerd's events, once it hears them.
fn listener(world: &World, heard: &Path) -> Child {
    let mut listener = world.command_for(Duration::from_secs(200), &["events"]);
    listener
        .stdin(Stdio::null())
        .stdout(fs::File::create(heard).unwrap());
    let listener = listener.spawn().unwrap();
    let mut tries = 0;
    world.wait("events are heard", || {
        tries += 1;
        world.ctr(&["images", "label", IMAGE, &format!("tries={tries}")]);
        fs::metadata(heard).unwrap().len() > 0
    });
    listener
}

#[test]
fn answers_are_the_stock_shims_and_all_events_are_told() {
    world("same", |world| {
        let heard = world.path("events");
        let mut listener = listener(world, &heard);
        let ours = answers(world, PACKRANK, "ours");
        let stock = answers(world, STOCK, "stock");
        for (ours, stock) in ours.iter().zip(&stock) {
            assert_eq!(ours, stock);
        }
        let told = || apart(events(&fs::read_to_string(&heard).unwrap(), "ours"));
        let all = |(oom, others): (Vec<_>, Vec<String>)| {
            !oom.is_empty() && others.len() >= wanted().len()
        };
        let start = Instant::now();
        while !all(told()) && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let (oom, others) = told();
        assert_eq!(others, wanted());
        assert!(!oom.is_empty(), "the want of memory was not told");
        let _ = listener.kill();
        let _ = listener.wait();
        world.wait("every shim has gone", || world.shims("").is_empty());
    });
}

#[test]
fn containers_outlive_containerd_and_nothing_outlives_its_shim() {
    world("outlive", |world| {
        world.sleeper(PACKRANK, "a", &[]);
        world.sleeper(PACKRANK, "b", &["--annotation", "packrank.io/priority=low"]);
        world.restart();
        assert_eq!(world.status("a"), "RUNNING");
        let exec = world.ctr(&["task", "exec", "--exec-id", "x", "a", "echo", "still here"]);
        assert_eq!(
            String::from_utf8_lossy(&exec.stdout),
            "still here\n",
            "{}",
            said(&exec)
        );
        world.remove("a");

        let [shim] = world.shims("b")[..] else {
            panic!("one shim was expected")
        };
        let bundle = world.bundle("b");
        assert!(fs::exists("/run/packrank/packs/b.json").unwrap());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::SIGKILL)
            .unwrap();
        world.wait("its task has gone", || world.status("b") == "none");
        world.wait("its bundle has gone", || !bundle.exists());
        let record = Path::new("/run/packrank/packs/b.json");
        world.wait("its record has gone", || !record.exists());
        let cgroup = || world.kernel("memory", "b", "cgroup.procs");
        world.wait("its cgroup has gone", || cgroup().contains("No such file"));
        world.ctr(&["container", "rm", "b"]);
    });
}

#[test]
fn many_at_once_and_nothing_left() {
    world("many", |world| {
        let start = |n: usize| {
            let id = format!("many-{n}");
            let args = [
                "run",
                "--rm",
                "--runtime",
                PACKRANK,
                IMAGE,
                &id,
                "sh",
                "-c",
                "echo $HOSTNAME; exit 3",
            ];
            world
                .command_for(Duration::from_secs(200), &args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let running: Vec<_> = (0..50).map(start).collect();
        for child in running {
            let ran = child.wait_with_output().unwrap();
            assert_eq!(ran.status.code(), Some(3), "{}", said(&ran));
        }
        world.wait("every shim has gone", || world.shims("").is_empty());
        assert_eq!(
            fs::read_dir("/run/containerd/s").unwrap().count(),
            0,
            "sockets are left"
        );
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let state = world.path("state").display().to_string();
        assert!(!mounts.contains(&state), "mounts are left");
    });
}
