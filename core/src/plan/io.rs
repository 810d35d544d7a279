//! Block I/O: throttles on the disks the container writes to, weight,
//! priority, and the space it may fill.

use super::{NOT_ROOT, PlanError, Planner, Setting};
use crate::key::Key;

/// The keys of the four throttles, in the order of
/// [`crate::spec::THROTTLES`].
pub(crate) const THROTTLE_KEYS: [Key; 4] = [
    Key::IoReadIops,
    Key::IoWriteIops,
    Key::IoReadBps,
    Key::IoWriteBps,
];

impl Planner<'_> {
    pub(super) fn io(&mut self) -> Result<(), PlanError> {
        let priority = self.plain(Key::IoPriority)?;
        self.push(priority);
        match self.inputs.host.cgroups.delegated {
            true => self.leave_out(Key::DiskSpace, NOT_ROOT)?,
            false => {
                let space = self.plain(Key::DiskSpace)?;
                self.push(space);
            }
        }
        let controller = if self.inputs.host.cgroups.v2() {
            "io"
        } else {
            "blkio"
        };
        let keys = [THROTTLE_KEYS.as_slice(), &[Key::IoWeight]].concat();
        if !self.controller(controller, &keys)? {
            return Ok(());
        }
        self.throttles()?;
        match self.inputs.host.cgroups.io_weight {
            Some(file) => {
                let weight = self.plain(Key::IoWeight)?;
                let note = weight.note.or_else(|| Some(format!("by {file}")));
                self.push(Setting { note, ..weight });
                Ok(())
            }
            None => self.leave_out(
                Key::IoWeight,
                "the kernel has no I/O weights (iocost or bfq)",
            ),
        }
    }

    fn throttles(&mut self) -> Result<(), PlanError> {
        let disks = self.inputs.disks;
        let names: Vec<String> = disks
            .disks
            .iter()
            .map(|disk| format!("{} ({})", disk.name, disk.device))
            .collect();
        if names.is_empty() {
            let reason = match disks.without.first() {
                Some((path, kind)) => format!("{} is on {kind}: no disk behind it", path.display()),
                None => "the container writes to no disk".to_owned(),
            };
            return self.leave_all_out(&THROTTLE_KEYS, &reason);
        }
        for key in THROTTLE_KEYS {
            let setting = self.plain(key)?;
            let on = format!("on {}", names.join(", "));
            let note = match setting.note {
                Some(note) => format!("{on}; {note}"),
                None => on,
            };
            self.push(Setting {
                note: Some(note),
                ..setting
            });
        }
        Ok(())
    }
}
