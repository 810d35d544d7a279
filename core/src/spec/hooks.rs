//! Our hooks in a spec.
//!
//! In: the document and the hook program's path. Out: the document with one
//! more entry, behind those that are there, in each phase that is asked for;
//! one that is there already is not added again.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{DocumentError, Object, json, quote};

/// An OCI phase we have a hook for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Namespaces and cgroups exist; the container's program does not run yet.
    CreateRuntime,
    /// The container's program was started, or is about to be.
    Poststart,
    /// The container is gone.
    Poststop,
}

impl Phase {
    /// The spec's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::CreateRuntime => "createRuntime",
            Phase::Poststart => "poststart",
            Phase::Poststop => "poststop",
        }
    }
}

/// Seconds after which an engine ends a hook of ours; it ends itself before.
const TIMEOUT: u32 = 10;

#[derive(Deserialize)]
struct Hook {
    path: String,
    #[serde(default)]
    args: Option<Vec<String>>,
}

/// Adds `program` for each phase, with `options` before the phase's name.
///
/// # Errors
/// When the spec's hooks are not of their shape.
pub fn add_hooks(
    document: &mut Object<'_>,
    program: &Path,
    options: &[String],
    phases: &[Phase],
) -> Result<(), DocumentError> {
    let program = program.to_string_lossy();
    for phase in phases {
        let name = phase.name();
        let at = format!("hooks.{name}");
        let hooks = document.inside("hooks")?;
        let there: Vec<&RawValue> = match hooks.raw(name)? {
            Some(text) => json(text, &at)?,
            None => Vec::new(),
        };
        let mut texts = Vec::with_capacity(there.len() + 1);
        let mut ours = false;
        for raw in there {
            let hook: Hook = json(raw.get(), &at)?;
            let phase = hook.args.and_then(|mut args| args.pop());
            ours |= hook.path == program && phase.as_deref() == Some(name);
            texts.push(raw.get().to_owned());
        }
        if !ours {
            let path = quote(&program);
            let words = options.iter().map(|o| format!("{},", quote(o)));
            let options: String = words.collect();
            texts.push(format!(
                r#"{{"path":{path},"args":["packrank-hook",{options}"{name}"],"timeout":{TIMEOUT}}}"#
            ));
            hooks.set(name, format!("[{}]", texts.join(",")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_last_and_once() {
        let text = r#"{"hooks":{"createRuntime":[{"path":"/a", "env":["x"]}],"poststop":null}}"#;
        let mut document = Object::parse(text, "").unwrap();
        let program = Path::new("/p/packrank-hook");
        let phases = [Phase::CreateRuntime, Phase::Poststop];
        add_hooks(&mut document, program, &[], &phases).unwrap();
        let once = document.render();
        let entry = |phase| {
            format!(
                r#"{{"path":"/p/packrank-hook","args":["packrank-hook","{phase}"],"timeout":10}}"#
            )
        };
        let want = format!(
            r#"{{"hooks":{{"createRuntime":[{{"path":"/a", "env":["x"]}},{}],"poststop":[{}]}}}}"#,
            entry("createRuntime"),
            entry("poststop")
        );
        assert_eq!(once, want);
        let mut again = Object::parse(&once, "").unwrap();
        add_hooks(&mut again, program, &[], &phases).unwrap();
        assert_eq!(again.render(), once);
    }
}
