//! One file per verb of the command line. In: the verb's options. Out: the exit status, or why not.

pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod features;
pub mod kill;
pub mod list;
pub mod pause;
pub mod ps;
pub mod resume;
pub mod run;
pub mod spec;
pub mod start;
pub mod state;
pub mod update;

use crate::cli::Verb;
use crate::context::Context;
use crate::error::Error;

/// Verbs of runc that this engine does not have.
const LACKING: &[&str] = &["checkpoint", "restore", "init"];

pub fn perform(verb: Verb, context: &mut Context) -> Result<i32, Error> {
    match verb {
        Verb::Create(options) => create::perform(options, context),
        Verb::Start(options) => start::perform(&options, context),
        Verb::Run(options) => run::perform(options, context),
        Verb::Exec(options) => exec::perform(*options, context),
        Verb::State(options) => state::perform(&options, context),
        Verb::Kill(options) => kill::perform(&options, context),
        Verb::Delete(options) => delete::perform(&options, context),
        Verb::Ps(options) => ps::perform(&options, context),
        Verb::Pause(options) => pause::perform(&options, context),
        Verb::Resume(options) => resume::perform(&options, context),
        Verb::Update(options) => update::perform(&options, context),
        Verb::List(options) => list::perform(&options, context),
        Verb::Events(options) => events::perform(&options, context),
        Verb::Spec(options) => spec::perform(&options),
        Verb::Features(_) => features::perform(),
        Verb::Other(words) => {
            let name = words
                .first()
                .map(|word| word.to_string_lossy().into_owned())
                .unwrap_or_default();
            Err(if LACKING.contains(&name.as_str()) {
                Error::NotSupported(name)
            } else {
                Error::Usage(format!("no such command: {name}"))
            })
        }
    }
}

/// Whether the verb brings a process of ours into a container.
pub fn enters(verb: &Verb) -> bool {
    matches!(verb, Verb::Create(_) | Verb::Run(_) | Verb::Exec(_))
}
