//! `events`: statistics now or again and again, and out-of-memory events, as lines of JSON.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli;
use crate::context::Context;
use crate::error::Error;
use crate::record::Record;
use crate::stats;

/// How soon an out-of-memory kill is told.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub fn perform(options: &cli::Events, context: &mut Context) -> Result<i32, Error> {
    let interval = duration(&options.interval).ok_or_else(|| {
        Error::Usage(format!(
            "events: --interval {:?} is not a time such as 5s",
            options.interval
        ))
    })?;
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    if !record.status(&home).lives() {
        return Err(Error::NotRunning);
    }
    if options.stats {
        return statistics(&record).map(|()| 0);
    }
    let mut kills = stats::oom_kills(&record.place);
    let mut due = Instant::now() + interval;
    while record.status(&home).lives() {
        sleep(LOOK_AGAIN.min(due.saturating_duration_since(Instant::now())));
        let now = stats::oom_kills(&record.place);
        if now > kills {
            print(&json!({"type": "oom", "id": record.id}))?;
            kills = now;
        }
        if Instant::now() >= due {
            statistics(&record)?;
            due += interval;
        }
    }
    Ok(0)
}

fn statistics(record: &Record) -> Result<(), Error> {
    print(&json!({"type": "stats", "id": record.id, "data": stats::of(&record.place)}))
}

fn print(event: &Value) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{event}")
        .and_then(|()| stdout.flush())
        .map_err(Error::io("stdout"))
}

/// As Go writes times, in one unit; a bare number is seconds. Zero would never rest.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("7"), Some(Duration::from_secs(7)));
        for text in ["", "0s", "-1s", "5x", "s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
