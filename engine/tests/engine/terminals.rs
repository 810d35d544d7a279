//! Terminals: sent over a console socket, and attached to the engine's own.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::json;

use crate::lab::{Lab, finish};

/// A shell command on a terminal.
fn terminal(script: &str) -> Option<Lab> {
    Lab::new(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    })
}

fn receive(listener: &UnixListener) -> File {
    let (stream, _) = listener.accept().unwrap();
    let mut name = [0; 64];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut buffers = [IoSliceMut::new(&mut name)];
    let message = recvmsg::<()>(
        stream.as_raw_fd(),
        &mut buffers,
        Some(&mut space),
        MsgFlags::empty(),
    )
    .unwrap();
    let fd = message.cmsgs().unwrap().find_map(|one| match one {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { File::from_raw_fd(fd.unwrap()) }
}

/// Everything until the other side closes.
fn read_all(mut master: File) -> String {
    let mut text = Vec::new();
    // A master ends with EIO, not with nothing to read.
    let _ = master.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Everything until this has come, or the other side closes.
fn read_until(master: &mut File, mark: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(mark.as_bytes()) && matches!(master.read(&mut byte), Ok(1)) {
        text.extend(byte);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn over_a_console_socket() {
    let Some(lab) =
        terminal("tty; read line; echo got $line; test -c /dev/console && echo console")
    else {
        return;
    };
    let socket = lab.path().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    lab.must(&[
        "create",
        "--console-socket",
        socket.to_str().unwrap(),
        &lab.id,
    ]);
    let mut master = receive(&listener);
    lab.must(&["start", &lab.id]);
    master.write_all(b"input\n").unwrap();
    let text = read_all(master);
    assert!(
        text.contains("/dev/pts/0") && text.contains("got input") && text.contains("console"),
        "{text:?}"
    );
}

#[test]
fn exec_over_a_console_socket() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    lab.up();
    let socket = lab.path().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let socket = socket.to_str().unwrap();
    lab.must(&[
        "exec",
        "--tty",
        "--detach",
        "--console-socket",
        socket,
        &lab.id,
        "/bin/tty",
    ]);
    let text = read_all(receive(&listener));
    assert!(text.contains("/dev/pts/"), "{text:?}");
}

#[test]
fn run_and_exec_attach_to_our_own_terminal() {
    let size = Winsize {
        ws_row: 33,
        ws_col: 77,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let script = "sleep 0.1; tty; stty size; read line; echo got $line; exit 4";
    let Some(lab) = terminal(script) else { return };
    let Some(other) = Lab::script("exec sleep 100") else {
        return;
    };
    other.up();
    for (lab, arguments) in [
        (&lab, vec!["run", &lab.id]),
        (
            &other,
            vec!["exec", "--tty", &other.id, "/bin/sh", "-c", script],
        ),
    ] {
        let pair = openpty(&size, None).unwrap();
        let slave = || std::process::Stdio::from(pair.slave.try_clone().unwrap());
        let mut command = lab.engine(&arguments);
        command.stdin(slave()).stdout(slave()).stderr(slave());
        let child = command.spawn().unwrap();
        drop((command, pair.slave));
        let mut master = File::from(pair.master);
        // What is typed before the terminal is raw is nobody's.
        let before = read_until(&mut master, "33 77");
        let reader = master.try_clone().unwrap();
        let after = std::thread::spawn(move || read_all(reader));
        master.write_all(b"typed\r").unwrap();
        let said = finish(child, Duration::from_secs(60));
        let text = before + &after.join().unwrap();
        assert_eq!(said.status.code(), Some(4), "{text:?}");
        assert!(
            text.contains("/dev/pts/0") && text.contains("33 77") && text.contains("got typed"),
            "{text:?}"
        );
    }
}

#[test]
fn another_user_may_open_its_own_streams() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        config["process"]["args"] = json!(["/bin/sh", "-c", "echo again > /proc/self/fd/1"]);
    }) else {
        return;
    };
    let said = lab.run();
    assert_eq!(said.stdout, "again\n", "{said:?}");
}
