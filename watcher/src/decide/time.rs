//! Time and proportions as `decide` uses them: whole numbers, so that equal
//! inputs give equal histories on every machine.

/// Milliseconds since any fixed moment, of a clock that never steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to this; 0 when it is not later.
    #[must_use]
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This, later.
    #[must_use]
    pub fn plus(self, milliseconds: u64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }

    /// Whether at least so many seconds lie between `earlier` and this.
    #[must_use]
    pub fn passed(self, earlier: Millis, seconds: u64) -> bool {
        self.since(earlier) >= seconds.saturating_mul(1_000)
    }
}

/// `n * by / of`, rounded down; the most where it does not fit, 0 where `of` is 0.
#[must_use]
pub fn scaled(n: u64, by: u64, of: u64) -> u64 {
    let wide = u128::from(n) * u128::from(by);
    match wide.checked_div(u128::from(of)) {
        Some(result) => u64::try_from(result).unwrap_or(u64::MAX),
        None => 0,
    }
}

/// `percent` of `n`.
#[must_use]
pub fn percent_of(percent: u64, n: u64) -> u64 {
    scaled(n, percent, 100)
}
