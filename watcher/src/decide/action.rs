//! What is to be done: the output of every decision.
//!
//! In: room for so many actions, made once. Out: an [`Actions`] that never
//! grows: what does not fit is decided again at the next look.

use packrank_core::key::Key;
use packrank_core::record::Amount;

use super::{Level, Resource};

/// A pack's place in the watcher's tables, given out again after it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A cgroup above packs, likewise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Above(pub u32);

/// A value of a pack that can be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// CPU time.
    CpuQuota,
    /// Memory from which its growth is slowed.
    MemoryHigh,
    /// Memory it may use; only ever grows.
    MemoryLimit,
    /// Memory the kernel leaves it.
    Guarantee,
    /// Bytes read per second.
    ReadBps,
    /// Bytes written per second.
    WriteBps,
    /// Reads per second.
    ReadIops,
    /// Writes per second.
    WriteIops,
    /// Bits sent per second.
    Egress,
    /// Bits received per second.
    Ingress,
}

impl Knob {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them. `MemoryLimit` comes first: it makes room for the others.
    pub const ALL: [Knob; Knob::COUNT] = [
        Knob::MemoryLimit,
        Knob::MemoryHigh,
        Knob::Guarantee,
        Knob::CpuQuota,
        Knob::ReadBps,
        Knob::WriteBps,
        Knob::ReadIops,
        Knob::WriteIops,
        Knob::Egress,
        Knob::Ingress,
    ];

    /// The setting it is.
    #[must_use]
    pub fn key(self) -> Key {
        match self {
            Knob::CpuQuota => Key::CpuQuota,
            Knob::MemoryHigh => Key::MemoryHigh,
            Knob::MemoryLimit => Key::MemoryLimit,
            Knob::Guarantee => Key::MemoryGuarantee,
            Knob::ReadBps => Key::IoReadBps,
            Knob::WriteBps => Key::IoWriteBps,
            Knob::ReadIops => Key::IoReadIops,
            Knob::WriteIops => Key::IoWriteIops,
            Knob::Egress => Key::NetworkEgress,
            Knob::Ingress => Key::NetworkIngress,
        }
    }

    /// The knob of a setting, if it can be changed while the pack runs.
    #[must_use]
    pub fn of(key: Key) -> Option<Knob> {
        Knob::ALL.into_iter().find(|knob| knob.key() == key)
    }
}

/// What is to be done to one pack, or to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Take so many bytes of cache back, in small pieces.
    Reclaim(u64),
    /// Compact the node's memory.
    Compact,
    /// Send its first process this signal.
    Signal(u8),
    /// Stop it.
    Freeze,
    /// Let it go on.
    Thaw,
    /// End it, its reason recorded first.
    Kill,
    /// Change a value.
    Set {
        /// Which.
        knob: Knob,
        /// What it is taken to be; `None` after a restart.
        from: Option<Amount>,
        /// What it is to be.
        to: Amount,
    },
    /// Protect what lies under a cgroup above packs.
    Protect {
        /// Which.
        above: Above,
        /// Bytes of memory.min.
        min: u64,
        /// Bytes of memory.low.
        low: u64,
    },
    /// Tell people.
    Alert(Alert),
}

/// What people are told of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// It runs into its memory limit.
    MemoryAtLimit,
    /// Its CPU quota has held it back for long.
    CpuThrottled,
    /// Its I/O limit has.
    IoThrottled,
    /// Most of its open files are in use.
    Files,
    /// Most of its connections are.
    Connections,
    /// Most of its disk space is.
    DiskSpace,
    /// A limit that follows use has none left to give.
    NearLimit(Knob),
}

/// Why something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Pressure.
    Pressure(Resource, Level),
    /// Pressure is gone.
    GiveBack,
    /// Its use, in percent of its limit.
    Use(u64),
    /// Its use will reach the limit in so many seconds.
    Trend(u64),
    /// It broke its bounds.
    Violation,
    /// The packs under a cgroup are guaranteed so much.
    Guarantee,
    /// A value is not, or may not be, what it should be.
    Restore,
    /// A person asked.
    Person,
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// To whom; `None` for the node.
    pub slot: Option<Slot>,
    /// What.
    pub deed: Deed,
    /// Why.
    pub why: Why,
    /// Decide and record only.
    pub audit: bool,
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// So many bytes came back.
    Freed(u64),
    /// The kernel refused.
    Refused,
    /// The pack is no more.
    Gone,
}

/// The actions of one look, first things first.
#[derive(Debug)]
pub struct Actions(Vec<Action>);

impl Actions {
    /// Room for `room` actions.
    #[must_use]
    pub fn with_room(room: usize) -> Actions {
        Actions(Vec::with_capacity(room))
    }

    /// Adds one; whether there was room.
    pub(super) fn push(&mut self, action: Action) -> bool {
        let room = self.0.len() < self.0.capacity();
        if room {
            self.0.push(action);
        }
        room
    }

    /// Whether so many more fit.
    pub(super) fn fits(&self, more: usize) -> bool {
        self.0.capacity() - self.0.len() >= more
    }

    /// Forgets all, keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn list(&self) -> &[Action] {
        &self.0
    }
}
