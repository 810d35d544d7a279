//! In: a running container's cgroup, and limits: those of a rewritten spec,
//! or one setting of a person's. Out: the kernel's files say so, and systemd
//! knows, where it owns the cgroup.
//!
//! For engines that have read their spec before anybody could rewrite it, and
//! for `packrank set`. The engine's own conversions are followed, in one table
//! for both versions of cgroups; only what differs is written; a limit is not
//! lowered below what is in use before that has been taken back.
//!
//! A scope or service of systemd's is told to systemd first: it writes its own
//! values over ours whenever it looks at that controller again (systemd 257:
//! at the next change of any property of it; others: at a daemon-reload). Who
//! talks to systemd is handed in: the D-Bus library is the feature `systemd`.

mod apply;
mod convert;
mod error;
mod line;
mod place;
mod setting;
#[cfg(feature = "systemd")]
mod systemd;
mod table;
mod unit;
mod weight;

pub use apply::{Applied, Change, Missing, apply};
pub use error::Error;
pub use place::Place;
pub use setting::{Limit, Means, of_key, of_resources};
#[cfg(feature = "systemd")]
pub use systemd::{Service, Systemd};
pub use unit::{Property, Units, Worth};
pub use weight::Scale;

#[cfg(test)]
mod tests;
