//! The five classes, lowest first.
//!
//! In: the text of an annotation or of a flag. Out: a [`Priority`], ordered so
//! that `Scavenger < Low < Normal < High < Critical`.

use std::fmt;
use std::str::FromStr;

/// A container's class. The order is the order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Only what is left.
    Scavenger,
    /// Best effort.
    Low,
    /// Fair share.
    Normal,
    /// Preferential.
    High,
    /// Guaranteed.
    Critical,
}

impl Priority {
    /// Every class, lowest first.
    pub const ALL: [Priority; 5] = [
        Priority::Scavenger,
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Critical,
    ];

    /// The word users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Priority::Scavenger => "scavenger",
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
            Priority::Critical => "critical",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of critical, high, normal, low, scavenger")]
pub struct UnknownClass;

impl FromStr for Priority {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Priority::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or(UnknownClass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back_and_critical_is_highest() {
        for class in Priority::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert_eq!(Priority::ALL.into_iter().max(), Some(Priority::Critical));
        assert_eq!("Critical".parse::<Priority>(), Err(UnknownClass));
    }
}
