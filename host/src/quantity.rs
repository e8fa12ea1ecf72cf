//! Sizes and times as people write them, in manifests and settings alike: `"64MiB"`, `"5s"`, or a
//! bare number of bytes or milliseconds. The lowest room: whoever has a setting enters here.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes: `1048576`, `"1MiB"`, `"64 kB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A time in milliseconds: `5000`, `"5s"`, `"100ms"`, `"2m"`, `"1h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Bytes {
    /// As a length in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Now, in milliseconds since 1970; 0 for a clock that is before.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.0)
    }
}

/// `number unit`, where a bare number means the first unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let factor = match unit {
        "" => 1,
        _ => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The number with the largest unit that divides it.
fn show(number: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let divides = |(_, factor): &&(&str, u64)| number != 0 && number.is_multiple_of(*factor);
    let (name, factor) =
        units.iter().filter(divides).max_by_key(|(_, factor)| *factor).unwrap_or(&units[0]);
    write!(f, "{}{name}", number / factor)
}

struct Quantity {
    units: &'static [(&'static str, u64)],
    expected: &'static str,
}

impl de::Visitor<'_> for Quantity {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse(text, self.units).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

macro_rules! quantity {
    ($name:ident, $units:ident, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(self.0, $units, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let quantity = Quantity { units: $units, expected: $expected };
                deserializer.deserialize_any(quantity).map(Self)
            }
        }
    };
}

quantity!(Bytes, BYTE_UNITS, "a size such as \"64MiB\"");
quantity!(Millis, TIME_UNITS, "a time such as \"5s\" or \"100ms\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_shown_as_it_is_read() {
        for (text, bytes) in [("1MiB", 1 << 20), ("1500B", 1500), ("64kB", 64_000), ("0B", 0)] {
            assert_eq!(parse(text, BYTE_UNITS), Some(bytes));
        }
        assert_eq!(Bytes(3 << 20).to_string(), "3MiB");
        assert_eq!(Millis(90_000).to_string(), "90s");
        assert_eq!(parse("5 S", TIME_UNITS), Some(5000));
        assert_eq!(parse(" 64 MiB ", BYTE_UNITS), Some(64 << 20));
    }

    #[test]
    fn nonsense_is_no_quantity() {
        for text in ["", "MiB", "-1s", "5 parsecs", "99999999999999999999GB", "1.5s"] {
            assert_eq!(parse(text, TIME_UNITS), None, "{text}");
        }
    }
}
