//! The security preset: what the process may do beside its limits.

use super::{PlanError, Planner};
use crate::key::Key;
use crate::value::{Security, Value};

impl Planner<'_> {
    pub(super) fn security(&mut self) -> Result<(), PlanError> {
        let mut setting = self.plain(Key::Security)?;
        if setting.value == Some(Value::Security(Security::Restricted)) {
            let spec = self.inputs.spec;
            let seccomp = match spec.seccomp {
                true => "the spec's own seccomp profile stays",
                false => "with packrank's seccomp profile",
            };
            let note = match (spec.user_namespace, &setting.note) {
                (true, None) => format!("{seccomp}; root is its user namespace's own"),
                (false, None) => seccomp.to_owned(),
                (_, Some(note)) => format!("{seccomp}; {note}"),
            };
            setting.note = Some(note);
        }
        self.push(setting);
        Ok(())
    }
}
