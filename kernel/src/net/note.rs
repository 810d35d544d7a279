//! In: what could not be done, or not in the best way. Out: a sentence for
//! `packrank explain` and the record.

use std::fmt;

/// Something left out or done differently, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Note {
    /// The container lives in the host's network namespace.
    HostNetwork,
    /// Only loopback: no network, or not yet.
    NoInterface,
    /// A process moves the packets of this interface.
    UserMode {
        /// The container's interface.
        interface: String,
    },
    /// The other end of this veth is neither on the host nor in the container.
    PeerElsewhere {
        /// The container's interface.
        interface: String,
    },
    /// Shaped in the container's own namespace.
    ShapedInside {
        /// The container's interface.
        interface: String,
        /// Its kind, as `ip -d link` names it.
        kind: String,
    },
    /// Ingress counts for every interface by itself.
    EachInterface {
        /// How many interfaces the container has.
        interfaces: usize,
    },
    /// Somebody else shapes this interface already.
    Foreign {
        /// The host's or the container's interface.
        interface: String,
        /// What was found there.
        kind: String,
    },
    /// The kernel has no fq_codel.
    NoFairQueue,
    /// The kernel has no ifb.
    Policed,
    /// The kernel lacks what a setting needs.
    Lacking {
        /// What the kernel lacks.
        feature: &'static str,
        /// The settings left out for it.
        settings: &'static str,
    },
    /// A container could undo its own limits on connections, or go round them.
    WithinReach,
    /// A new limit does not count what was open before it.
    CountsAnew,
    /// On the host, packets between containers on one bridge pass connection
    /// tracking only with br_netfilter.
    BridgedUncounted,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNetwork => f.write_str(
                "the container uses the host's network, which is never shaped or limited",
            ),
            Self::NoInterface => {
                f.write_str("the container has no interface but loopback, nothing to shape")
            }
            Self::UserMode { interface } => write!(
                f,
                "{interface} is fed by a process (rootless network), which has no end on the host to shape"
            ),
            Self::PeerElsewhere { interface } => write!(
                f,
                "the other end of {interface} is in a third network namespace, it is left alone"
            ),
            Self::ShapedInside { interface, kind } => write!(
                f,
                "{interface} ({kind}) has no end of its own on the host and is shaped inside the \
                 container, where CAP_NET_ADMIN could undo it"
            ),
            Self::EachInterface { interfaces } => write!(
                f,
                "network.ingress holds for each of the {interfaces} interfaces by itself"
            ),
            Self::Foreign { interface, kind } => write!(
                f,
                "{interface} has somebody else's {kind}, which is left as it is and comes before packrank"
            ),
            Self::NoFairQueue => f.write_str(
                "the kernel has no fq_codel: a busy container's own packets wait in one queue",
            ),
            Self::Policed => f.write_str(
                "the kernel has no ifb: network.egress drops what exceeds it instead of queueing",
            ),
            Self::Lacking { feature, settings } => {
                write!(f, "the kernel has no {feature}: {settings} left out")
            }
            Self::WithinReach => f.write_str(
                "the limits on connections sit inside the container only, where CAP_NET_ADMIN could undo \
                 them and CAP_NET_RAW go round them",
            ),
            Self::CountsAnew => f.write_str(
                "connections open before network.connections changed are not counted",
            ),
            Self::BridgedUncounted => f.write_str(
                "connections to containers on the same bridge are counted only where br_netfilter is on",
            ),
        }
    }
}
