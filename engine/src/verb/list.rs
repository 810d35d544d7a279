//! `list`: every container below the root directory.

use super::state::State;
use crate::context::Context;
use crate::error::Error;

pub fn perform(options: &liboci_cli::List, context: &mut Context) -> Result<i32, Error> {
    // One that is being made or removed at this moment has no record; it is in no list yet or any
    // more.
    let states: Vec<State> = context
        .store
        .all()?
        .into_iter()
        .filter_map(|home| home.record().ok().map(|record| State::of(&home, record)))
        .collect();
    if options.quiet {
        states.iter().for_each(|state| println!("{}", state.id));
        return Ok(0);
    }
    match options.format.as_str() {
        "json" => println!(
            "{}",
            serde_json::to_string(&states).map_err(Error::json("list"))?
        ),
        "table" => table(&states),
        other => {
            return Err(Error::Usage(format!(
                "list: unknown format {other:?}: table or json"
            )));
        }
    }
    Ok(0)
}

fn table(states: &[State]) {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        let bundle = state.bundle.display().to_string();
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.to_owned(),
            bundle,
            state.created.clone(),
            state.owner.clone(),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("{}", cells.join("   ").trim_end());
    }
}
