//! `-info`: what this runtime is.
//!
//! In: its options on stdin. Out: name, version, and the features that the
//! engine tells of itself.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use packrank_core::policy::Policy;
use packrank_shim::engine;
use packrank_shim::planning::POLICY_FOLDER;

use crate::error::Error;
use crate::options::Options;

/// The runtime's name.
pub const NAME: &str = "io.containerd.packrank.v2";

/// What features are called in Go's type registry.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// What is to be printed.
///
/// # Errors
/// When the options cannot be read or there is no engine.
pub fn info() -> Result<Vec<u8>, Error> {
    /// Options are a few hundred bytes.
    const MOST: u64 = 1 << 20;
    let mut input = Vec::new();
    let read = std::io::stdin().take(MOST).read_to_end(&mut input);
    read.map_err(Error::io("read stdin"))?;
    let given = Any::parse_from_bytes(&input).map_err(Error::io("read the options"))?;
    let options = Options::read(Some(&given))?;
    let policy = options.policy.as_deref();
    let named = Policy::engine_named(Path::new(POLICY_FOLDER), policy);
    let engine = engine::find(options.binary_name.as_deref(), named.as_deref())?;
    let output = Command::new(&engine).arg("features").output();
    let output = output.map_err(Error::path("start", &engine))?;
    // An engine that knows no features says so; that is no error of ours.
    let features = output.status.success().then(|| Any {
        type_url: FEATURES.to_owned(),
        value: output.stdout.trim_ascii().to_vec(),
        ..Any::default()
    });
    let info = RuntimeInfo {
        name: NAME.to_owned(),
        version: MessageField::some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..RuntimeVersion::default()
        }),
        options: Some(given)
            .filter(|given| !given.type_url.is_empty())
            .into(),
        features: features.into(),
        ..RuntimeInfo::default()
    };
    info.write_to_bytes().map_err(Error::io("encode"))
}
