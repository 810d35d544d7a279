//! Time and proportions as `decide` uses them: whole numbers, so that equal
//! inputs give equal histories on every machine.

use std::fmt;
use std::num::NonZeroU64;

/// Milliseconds since any fixed moment, of a clock that never steps. One more
/// is kept, so that `Option<Millis>` is no larger: packs hold many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(NonZeroU64);

impl Millis {
    /// So many milliseconds after that moment.
    #[must_use]
    pub const fn at(milliseconds: u64) -> Millis {
        match NonZeroU64::new(milliseconds.saturating_add(1)) {
            Some(next) => Millis(next),
            None => Millis(NonZeroU64::MAX),
        }
    }

    /// Milliseconds since that moment.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get() - 1
    }

    /// Milliseconds from `earlier` to this; 0 when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// This, later.
    #[must_use]
    pub const fn plus(self, milliseconds: u64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }

    /// Whether at least so many seconds lie between `earlier` and this.
    #[must_use]
    pub const fn passed(self, earlier: Millis, seconds: u64) -> bool {
        self.since(earlier) >= seconds.saturating_mul(1_000)
    }
}

impl Default for Millis {
    fn default() -> Millis {
        Millis::at(0)
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Millis({})", self.number())
    }
}

/// `n * by / of`, rounded down; the most where it does not fit, 0 where `of` is 0.
#[must_use]
pub fn scaled(n: u64, by: u64, of: u64) -> u64 {
    // Nearly always: a division of 128 bits is a call, and this is not.
    if let Some(product) = n.checked_mul(by) {
        return product.checked_div(of).unwrap_or(0);
    }
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
