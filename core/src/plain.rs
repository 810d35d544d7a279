//! Texts that others wrote, safe to show.
//!
//! In: any text. Out: the same with control characters, and those that reorder
//! text, spelt out: nothing in it moves a terminal's cursor or pretends to
//! stand elsewhere.

/// The text as a part of one line.
#[must_use]
pub fn plain(text: &str) -> String {
    spelt(text, |_| false)
}

/// The text with its own line ends: a message.
#[must_use]
pub fn lines(text: &str) -> String {
    spelt(text, |c| c == '\n')
}

fn spelt(text: &str, kept: impl Fn(char) -> bool) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match hostile(c) && !kept(c) {
            true => safe.extend(c.escape_unicode()),
            false => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_is_spelt_out() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(plain("\u{202e}é·"), "\\u{202e}é·");
        assert_eq!(lines("a\nb\r\u{9b}2J"), "a\nb\\u{d}\\u{9b}2J");
    }
}
