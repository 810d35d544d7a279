//! In: the raw arguments. Out: the same, with Go's `--flag=true` turned into `--flag` and
//! `--flag=false` left out, because callers written for runc spell switches that way.

use std::ffi::OsString;

/// Every switch of runc's command line that this engine takes.
const SWITCHES: &[&str] = &[
    "debug",
    "systemd-cgroup",
    "no-pivot",
    "no-new-keyring",
    "no-subreaper",
    "keep",
    "detach",
    "tty",
    "no-new-privs",
    "ignore-paused",
    "all",
    "force",
    "stats",
    "quiet",
];

/// Rewrites the switches; stops at `exec`, whose command's own arguments must stay as they are.
pub fn normalise(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut out = Vec::new();
    let mut verbatim = false;
    for (position, argument) in arguments.enumerate() {
        if position > 0 && !verbatim {
            if argument == "exec" || argument == "--" {
                verbatim = true;
            } else if let Some(rewritten) = argument.to_str().and_then(switch) {
                out.extend(rewritten.map(OsString::from));
                continue;
            }
        }
        out.push(argument);
    }
    out
}

/// `Some(Some("--x"))` for `--x=true`, `Some(None)` for `--x=false`, `None` for anything else.
fn switch(argument: &str) -> Option<Option<String>> {
    let (name, value) = argument.strip_prefix("--")?.split_once('=')?;
    if !SWITCHES.contains(&name) {
        return None;
    }
    match value {
        "true" | "1" => Some(Some(format!("--{name}"))),
        "false" | "0" => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Vec<OsString> {
        normalise(arguments.iter().map(OsString::from))
    }

    #[test]
    fn go_switches_become_plain_ones() {
        assert_eq!(
            run(&[
                "e",
                "--systemd-cgroup=true",
                "create",
                "--no-pivot=false",
                "--pid-file=p",
                "id"
            ]),
            ["e", "--systemd-cgroup", "create", "--pid-file=p", "id"]
        );
    }

    #[test]
    fn the_command_of_exec_is_left_alone() {
        let line = ["e", "exec", "id", "tool", "--debug=true"];
        assert_eq!(run(&line), line);
    }
}
