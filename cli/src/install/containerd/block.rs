//! Our block in a config.toml.
//!
//! In: a file's text, and handlers. Out: the text with a block of them behind
//! everything else, or without it; not a byte of what others wrote differs.

use toml::{Table, Value};

use super::super::InstallError;
use super::super::dump::pruned;
use super::{DROP_IN, broken};

const BEGIN: &str =
    "# packrank: begin (written by packrank install; packrank uninstall removes it)\n";
const END: &str = "# packrank: end\n";

/// The text with our block behind it; a new file says its form first.
pub(super) fn with_block(text: &str, version: i64, entries: &Table) -> String {
    let mut out = text.to_owned();
    if text.trim().is_empty() {
        out = format!("version = {version}\n\n");
    } else if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(BEGIN);
    let plugin = match version {
        ..=1 => "cri",
        2 => "io.containerd.grpc.v1.cri",
        3.. => "io.containerd.cri.v1.runtime",
    };
    for (name, entry) in entries {
        let Value::Table(entry) = entry else { continue };
        let entry = pruned(entry);
        let at = format!("plugins.{plugin:?}.containerd.runtimes.{}", key(name));
        section(&mut out, &at, &entry);
    }
    out.push_str(END);
    out
}

/// A table under its header, and those inside it under theirs.
fn section(out: &mut String, at: &str, table: &Table) {
    out.push_str(&format!("[{at}]\n"));
    for (name, value) in table.iter().filter(|(_, v)| !v.is_table()) {
        out.push_str(&format!("  {} = {value}\n", key(name)));
    }
    for (name, value) in table {
        if let Value::Table(inner) = value {
            section(out, &format!("{at}.{}", key(name)), inner);
        }
    }
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}

/// The text without our block.
pub(super) fn strip(text: &str) -> String {
    let Some((head, rest)) = text.split_once(BEGIN) else {
        return text.to_owned();
    };
    let tail = rest.split_once(END).map_or("", |(_, tail)| tail);
    format!("{head}{tail}")
}

/// The text without our block; no file, where there was nothing else.
pub(in super::super) fn without(path: &str, text: &str) -> Result<Option<String>, InstallError> {
    if text.contains(BEGIN) && !text.contains(END) {
        return Err(broken(path, "the end of packrank's block is missing"));
    }
    let rest = strip(text);
    let table: Option<Table> = toml::from_str(&rest).ok();
    let only_ours =
        path.ends_with(DROP_IN) && table.is_some_and(|t| t.keys().all(|k| k == "version"));
    Ok((!only_ours).then_some(rest))
}
