//! Figures of a record, by key.
//!
//! In: JSON values in base units, `null` for unlimited, percentages in percent
//! of one CPU. Out: an [`Amount`], percentages in thousandths.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::key::{Key, Unit};
use crate::value::Value;

/// A limit: a number in its key's base unit, or none. Unlimited is the most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// So much; percentages in thousandths.
    At(u64),
    /// No limit.
    #[default]
    Unlimited,
}

impl Amount {
    /// The number, if there is a limit.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Amount::At(n) => Some(n),
            Amount::Unlimited => None,
        }
    }
}

/// Values by key, as `explain --format json` prints them. Values that are not
/// plain numbers, and keys this version does not know, are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<String, Json>);

impl Figures {
    /// The number under `key`; `None` when absent or no number.
    #[must_use]
    pub fn amount(&self, key: Key) -> Option<Amount> {
        let json = self.0.get(key.name())?;
        if json.is_null() {
            return Some(Amount::Unlimited);
        }
        if key.unit() == Unit::PercentOfCpu {
            return thousandths(json).map(Amount::At);
        }
        json.as_u64().map(Amount::At)
    }

    /// What [`Figures::put`] was given, for a key whose value is no number:
    /// a score, files, or one of a few words. `None` when absent.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<Value> {
        let json = self.0.get(key.name())?;
        match key.unit() {
            Unit::Score => i16::try_from(json.as_i64()?).ok().map(Value::Score),
            Unit::Files => Some(Value::Files {
                soft: json.get("soft")?.as_u64()?,
                hard: json.get("hard")?.as_u64()?,
            }),
            _ => Value::parse(key, json.as_str()?).ok(),
        }
    }

    /// Sets a plan's value.
    pub fn put(&mut self, key: Key, value: &Value) {
        self.0.insert(key.name().to_owned(), value.json(key));
    }

    /// Sets a number.
    pub fn put_amount(&mut self, key: Key, amount: Amount) {
        let value = match amount {
            Amount::At(n) => Value::Number(n),
            Amount::Unlimited => Value::Unlimited,
        };
        self.put(key, &value);
    }

    /// Takes a value out; whether there was one.
    pub fn remove(&mut self, key: Key) -> bool {
        self.0.remove(key.name()).is_some()
    }

    /// Every name and value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Percent to thousandths of a percent; nothing for what no quota can be.
fn thousandths(json: &Json) -> Option<u64> {
    if let Some(whole) = json.as_u64() {
        return whole.checked_mul(1_000);
    }
    // 10^9 % is a thousand times the largest machine; below it a float is exact.
    let percent = json.as_f64().filter(|p| (0.0..1e9).contains(p))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 10^12 fits"
    )]
    let rounded = (percent * 1_000.0).round() as u64;
    Some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn figures(json: Json) -> Figures {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn numbers_read_in_base_units() {
        let figures = figures(json!({
            "memory.limit": 1024, "cpu.quota": 12.5, "pids": null,
            "io.read-bps": -1, "oom.score": "x", "later.key": [1],
        }));
        assert_eq!(figures.amount(Key::MemoryLimit), Some(Amount::At(1024)));
        assert_eq!(figures.amount(Key::CpuQuota), Some(Amount::At(12_500)));
        assert_eq!(figures.amount(Key::Pids), Some(Amount::Unlimited));
        assert_eq!(figures.amount(Key::IoReadBps), None);
        assert_eq!(figures.amount(Key::OomScore), None);
        assert_eq!(figures.amount(Key::MemoryHigh), None);
    }

    #[test]
    fn what_is_no_number_reads_back_too() {
        let mut figures = Figures::default();
        for (key, text) in [
            (Key::OomScore, "-999"),
            (Key::Nofile, "1024/4096"),
            (Key::IoPriority, "best-effort 7"),
            (Key::IoPriority, "idle"),
            (Key::Security, "restricted"),
            (Key::NetworkDscp, "LE"),
        ] {
            let value = Value::parse(key, text).unwrap();
            figures.put(key, &value);
            assert_eq!(figures.value(key), Some(value));
        }
        assert_eq!(figures.value(Key::Hugepages), None);
    }

    #[test]
    fn what_is_put_reads_back() {
        let mut figures = Figures::default();
        for amount in [Amount::At(150_500), Amount::At(100_000), Amount::Unlimited] {
            figures.put_amount(Key::CpuQuota, amount);
            assert_eq!(figures.amount(Key::CpuQuota), Some(amount));
        }
        assert!(figures.remove(Key::CpuQuota) && figures.is_empty());
    }

    #[test]
    fn absurd_percentages_are_no_amount() {
        for absurd in [
            json!(1e300),
            json!(-3.5),
            json!(u64::MAX),
            json!("5"),
            json!({}),
        ] {
            assert_eq!(
                figures(json!({ "cpu.quota": absurd })).amount(Key::CpuQuota),
                None
            );
        }
    }
}
