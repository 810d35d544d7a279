//! The process: OOM score, number of processes, open files.

use super::{Origin, PlanError, Planner, Setting};
use crate::key::Key;
use crate::value::Value;

impl Planner<'_> {
    pub(super) fn process(&mut self) -> Result<(), PlanError> {
        let oom = self.oom_score()?;
        self.push(oom);
        if self.controller("pids", &[Key::Pids])? {
            let spec = &self.inputs.spec.resources;
            let numbers = [spec.pids, spec.unified_number("pids.max")];
            let spec = numbers.into_iter().flatten().min();
            let pids = self.join(self.plain(Key::Pids)?, spec.map(Value::Number));
            self.push(pids);
        }
        let files = self.open_files()?;
        self.push(files);
        Ok(())
    }

    /// Engines fail to start what they may not set: without CAP_SYS_RESOURCE
    /// nothing below their own score.
    fn oom_score(&self) -> Result<Setting, PlanError> {
        let setting = self.plain(Key::OomScore)?;
        let host = self.inputs.host;
        Ok(match setting.value {
            Some(Value::Score(score)) if !host.sys_resource() && score < host.oom_score_adj() => {
                Setting {
                    note: Some(format!(
                        "{score} by {} needs CAP_SYS_RESOURCE; this is the least without it",
                        setting.origin
                    )),
                    value: Some(Value::Score(host.oom_score_adj())),
                    origin: Origin::Host,
                    ..setting
                }
            }
            _ => setting,
        })
    }

    fn open_files(&self) -> Result<Setting, PlanError> {
        let setting = self.plain(Key::Nofile)?;
        let spec = self.inputs.spec.nofile;
        let Some(Value::Files { soft, hard }) = setting.value else {
            let spec = spec.map(|s| Value::Files {
                soft: s.soft,
                hard: s.hard,
            });
            return Ok(self.join(setting, spec));
        };
        let mut setting = setting;
        if let Some(spec) = spec.filter(|s| s.soft < soft || s.hard < hard) {
            let least = spec.hard.min(hard);
            setting = Setting {
                value: Some(Value::Files {
                    soft: spec.soft.min(soft).min(least),
                    hard: least,
                }),
                note: Some(format!(
                    "the stricter of {soft}/{hard} by {} and the spec's {}/{}",
                    setting.origin, spec.soft, spec.hard
                )),
                origin: Origin::Spec,
                ..setting
            };
        }
        let host = self.inputs.host;
        if let Some(Value::Files { soft, hard }) = &setting.value
            && let Some(most) = host.nofile_hard()
            && *hard > most
            && !host.sys_resource()
        {
            setting = Setting {
                note: Some(format!(
                    "{soft}/{hard} by {} needs CAP_SYS_RESOURCE",
                    setting.origin
                )),
                value: Some(Value::Files {
                    soft: (*soft).min(most),
                    hard: most,
                }),
                origin: Origin::Host,
                ..setting
            };
        }
        Ok(setting)
    }
}
