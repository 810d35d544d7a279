//! `ps`: the container's processes, as numbers or as the `ps` of the host shows them.

use std::process::Command;

use crate::context::Context;
use crate::error::Error;

pub fn perform(options: &liboci_cli::Ps, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let pids = home.record()?.place.processes()?;
    match options.format.as_str() {
        "json" => println!(
            "{}",
            serde_json::to_string(&pids).map_err(Error::json("ps"))?
        ),
        "table" => table(&pids, &options.ps_options)?,
        other => {
            return Err(Error::Usage(format!(
                "ps: unknown format {other:?}: table or json"
            )));
        }
    }
    Ok(0)
}

fn table(pids: &[i32], options: &[String]) -> Result<(), Error> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() {
        &default
    } else {
        options
    };
    let output = Command::new("ps")
        .args(options)
        .output()
        .map_err(Error::io("ps"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Usage(format!("ps: {reason}")));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|title| title == "PID");
    let column =
        column.ok_or_else(|| Error::Usage("ps: these options print no column PID".to_owned()))?;
    println!("{heading}");
    for line in lines {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|word| word.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(())
}
