//! A short text on the stack: what is written to a kernel file, without asking
//! for memory while there is none.
//!
//! In: numbers and names. Out: at most [`Line::ROOM`] bytes of text; what does
//! not fit is an error of the write that wanted it.

use std::fmt::{self, Write};

use packrank_core::record::Amount;

/// A short text.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    bytes: [u8; Line::ROOM],
    len: usize,
}

impl Line {
    /// Bytes it holds: `io.max`'s longest line is 27 and a device.
    pub const ROOM: usize = 96;

    /// What `text` says; empty, which no kernel file takes, when it is longer.
    #[must_use]
    pub fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line {
            bytes: [0; Line::ROOM],
            len: 0,
        };
        if line.write_fmt(text).is_err() {
            line.len = 0;
        }
        line
    }

    /// An amount, or the word for none.
    pub(super) fn amount(amount: Amount, unlimited: &str) -> Line {
        match amount {
            Amount::At(n) => Line::of(format_args!("{n}")),
            Amount::Unlimited => Line::of(format_args!("{unlimited}")),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole `str`s were ever appended.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_nothing_rather_than_a_part() {
        assert_eq!(Line::of(format_args!("{} {}", 8, "max")).as_str(), "8 max");
        let most = "x".repeat(Line::ROOM);
        assert_eq!(Line::of(format_args!("{most}")).as_str(), most);
        assert_eq!(Line::of(format_args!("{most}1")).as_str(), "");
    }
}
