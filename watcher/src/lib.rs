//! Pressure comes, and the right pack gives.
//!
//! In: the node's pressure and the packs' figures. Out: actions, lowest class
//! first, and everything taken given back. [`decide`] is pure; [`observe`]
//! reads files for it, [`act`] carries out what it says, [`watch`] is the loop
//! around them, and [`protocol`] is what `packrank status` and others say to it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod above;
pub mod act;
pub mod client;
pub mod config;
pub mod decide;
pub mod deeds;
pub mod event;
pub mod exporter;
pub mod history;
pub mod journal;
pub mod journald;
mod links;
pub mod observe;
pub mod protocol;
pub mod registry;
pub mod roots;
pub mod scarce;
pub mod server;
pub mod stand;
pub mod status;
pub mod watch;

pub use config::Config;
pub use roots::Roots;
