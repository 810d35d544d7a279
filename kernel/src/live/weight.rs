//! In: CPU shares, 2 to 262144, and which engine converts them. Out: the
//! `cpu.weight`, 1 to 10000, that it makes of them.
//!
//! Engines do not agree, and weights compare only among siblings: what is
//! written beside an engine's own weights has to be of its scale.

use std::cmp::Ordering;

/// How an engine converts shares to a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Ends to ends, so that 1024 shares are a weight of 39: runc to 1.3.1,
    /// crun to 1.22.
    Linear,
    /// Through 1024 to 100, which is the kernel's default on both versions:
    /// runc since 1.3.2, crun since 1.23, libcontainer since 0.7.
    #[default]
    Curve,
}

/// From where on the engines have the curve.
const CURVED: [(&str, [u64; 3]); 2] = [("runc", [1, 3, 2]), ("crun", [1, 23, 0])];

impl Scale {
    /// The weight of these shares.
    #[must_use]
    pub fn weight(self, shares: u64) -> u64 {
        let shares = shares.clamp(2, 262_144);
        match self {
            Scale::Linear => 1 + (shares - 2) * 9_999 / 262_142,
            Scale::Curve => curve(shares),
        }
    }

    /// The scale on which these shares are this weight; none where it is
    /// neither's, or both's.
    #[must_use]
    pub fn seen(shares: u64, weight: u64) -> Option<Scale> {
        let is = |scale: Scale| scale.weight(shares) == weight;
        match (is(Scale::Linear), is(Scale::Curve)) {
            (true, false) => Some(Scale::Linear),
            (false, true) => Some(Scale::Curve),
            _ => None,
        }
    }

    /// The scale of an engine, by what it answers to `--version`.
    #[must_use]
    pub fn of_version(answer: &str) -> Scale {
        let mut words = answer.split_whitespace();
        let since = words
            .next()
            .and_then(|name| CURVED.iter().find(|(engine, _)| *engine == name));
        let Some((_, since)) = since else {
            return Scale::Curve;
        };
        let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let mut parts = number
            .unwrap_or_default()
            .split(|c: char| !c.is_ascii_digit());
        let mut part = || parts.next().and_then(|n| n.parse::<u64>().ok());
        let version = [part(), part(), part()].map(Option::unwrap_or_default);
        match (number, version.cmp(since)) {
            (Some(_), Ordering::Less) => Scale::Linear,
            _ => Scale::Curve,
        }
    }
}

/// 10 to the power of (l² + 125 l) / 612 - 7 / 34, l the shares' binary
/// logarithm, rounded up (opencontainers/cgroups, `ConvertCPUSharesToCgroupV2Value`).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and 10000 for the shares that weight() lets in"
)]
fn curve(shares: u64) -> u64 {
    let logarithm = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
    let exponent = (logarithm * logarithm + 125.0 * logarithm) / 612.0 - 7.0 / 34.0;
    10_f64.powf(exponent).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_both_scales() {
        for (shares, linear, curve) in [
            (0, 1, 1),
            (2, 1, 1),
            (128, 5, 21),
            (512, 20, 59),
            (1024, 39, 100),
            (2048, 79, 174),
            (262_144, 10_000, 10_000),
            (u64::MAX, 10_000, 10_000),
        ] {
            assert_eq!(Scale::Linear.weight(shares), linear, "{shares}");
            assert_eq!(Scale::Curve.weight(shares), curve, "{shares}");
        }
    }

    #[test]
    fn an_engine_is_known_by_its_weights() {
        assert_eq!(Scale::seen(1024, 39), Some(Scale::Linear));
        assert_eq!(Scale::seen(1024, 100), Some(Scale::Curve));
        assert_eq!(Scale::seen(1024, 70), None);
        assert_eq!(Scale::seen(2, 1), None);
    }

    #[test]
    fn an_engine_is_known_by_its_version() {
        for (answer, scale) in [
            ("runc version 1.1.15+ds1\ncommit: x", Scale::Linear),
            ("runc version 1.3.1", Scale::Linear),
            ("runc version 1.3.2", Scale::Curve),
            ("runc version 1.10.0", Scale::Curve),
            ("crun version 1.8.1\ncommit: f8a", Scale::Linear),
            ("crun version 1.22", Scale::Linear),
            ("crun version 1.23.1", Scale::Curve),
            ("youki version 0.7.0", Scale::Curve),
            ("runc version devel", Scale::Curve),
            ("", Scale::Curve),
        ] {
            assert_eq!(Scale::of_version(answer), scale, "{answer}");
        }
    }
}
