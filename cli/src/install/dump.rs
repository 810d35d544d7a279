//! The configuration as containerd itself reads it.
//!
//! In: a file, imports and drop-ins included by containerd's own rules. Out:
//! what `containerd config dump` makes of it: the only reading that counts,
//! since each version merges differently.

use std::path::Path;

use toml::{Table, Value};

use super::InstallError;
use super::engine::is_our_name;
use super::node::Node;

/// The CRI's name among the plugins, newest first. containerd 1.x migrates to
/// the second, 2.x to the first.
const CRI: [&str; 2] = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"];

/// A whole configuration, without what is at its default of nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dump(Table);

/// Reads the file at `place`, or the configuration of a containerd that has
/// none.
///
/// # Errors
/// `Err(Ok(said))` when containerd does not take the file.
pub(super) fn dump(
    node: &Node,
    place: Option<&Path>,
) -> Result<Dump, Result<String, InstallError>> {
    let asked = node.ask("containerd", |c| match place {
        Some(place) => c.arg("--config").arg(place).args(["config", "dump"]),
        None => c.args(["config", "default"]),
    });
    let answer = match asked {
        Ok(Some(answer)) => answer,
        Ok(None) => return Err(Err(InstallError::NoEngine("containerd"))),
        Err(error) => return Err(Err(error)),
    };
    if !answer.ok {
        return Err(Ok(answer.last_line().to_owned()));
    }
    let table: Table = toml::from_str(&answer.said).map_err(|e| Ok(e.message().to_owned()))?;
    Ok(Dump(pruned(&table)))
}

impl Dump {
    /// The form of the file that the dump is.
    pub(super) fn version(&self) -> i64 {
        self.0
            .get("version")
            .and_then(Value::as_integer)
            .unwrap_or(1)
    }

    fn cri(&self) -> Option<&Table> {
        let plugins = self.0.get("plugins")?.as_table()?;
        CRI.iter().find_map(|name| plugins.get(*name)?.as_table())
    }

    /// Whether this containerd serves Kubernetes at all.
    pub(super) fn has_cri(&self) -> bool {
        let disabled = self.0.get("disabled_plugins").and_then(Value::as_array);
        let off = disabled.into_iter().flatten().filter_map(Value::as_str);
        let off = off
            .into_iter()
            .any(|name| name == "cri" || CRI.contains(&name));
        self.cri().is_some() && !off
    }

    fn containerd(&self) -> Option<&Table> {
        self.cri()?.get("containerd")?.as_table()
    }

    /// The handlers by name.
    pub(super) fn runtimes(&self) -> Table {
        let runtimes = self.containerd().and_then(|c| c.get("runtimes"));
        runtimes
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn default_runtime(&self) -> String {
        let name = self
            .containerd()
            .and_then(|c| c.get("default_runtime_name"));
        name.and_then(Value::as_str).unwrap_or("runc").to_owned()
    }

    /// What would keep the CRI from starting: the dump does not judge it.
    pub(super) fn unfit(&self) -> Option<String> {
        let runtimes = self.runtimes();
        let typeless = runtimes.iter().find(|(_, entry)| {
            let kind = entry.get("runtime_type").and_then(Value::as_str);
            kind.is_none_or(str::is_empty)
        });
        if let Some((name, _)) = typeless {
            return Some(format!(
                "runtimes.{name} has no runtime_type, with which containerd's CRI does not start"
            ));
        }
        let default = self.default_runtime();
        (!runtimes.contains_key(&default)).then(|| {
            format!(
                "default_runtime_name is {default:?}, which is none of the runtimes, and so containerd's CRI does not start"
            )
        })
    }

    /// Everything but our handlers and the list of files it came from.
    pub(super) fn others(&self) -> Table {
        let mut table = self.0.clone();
        table.remove("imports");
        let plugins = table.get_mut("plugins").and_then(Value::as_table_mut);
        for (_, plugin) in plugins.into_iter().flatten() {
            let runtimes = plugin
                .get_mut("containerd")
                .and_then(|c| c.get_mut("runtimes"))
                .and_then(Value::as_table_mut);
            if let Some(runtimes) = runtimes {
                runtimes.retain(|name, _| !is_our_name(name));
            }
        }
        pruned(&table)
    }
}

/// The table without empty texts, noughts, falsehoods and empty tables: what
/// one version writes out and another leaves away.
pub(super) fn pruned(table: &Table) -> Table {
    let entries = table.iter().filter_map(|(key, value)| {
        let value = match value {
            Value::Table(inner) => Value::Table(pruned(inner)),
            other => other.clone(),
        };
        let empty = match &value {
            Value::Table(inner) => inner.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Integer(number) => *number == 0,
            Value::Boolean(on) => !on,
            Value::Float(_) | Value::Datetime(_) => false,
        };
        (!empty).then(|| (key.clone(), value))
    });
    entries.collect()
}
