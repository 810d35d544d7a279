//! `packrank report`: a node's last hours as one page.
//!
//! In: the watcher's history and events, and the packs as they are. Out: one
//! HTML file that needs nothing else: no script, no font, no network.

mod chart;
mod page;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use packrank_monitor::Sampler;
use packrank_monitor::ask::Watcher;
use packrank_watcher::history;

use crate::metrics::Place;
use crate::terminal::{fail, print};
use page::Story;

/// Between the two looks that rates take.
const APART: Duration = Duration::from_secs(1);

/// Write the node's last hours as one HTML page.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to; without it, to stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How far back: at most as far as the watcher keeps, six hours.
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = humantime::parse_duration)]
    since: Duration,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let text = match page(args) {
        Ok(text) => text,
        Err(error) => return fail(&error),
    };
    match &args.output {
        None => print(ExitCode::SUCCESS, |out| out.write_all(text.as_bytes())),
        Some(path) => match fs::write(path, text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{}: {error}", path.display())),
        },
    }
}

fn page(args: &Args) -> Result<String, Box<dyn std::error::Error>> {
    let roots = args.place.roots();
    let mut sampler = Sampler::new(roots.clone())?;
    sampler.look();
    std::thread::sleep(APART);
    let snapshot = sampler.look();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let wall = u64::try_from(since.as_millis())?;
    let age = u64::try_from(args.since.as_millis())?;
    // Where no watcher ever ran there is no history, and the page says so.
    let bytes = fs::read(roots.history()).unwrap_or_default();
    let told = Watcher::connect(&roots.socket()).and_then(|mut watcher| watcher.events(0));
    let mut events = told.unwrap_or_default().events;
    events.retain(|event| wall.saturating_sub(event.at) <= age);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let story = Story {
        host: host.trim().to_owned(),
        wall,
        rows: history::read(&bytes, wall, age),
        events,
        snapshot,
    };
    Ok(page::draw(&story))
}
