//! How a service is started: as it runs, and as it would be started next.
//!
//! In: what systemd knows of it, the files that it takes an environment from,
//! and its process's own command line. Out: the words of each. systemd shows a
//! `$NAME` as it stands in the unit, so it is put in here as systemd does:
//! as words where it stands alone, else into its word where it has braces.

use std::collections::BTreeMap;
use std::fs;

use super::InstallError;
use super::node::Node;

const SHOWN: &str = "MainPID,ExecStart,Environment,EnvironmentFiles";

/// The service's command lines: the one that runs, where it does, and the one
/// that systemd would start. None where there is no such service.
pub(super) fn command_lines(node: &Node, service: &str) -> Vec<Vec<String>> {
    if !node.is_own() {
        return Vec::new();
    }
    let asked = node.ask("systemctl", |c| {
        c.args(["show", "--property", SHOWN, service])
    });
    let Some(answer) = asked.ok().flatten().filter(|answer| answer.ok) else {
        return Vec::new();
    };
    let of = |name: &str| {
        let name = format!("{name}=");
        let lines = answer.said.lines().map(str::to_owned);
        lines.filter_map(move |line| Some(line.strip_prefix(&name)?.to_owned()))
    };
    let files = of("EnvironmentFiles").flat_map(|file| {
        // Behind it stands whether it may be missing.
        let path = file.split(" (").next().unwrap_or_default().to_owned();
        node.matching(&path)
    });
    let files = files.filter_map(|path| fs::read_to_string(node.at(&path)).ok());
    let mut environment = BTreeMap::new();
    for text in of("Environment").map(|line| words(&line).join("\n")) {
        environment.extend(text.lines().filter_map(assigned));
    }
    for text in files {
        environment.extend(environment_file(&text));
    }
    let next = of("ExecStart").find_map(|shown| {
        let (_, line) = shown.split_once("argv[]=")?;
        Some(expanded(line.split(" ; ").next()?, &environment))
    });
    let running = of("MainPID").find_map(|pid| {
        let line = fs::read(node.at(&format!("/proc/{pid}/cmdline"))).ok()?;
        let text = String::from_utf8_lossy(&line);
        Some(
            text.trim_end_matches('\0')
                .split('\0')
                .map(str::to_owned)
                .collect(),
        )
    });
    running.into_iter().chain(next).collect()
}

/// What the service's option says, or `usual`: as it runs and as it would be
/// started alike.
///
/// # Errors
/// When it would be started otherwise than it runs: then nobody knows which of
/// the two will read what is written.
pub(super) fn named(
    lines: &[Vec<String>],
    options: &[&str],
    usual: &str,
) -> Result<String, InstallError> {
    let mut values: Vec<String> = lines
        .iter()
        .map(|line| option(line, options).unwrap_or(usual).to_owned())
        .collect();
    values.dedup();
    match values.as_slice() {
        [] => Ok(usual.to_owned()),
        [one] => Ok(one.clone()),
        [runs, next, ..] => Err(InstallError::Broken {
            path: runs.clone(),
            problem: format!(
                "the service runs with {runs:?} as {} and would be started with {next:?}: restart it first",
                options[0]
            ),
        }),
    }
}

/// The value of an option among words: `--name VALUE` or `--name=VALUE`.
pub(super) fn option<'l>(line: &'l [String], names: &[&str]) -> Option<&'l str> {
    let mut words = line.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if names.contains(&word) {
            return words.next();
        }
        if let Some((name, value)) = word.split_once('=')
            && names.contains(&name)
        {
            return Some(value);
        }
    }
    None
}

/// The words of a line; quotes hold some together, and are taken away.
fn words(line: &str) -> Vec<String> {
    let plainly = || line.split_whitespace().map(str::to_owned).collect();
    shlex::split(line).unwrap_or_else(plainly)
}

fn assigned(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    Some((name.trim().to_owned(), value.to_owned()))
}

/// What a file says as systemd reads it: a value goes to the end of its line,
/// without the quotes.
fn environment_file(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\n", "");
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(assigned);
    pairs
        .map(|(name, value)| (name, words(&value).join(" ")))
        .collect()
}

/// The line's words with the variables in their places.
fn expanded(line: &str, environment: &BTreeMap<String, String>) -> Vec<String> {
    let value = |name: &str| environment.get(name).map_or("", String::as_str);
    let alone = |word: &str| {
        let name = word.strip_prefix('$')?;
        let is = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is && !name.is_empty()).then(|| words(value(name)))
    };
    let inside = |word: String| {
        let mut rest = word.as_str();
        let mut out = String::new();
        while let Some((before, from)) = rest.split_once("${") {
            let (name, after) = from.split_once('}').unwrap_or((from, ""));
            out.push_str(before);
            out.push_str(value(name));
            rest = after;
        }
        (out + rest).replace("$$", "$")
    };
    let line = words(line).into_iter();
    line.flat_map(|word| alone(&word).unwrap_or_else(|| vec![inside(word)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_as_systemd_does() {
        let file = "# DOCKER_OPTS=\"--debug\"\nDOCKER_OPTS=\"--add-runtime a=/a \\\n--debug\"\nHOME_OF=/srv/a b\nNAMES='x y'\n; no\nnothing\n";
        let environment: BTreeMap<_, _> = environment_file(file).into_iter().collect();
        assert_eq!(environment.len(), 3, "{environment:?}");
        for (line, words) in [
            (
                "/usr/sbin/dockerd -H fd:// $DOCKER_OPTS",
                &[
                    "/usr/sbin/dockerd",
                    "-H",
                    "fd://",
                    "--add-runtime",
                    "a=/a",
                    "--debug",
                ][..],
            ),
            (
                "d --root=${HOME_OF}/c $NONE $$x",
                &["d", "--root=/srv/a b/c", "$x"],
            ),
            (
                "d \"one word\" ${NONE} $NAMES",
                &["d", "one word", "", "x", "y"],
            ),
        ] {
            assert_eq!(expanded(line, &environment), words, "{line}");
        }
    }

    #[test]
    fn a_service_that_would_be_started_otherwise_than_it_runs() {
        let line = |text: &str| words(text);
        let config = ["--config", "-c"];
        let said =
            |lines: &[Vec<String>]| named(lines, &config, "/usual").map_err(|e| e.to_string());
        assert_eq!(said(&[]), Ok("/usual".to_owned()));
        assert_eq!(
            said(&[line("d -c /a"), line("d --config=/a")]),
            Ok("/a".to_owned())
        );
        let two = said(&[line("d"), line("d -c /a")]).unwrap_err();
        assert_eq!(
            two,
            "/usual is left as it is: the service runs with \"/usual\" as --config and would be started with \"/a\": restart it first"
        );
    }
}
