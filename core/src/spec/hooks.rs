//! Our hooks in a spec.
//!
//! In: the document and the hook program's path. Out: the document with one
//! more entry, behind those that are there, in each phase that is asked for;
//! one that is there already is not added again.

use std::path::Path;

use super::object::{DocumentError, Object, quote};

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
        let hooks = document.inside("hooks")?;
        let there = hooks.items(name)?;
        let mut texts = Vec::with_capacity(there.len() + 1);
        let mut ours = false;
        for hook in there {
            let path: Option<String> = hook.read("path")?;
            let args: Vec<String> = hook.read("args")?.unwrap_or_default();
            let phase = args.last().map(String::as_str);
            ours |= path.as_deref() == Some(&*program) && phase == Some(name);
            texts.push(hook.render());
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
