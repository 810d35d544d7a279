//! Why a container is not ranked.
//!
//! In: its config.json, the command line's claim and the policy. Out: one
//! sentence.

use packrank_core::annotation::Request;
use packrank_core::policy::Policy;
use packrank_core::spec::Spec;
use packrank_shim::planning::Refusal;

/// Who could have given it a class and did not.
const UNCLAIMED: &str = "not ranked: no packrank.io/priority, no --priority and no default-class in the policy; the container is left untouched, byte for byte";

/// A class was claimed, and the policy does nothing about it.
const OFF: &str =
    "not ranked: the policy's mode is off; the container is left untouched, byte for byte";

/// The reason, for a container that planning has found not to be ranked.
pub(super) fn reason(
    document: &[u8],
    by_flag: bool,
    policy: &Policy,
) -> Result<&'static str, Refusal> {
    let spec = Spec::parse(document)?;
    let pairs = spec.annotations.iter();
    let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
    let request = Request::parse(pairs, spec.place.container.as_deref())?;
    let by_annotation = request.priority.is_some() || request.lowest_other.is_some();
    let claimed = by_flag || by_annotation || policy.default_class.is_some();
    Ok(if claimed { OFF } else { UNCLAIMED })
}
