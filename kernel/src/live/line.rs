//! In: what a file of a cgroup says, and what it should. Out: whether that is
//! the same, although the kernel rounds and words it in its own way.

use packrank_core::cpus::CpuSet;

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The controller, which on version 1 has a folder of its own.
    pub(super) controller: &'static str,
    pub(super) file: String,
    pub(super) text: String,
    pub(super) form: Form,
}

/// How a file words what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Words that stand for themselves.
    Words,
    /// Bytes, which the kernel keeps in whole pages; `max` or -1 is none.
    Bytes,
    /// A list of CPUs.
    Cpus,
    /// A weight, perhaps behind `default`.
    Weight,
    /// A line for each device: `8:0 rbps=1 wbps=max …`.
    Rates,
    /// A line for each device: `8:0 1`; none is 0.
    Rate,
}

/// The kernel's page.
const PAGE: u64 = 4096;
/// What version 1 says for no limit: the largest multiple of a page, or near.
const NO_LIMIT: u64 = 1 << 62;

impl Line {
    /// Whether the file says so already.
    pub(super) fn is_so(&self, current: &str) -> bool {
        let (wanted, current) = (self.text.trim(), current.trim());
        match self.form {
            Form::Words => wanted.split_whitespace().eq(current.split_whitespace()),
            Form::Bytes => bytes(wanted) == bytes(current),
            Form::Cpus => cpus(wanted) == cpus(current),
            Form::Weight => weight(wanted) == weight(current),
            Form::Rates => {
                let (device, words) = wanted.split_once(' ').unwrap_or((wanted, ""));
                let has = |word: &str| match device_line(current, device) {
                    Some(mut line) => line.any(|w| w == word),
                    None => word.ends_with("=max"),
                };
                words.split_whitespace().all(has)
            }
            Form::Rate => {
                let (device, rate) = wanted.split_once(' ').unwrap_or((wanted, "0"));
                let found = device_line(current, device).and_then(|mut words| words.next());
                found.unwrap_or("0") == rate
            }
        }
    }

    /// What the file says that this line is about.
    pub(super) fn part<'c>(&self, current: &'c str) -> &'c str {
        let device = self.text.split(' ').next().unwrap_or_default();
        match self.form {
            Form::Rates | Form::Rate => {
                let mut lines = current.lines();
                lines.find(|line| starts(line, device)).unwrap_or("")
            }
            _ => current.trim(),
        }
    }
}

fn starts(line: &str, device: &str) -> bool {
    line.split(' ').next() == Some(device)
}

fn device_line<'c>(current: &'c str, device: &str) -> Option<impl Iterator<Item = &'c str>> {
    let line = current.lines().find(|line| starts(line, device))?;
    Some(line.split_whitespace().skip(1))
}

/// `None` is no limit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let bytes: u64 = text.parse().ok()?;
    (bytes < NO_LIMIT).then_some(bytes / PAGE * PAGE)
}

fn cpus(text: &str) -> Option<CpuSet> {
    match text {
        "" => Some(CpuSet::default()),
        text => text.parse().ok(),
    }
}

fn weight(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("default ").unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_in_other_words() {
        let so = |form, wanted: &str, current: &str| {
            let line = Line {
                controller: "",
                file: String::new(),
                text: wanted.to_owned(),
                form,
            };
            line.is_so(current)
        };
        for (form, wanted, current) in [
            (Form::Words, "50000 100000", "50000 100000\n"),
            (Form::Bytes, "483183820", "483180544\n"),
            (Form::Bytes, "max", "max\n"),
            (Form::Bytes, "-1", "9223372036854771712\n"),
            (Form::Cpus, "0,1,2", "0-2\n"),
            (Form::Cpus, "", "\n"),
            (Form::Weight, "50", "default 50\n8:0 10\n"),
            (Form::Weight, "50", "50\n"),
            (
                Form::Rates,
                "8:0 rbps=7",
                "8:16 rbps=1\n8:0 rbps=7 wbps=max riops=1 wiops=2\n",
            ),
            (Form::Rates, "8:0 rbps=max", "\n"),
            (Form::Rate, "8:0 7", "8:0 7\n"),
            (Form::Rate, "8:0 0", "\n"),
        ] {
            assert!(so(form, wanted, current), "{form:?} {wanted} {current}");
        }
        for (form, wanted, current) in [
            (Form::Bytes, "8192", "4096"),
            (Form::Bytes, "0", "max"),
            (Form::Cpus, "0", "0-1"),
            (Form::Weight, "5", "default 50"),
            (Form::Rates, "8:0 rbps=7", "8:0 rbps=70 wbps=max"),
            (Form::Rates, "8:0 rbps=7", ""),
            (Form::Rates, "8:0 rbps=max wbps=1", "8:0 rbps=max wbps=max"),
            (Form::Rate, "8:0 7", "18:0 7"),
        ] {
            assert!(!so(form, wanted, current), "{form:?} {wanted} {current}");
        }
    }
}
