//! Network: rates, burst, packets, connections, marking. The spec has no
//! members for these; they are applied to the container's interfaces.

use super::{NOT_ROOT, Origin, PlanError, Planner, Setting};
use crate::key::Key;
use crate::spec::Network;

/// Every network key.
pub const NETWORK_KEYS: [Key; 7] = [
    Key::NetworkEgress,
    Key::NetworkIngress,
    Key::NetworkBurst,
    Key::NetworkPackets,
    Key::NetworkConnections,
    Key::NetworkNewConnections,
    Key::NetworkDscp,
];

impl Planner<'_> {
    pub(super) fn network(&mut self) -> Result<(), PlanError> {
        if self.inputs.spec.network == Network::Host {
            // Not a lack of the host's: nobody is refused for it.
            for key in NETWORK_KEYS {
                let asked = self.plain(key)?;
                self.push(Setting {
                    value: None,
                    origin: Origin::Spec,
                    note: Some("left out: the host's own network is never touched".to_owned()),
                    ..asked
                });
            }
            return Ok(());
        }
        if self.inputs.host.cgroups.delegated {
            return self.leave_all_out(&NETWORK_KEYS, NOT_ROOT);
        }
        for key in NETWORK_KEYS {
            let mut setting = self.plain(key)?;
            if key == Key::NetworkConnections && self.inputs.spec.net_admin {
                setting.note = Some(
                    "counted on the host, out of reach of the container's CAP_NET_ADMIN".to_owned(),
                );
            }
            self.push(setting);
        }
        Ok(())
    }
}
