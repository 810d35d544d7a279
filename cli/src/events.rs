//! `packrank events`: what the watcher did, to whom and why.
//!
//! In: the watcher's journal. Out: a line for each event, or an object; with
//! `--follow` until somebody stops it, over restarts of the watcher.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use packrank_shim::attach::RUN_FOLDER;
use packrank_watcher::client::{AskError, ask};
use serde_json::{Value as Json, json};

use crate::pause::socket;
use crate::terminal::{self, plain, tell};

/// Show what the watcher did, to whom and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on showing what happens.
    #[arg(long, short)]
    follow: bool,
    /// Only what happened in this last while: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Where the records are.
    #[arg(long, value_name = "FOLDER", default_value = RUN_FOLDER)]
    run: PathBuf,
}

/// Between two questions while following.
const EVERY: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let from = args.since.map_or(0, |since| {
        let from = now.unwrap_or_default().saturating_sub(since);
        u64::try_from(from.as_millis()).unwrap_or(u64::MAX)
    });
    let (mut after, mut began) = (0, Json::Null);
    let mut silent = false;
    loop {
        let request = json!({ "verb": "events", "after": after });
        match ask(&socket(&args.run), &request) {
            Ok(answer) => {
                let next = answer["next"].as_u64().unwrap_or(1);
                let another = answer["began"] != began || next <= after;
                began = answer["began"].clone();
                silent = false;
                if another && after > 0 {
                    // It counts from one again: asked anew, for all of it.
                    after = 0;
                    continue;
                }
                if show(args, &answer, from).is_err() {
                    // Whoever read it has gone.
                    return ExitCode::SUCCESS;
                }
                after = next - 1;
            }
            // None runs while nothing is ranked; the next one is waited for.
            Err(AskError::NoWatcher { .. }) if args.follow => {}
            // It has much to do, is stopped, or has just ended.
            Err(error @ (AskError::Silent(_) | AskError::Strange(_))) if args.follow => {
                if !std::mem::replace(&mut silent, true) {
                    tell(&format!("{error}; waiting for it"));
                }
            }
            Err(error) => return terminal::fail(&error),
        }
        if !args.follow {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(EVERY);
    }
}

fn show(args: &Args, answer: &Json, from: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in answer["events"].as_array().into_iter().flatten() {
        let at = event["at"].as_u64().unwrap_or(0);
        if at < from {
            continue;
        }
        if args.json {
            writeln!(out, "{event}")?;
            continue;
        }
        let when = UNIX_EPOCH + Duration::from_millis(at);
        let text = |name: &str| plain(event[name].as_str().unwrap_or("-"));
        let id = match event["id"].as_str() {
            Some(id) => plain(id),
            None => "node".to_owned(),
        };
        writeln!(
            out,
            "{}  {:<10} {:<14.12} {}",
            humantime::format_rfc3339_seconds(when),
            text("class"),
            id,
            text("text")
        )?;
    }
    out.flush()
}
