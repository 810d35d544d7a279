//! The calls themselves, without a socket, on an engine of the test's own.
//!
//! In: calls in an order that no containerd keeps to. Out: their answers, and
//! the events, in the order that containerd relies on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use containerd_shim_protos::api::{CreateTaskRequest, ExecProcessRequest};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::shim::oci::Options;
use packrank_containerd_shim::Error;
use packrank_containerd_shim::events::{Event, Events};
use packrank_containerd_shim::exits::Exits;
use packrank_containerd_shim::life::{Call, Phase};
use packrank_containerd_shim::shim::Shim;
use tokio::sync::mpsc;

/// An engine of a few lines: a container is a `sleep`. `at-VERB` in the bundle
/// is what a verb does besides.
const ENGINE: &str = r#"#!/bin/sh
while :; do
  case $1 in
    --root) root=$2; shift 2 ;;
    --log) log=$2; shift 2 ;;
    --log-format) shift 2 ;;
    *) break ;;
  esac
done
verb=$1
echo "$verb" >>called
case $verb in
  create | exec)
    while [ $# -gt 0 ]; do
      [ "$1" != --pid-file ] || file=$2
      shift
    done
    [ ! -e "fails-at-$verb" ] || { echo '{"level":"error","msg":"not today"}' >>"$log"; exit 1; }
    # Not this shell's own child, which it would wait for.
    (sleep 600 </dev/null >/dev/null 2>&1 & echo $! >"$file")
    [ "$verb" = exec ] || cp "$file" pid
    ;;
  delete) kill -9 "$(cat pid)" 2>/dev/null; true ;;
esac
[ ! -e "at-$verb" ] || . "./at-$verb"
"#;

/// Our children are everybody's in this process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct World {
    folder: tempfile::TempDir,
    shim: Arc<Shim>,
    events: mpsc::Receiver<Event>,
}

fn world(test: impl AsyncFnOnce(&mut World)) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let exits = Arc::new(Exits::default());
        exits.start().unwrap();
        let (sender, events) = Events::queue();
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("engine");
        packrank_executable::write(&engine, ENGINE);
        let shim = Shim::new("test".to_owned(), exits, sender);
        let mut world = World {
            folder,
            shim,
            events,
        };
        test(&mut world).await;
    });
}

impl World {
    fn bundle(&self, id: &str) -> PathBuf {
        self.folder.path().join(id)
    }

    /// What the engine does besides, at this verb.
    fn at(&self, id: &str, verb: &str, script: &str) {
        fs::write(self.bundle(id).join(format!("at-{verb}")), script).unwrap();
    }

    fn request(&self, id: &str) -> CreateTaskRequest {
        let bundle = self.bundle(id);
        fs::create_dir_all(&bundle).unwrap();
        fs::set_permissions(&bundle, fs::Permissions::from_mode(0o700)).unwrap();
        let spec = r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"}]}}"#;
        fs::write(bundle.join("config.json"), spec).unwrap();
        let options = Options {
            binary_name: self.folder.path().join("engine").display().to_string(),
            root: self.folder.path().join("root").display().to_string(),
            ..Options::default()
        };
        CreateTaskRequest {
            id: id.to_owned(),
            bundle: bundle.display().to_string(),
            options: MessageField::some(Any {
                type_url: "containerd.runc.v1.Options".to_owned(),
                value: options.write_to_bytes().unwrap(),
                ..Any::default()
            }),
            ..CreateTaskRequest::default()
        }
    }

    async fn create(&self, id: &str) -> Result<u32, Error> {
        self.shim.create(self.request(id)).await
    }

    fn exec(&self, id: &str, exec_id: &str) -> Result<(), Error> {
        self.shim.exec(&ExecProcessRequest {
            id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            spec: MessageField::some(Any {
                value: b"{}".to_vec(),
                ..Any::default()
            }),
            ..ExecProcessRequest::default()
        })
    }

    /// The topics of the next events, without their common beginning.
    async fn told(&mut self, count: usize) -> Vec<&'static str> {
        let mut told = Vec::new();
        while told.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(30), self.events.recv());
            told.push(
                next.await
                    .unwrap()
                    .unwrap()
                    .topic
                    .trim_start_matches("/tasks/"),
            );
        }
        assert!(self.events.try_recv().is_err(), "no more than that");
        told
    }
}

fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_life_in_order() {
    world(async |world| {
        let pid = world.create("a").await.unwrap();
        assert_eq!(world.shim.state("a", "").unwrap().pid, pid);
        assert_eq!(world.shim.start("a", "").await.unwrap(), pid);
        world.shim.turn("a", Call::Pause).await.unwrap();
        world.shim.turn("a", Call::Resume).await.unwrap();
        world.shim.kill("a", "", 15, false).await.unwrap();
        assert_eq!(world.shim.wait("a", "").await.unwrap().status, 143);
        let deleted = world.shim.delete("a", "").await.unwrap();
        assert_eq!((deleted.pid, deleted.exit_status), (pid, 143));
        let told = world.told(6).await;
        assert_eq!(
            told,
            ["create", "start", "paused", "resumed", "exit", "delete"]
        );
        let called = fs::read_to_string(world.bundle("a").join("called")).unwrap();
        assert_eq!(called, "create\nstart\npause\nresume\ndelete\n");
    });
}

#[test]
fn what_comes_too_early_or_twice_is_refused() {
    world(async |world| {
        assert_eq!(
            said(world.shim.start("a", "").await),
            "container \"a\" does not exist"
        );
        world.create("a").await.unwrap();
        assert_eq!(
            said(world.create("a").await),
            "container \"a\" exists already"
        );
        let refused = said(world.shim.turn("a", Call::Pause).await);
        assert_eq!(refused, "cannot pause a created container");
        world.shim.start("a", "").await.unwrap();
        let refused = said(world.shim.start("a", "").await);
        assert_eq!(refused, "cannot start a running container");
        let refused = said(world.shim.delete("a", "").await);
        assert_eq!(refused, "cannot delete a running container");
        world.shim.turn("a", Call::Pause).await.unwrap();
        let refused = said(world.exec("a", "x"));
        assert_eq!(refused, "cannot exec in a paused container");
        world.shim.turn("a", Call::Resume).await.unwrap();
        world.shim.kill("a", "", 9, false).await.unwrap();
        world.shim.wait("a", "").await.unwrap();
        let refused = said(world.shim.kill("a", "", 9, false).await);
        assert_eq!(refused, "process already finished");
        let refused = said(world.shim.kill("a", "", 99, false).await);
        assert_eq!(refused, "process already finished");
        // Two at once: the one removes it, the other finds it gone.
        let (one, other) = tokio::join!(world.shim.delete("a", ""), world.shim.delete("a", ""));
        assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
        let told = world.told(6).await;
        assert_eq!(
            told,
            ["create", "start", "paused", "resumed", "exit", "delete"]
        );
    });
}

#[test]
fn two_creates_of_one_id_make_one_container() {
    world(async |world| {
        world.request("a");
        world.at("a", "create", "sleep 0.2");
        let (one, other) = tokio::join!(world.create("a"), world.create("a"));
        assert!(one.is_ok());
        assert_eq!(said(other), "container \"a\" exists already");
        // It is not shut down over a container.
        world.shim.shutdown();
        let done = tokio::time::timeout(Duration::from_millis(50), world.shim.done());
        assert!(done.await.is_err());
        world.shim.delete("a", "").await.unwrap();
        world.shim.shutdown();
        let done = tokio::time::timeout(Duration::from_secs(60), world.shim.done());
        assert!(done.await.is_ok());
    });
}

#[test]
fn a_program_that_dies_at_once_is_first_told_of_as_started() {
    world(async |world| {
        for round in 0..20 {
            let id = format!("a{round}");
            world.request(&id);
            // The engine itself goes on while its container has ended.
            world.at(&id, "start", "kill -9 $(cat pid); sleep 0.01");
            world.create(&id).await.unwrap();
            world.shim.start(&id, "").await.unwrap();
            assert_eq!(world.shim.wait(&id, "").await.unwrap().status, 137);
            world.shim.delete(&id, "").await.unwrap();
            assert_eq!(world.told(4).await, ["create", "start", "exit", "delete"]);
        }
    });
}

#[test]
fn one_that_dies_before_its_start_still_ends() {
    world(async |world| {
        world.request("a");
        world.at("a", "create", "kill -9 $(cat pid); sleep 0.05");
        world.create("a").await.unwrap();
        assert_eq!(world.shim.wait("a", "").await.unwrap().status, 137);
        let refused = said(world.shim.start("a", "").await);
        assert_eq!(refused, "cannot start a stopped container");
        world.shim.delete("a", "").await.unwrap();
        assert_eq!(world.told(3).await, ["create", "exit", "delete"]);
    });
}

#[test]
fn a_containers_end_is_told_last() {
    world(async |world| {
        world.create("a").await.unwrap();
        world.shim.start("a", "").await.unwrap();
        for exec in ["x", "y"] {
            world.exec("a", exec).unwrap();
            world.shim.start("a", exec).await.unwrap();
        }
        world.told(6).await;
        world.shim.kill("a", "", 9, false).await.unwrap();
        // The kernel would kill what is in its PID namespace; here is none.
        for exec in ["x", "y"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(world.events.try_recv().is_err(), "not before its processes");
            assert!(world.shim.state("a", "").unwrap().exited_at.is_none());
            world.shim.kill("a", exec, 9, false).await.unwrap();
            world.shim.wait("a", exec).await.unwrap();
            let next = world.events.recv().await.unwrap();
            assert_eq!(next.topic, "/tasks/exit");
        }
        world.shim.wait("a", "").await.unwrap();
        assert_eq!(world.told(1).await, ["exit"]);
        let refused = said(world.shim.start("a", "none").await);
        assert_eq!(refused, "process \"none\" does not exist");
        world.shim.delete("a", "").await.unwrap();
    });
}

#[test]
fn an_engines_refusal_is_the_answer_and_leaves_nothing() {
    world(async |world| {
        world.request("a");
        let fails = world.bundle("a").join("fails-at-create");
        fs::write(&fails, "").unwrap();
        assert_eq!(
            said(world.create("a").await),
            "OCI runtime create failed: not today"
        );
        fs::remove_file(&fails).unwrap();
        world.create("a").await.unwrap();
        world.shim.start("a", "").await.unwrap();
        fs::write(world.bundle("a").join("fails-at-exec"), "").unwrap();
        world.exec("a", "x").unwrap();
        // Somebody waits for the end of what never begins.
        let shim = world.shim.clone();
        let waits = tokio::spawn(async move { shim.wait("a", "x").await });
        let refused = said(world.shim.start("a", "x").await);
        assert_eq!(refused, "OCI runtime exec failed: not today");
        world.shim.delete("a", "x").await.unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(60), waits);
        assert!(waited.await.is_ok(), "nobody waits for ever");
        world.shim.kill("a", "", 9, false).await.unwrap();
        world.shim.wait("a", "").await.unwrap();
        world.shim.delete("a", "").await.unwrap();
        let told = world.told(5).await;
        assert_eq!(told, ["create", "start", "exec-added", "exit", "delete"]);
    });
}

#[test]
fn names_are_checked_and_all_can_be_killed() {
    world(async |world| {
        world.create("a").await.unwrap();
        world.shim.start("a", "").await.unwrap();
        // It names a file in the bundle.
        let request = ExecProcessRequest {
            id: "a".to_owned(),
            exec_id: "../x".to_owned(),
            ..ExecProcessRequest::default()
        };
        let refused = said(world.shim.exec(&request));
        assert!(refused.starts_with("exec id \"../x\""), "{refused}");
        world.shim.kill("a", "", 9, true).await.unwrap();
        world.shim.kill("a", "", 9, false).await.unwrap();
        world.shim.wait("a", "").await.unwrap();
        world.shim.delete("a", "").await.unwrap();
        assert_eq!(world.shim.connect("a").task_pid, 0);
        let called = fs::read_to_string(world.bundle("a").join("called")).unwrap();
        assert_eq!(called, "create\nstart\nkill\ndelete\n");
    });
}

#[test]
fn every_phase_and_call() {
    use Call::{Delete, Exec, Kill, Pause, Resume, Start, Update};
    let calls = [Start, Exec, Pause, Resume, Update, Kill, Delete];
    for (phase, taken) in [
        (Phase::Added, &[Start, Delete][..]),
        (Phase::Created, &[Start, Exec, Update, Kill, Delete]),
        (Phase::Running, &[Exec, Pause, Update, Kill]),
        (Phase::Paused, &[Resume, Update, Kill]),
        (Phase::Stopped, &[Delete]),
    ] {
        for call in calls {
            assert_eq!(
                phase.takes(call),
                taken.contains(&call),
                "{phase:?} {call:?}"
            );
        }
    }
}
