//! `packrank status`: the packs of this node, or one of them in full.
//!
//! In: the records, and the kernel's own counters. Out: a line for each pack;
//! for one, every setting in force and what its network and disk counted.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use packrank_core::key::Key;
use packrank_core::quantity::{ShowBits, ShowBytes};
use packrank_core::record::{Packs, Record};
use packrank_core::value::Value;
use packrank_shim::attach::RUN_FOLDER;
use packrank_shim::attach::running;

use crate::terminal::{fail, plain, tell};

mod watched;
use watched::Watched;

/// Show the packs of this node, or one in full.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A container's id, or the beginning of one.
    id: Option<String>,
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let packs = Packs::under(&args.run);
    let shown = match &args.id {
        None => list(&packs, &args.run),
        Some(id) => match find(&packs, id) {
            Ok(record) => one(&record, args).map_err(|e| e.to_string()),
            Err(error) => Err(error),
        },
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The one pack whose id is, or begins with, `id`.
pub(crate) fn find(packs: &Packs, id: &str) -> Result<Record, String> {
    if let Ok(record) = packs.read(id) {
        return Ok(record);
    }
    let all = packs.all().map_err(|e| e.to_string())?;
    let records = all.into_iter().filter_map(|(_, record)| record.ok());
    let mut found = records.filter(|record| record.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(format!("{id:?} is the beginning of more than one id")),
        (None, _) => Err(format!("no ranked container {id:?} runs here")),
    }
}

fn list(packs: &Packs, run: &Path) -> Result<(), String> {
    let mut records = Vec::new();
    for (path, record) in packs.all().map_err(|e| e.to_string())? {
        match record {
            Ok(record) => records.push(record),
            Err(error) => tell(&format!("{}: {error}", path.display())),
        }
    }
    records.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.id.cmp(&b.id)));
    let watcher = Watched::ask(run);
    println!("{}", watcher.head());
    if records.is_empty() {
        println!("no ranked container runs here");
        return Ok(());
    }
    println!("{:<10} {:<14} {:>8}  name", "class", "id", "pid");
    for record in records {
        let state = if running::alive(&record) {
            ""
        } else {
            "  (ended)"
        };
        println!(
            "{:<10} {:<14.12} {:>8}  {}{state}",
            record.priority,
            plain(&record.id),
            record.pid,
            plain(&record.title())
        );
        if let Some(done) = watcher.done_to(&record.id) {
            println!("{:<10} {done}", "");
        }
    }
    for line in watcher.incomparable() {
        println!("{line}");
    }
    Ok(())
}

fn one(record: &Record, args: &Args) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    writeln!(out, "{}  {}", plain(&record.id), record.priority)?;
    writeln!(
        out,
        "  process {}, bundle {}",
        record.pid,
        plain(&record.bundle.to_string_lossy())
    )?;
    let pinned: Vec<&str> = record.pinned.iter().map(|(name, _)| name).collect();
    for key in Key::all() {
        let Some(amount) = record.amount(key) else {
            continue;
        };
        let value = amount.number().map_or(Value::Unlimited, Value::Number);
        let mark = if pinned.contains(&key.name()) {
            "  pinned"
        } else {
            ""
        };
        writeln!(out, "  {:<26}{}{mark}", key.name(), value.show(key))?;
    }
    if let Some(done) = Watched::ask(&args.run).done_to(&record.id) {
        writeln!(out, "  watcher: {done}")?;
    }
    match running::network(record, &args.run) {
        Ok(None) => writeln!(out, "  network: the host's own")?,
        Ok(Some(status)) => {
            for (way, directions) in [("from", &status.egress), ("to", &status.ingress)] {
                for direction in directions {
                    writeln!(
                        out,
                        "  {way} the container on {}: {}/s, {} passed, {} packets dropped",
                        direction.interface,
                        ShowBits(direction.rate.bits_per_second),
                        ShowBytes(direction.passed.bytes),
                        direction.passed.dropped
                    )?;
                }
            }
            for counter in &status.counters {
                let (name, packets) = (&counter.name, counter.packets);
                writeln!(
                    out,
                    "  {name:<26}{packets} packets, {}",
                    ShowBytes(counter.bytes)
                )?;
            }
        }
        Err(error) => writeln!(out, "  network: {}", plain(&error.to_string()))?,
    }
    if let Some(usage) = running::disk(record, &args.run) {
        writeln!(
            out,
            "  disk space used           {}",
            ShowBytes(usage.bytes)
        )?;
    }
    Ok(())
}
