//! In: a signal's name or number as people write it. Out: its number.

use std::str::FromStr;

use nix::libc;
use nix::sys::signal::Signal;

/// `KILL`, `SIGKILL`, `kill`, `9`, `RTMIN`, `RTMIN+3`, `SIGRTMAX-2`, `34`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(libc::SIGRTMIN(), rest);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(libc::SIGRTMAX(), rest);
    }
    Signal::from_str(&format!("SIG{name}"))
        .ok()
        .map(|signal| signal as i32)
}

fn real_time(base: i32, rest: &str) -> Option<i32> {
    let offset = if rest.is_empty() {
        0
    } else {
        rest.parse::<i32>().ok()?
    };
    let number = base.checked_add(offset)?;
    (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .contains(&number)
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        for text in ["KILL", "SIGKILL", "kill", "9"] {
            assert_eq!(number(text), Some(9), "{text}");
        }
        assert_eq!(number("RTMIN+2"), Some(libc::SIGRTMIN() + 2));
        assert_eq!(number("0"), Some(0));
        for text in ["", "NOSUCH", "-1", "999", "RTMIN-1", "RTMAX+1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
