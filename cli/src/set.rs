//! `packrank set ID KEY=VALUE`: a running container changed in place.
//!
//! In: a container and settings, as annotations have them. Out: the kernel
//! says so, and the record: a value a person set is pinned, and the watcher
//! leaves it alone. No more than the class's ceiling.

use std::path::PathBuf;
use std::process::ExitCode;

use packrank_core::host::{Host, Roots};
use packrank_core::key::Key;
use packrank_core::policy::Policy;
use packrank_core::record::{Packs, Record};
use packrank_core::value::Value;
use packrank_shim::attach::RUN_FOLDER;
use packrank_shim::attach::running;
use packrank_shim::planning;

use crate::terminal::{fail, tell};

/// Change a running container in place.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A container's id, or the beginning of one.
    id: String,
    /// Settings as annotations have them: network.egress=20Mbit.
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Another policy than /etc/packrank.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match set(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn set(args: &Args) -> Result<(), String> {
    let packs = Packs::under(&args.run);
    let mut record = crate::status::find(&packs, &args.id)?;
    if !running::alive(&record) {
        return Err(format!("container {:?} has ended", record.id));
    }
    let policy = planning::policy(args.policy.as_deref()).map_err(|e| e.to_string())?;
    // All are judged before the first is applied.
    let settings: Vec<(Key, Value)> = args
        .settings
        .iter()
        .map(|text| asked(text, &record, &policy))
        .collect::<Result<_, String>>()?;
    let host = Host::probe(Roots::own());
    for (key, value) in settings {
        let notes = running::change(&record, key, &value, &host, &args.run);
        for note in notes.map_err(|e| e.to_string())? {
            tell(&note);
        }
        let pinned = packs.change(&record.id, |record| record.pinned.put(key, &value));
        record = pinned.map_err(|e| e.to_string())?;
        println!("{key} is {}", value.show(key));
    }
    Ok(())
}

/// One setting, within what the class may have.
fn asked(text: &str, record: &Record, policy: &Policy) -> Result<(Key, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not of the form key=value"))?;
    let key = Key::named(name).ok_or_else(|| format!("{name:?} is no setting"))?;
    let parsed = Value::parse(key, value);
    let parsed = parsed.map_err(|e| format!("{name}: {value:?} is not accepted: {e}"))?;
    let class = record.priority;
    let ceiling = policy.ceiling(class, key).or(policy.class(class, key));
    match ceiling {
        Some(most) if parsed.exceeds(&most.value, key) => Err(format!(
            "{name}: {} is above what class {class} may have: at most {}",
            parsed.show(key),
            most.value.show(key)
        )),
        _ => Ok((key, parsed)),
    }
}
