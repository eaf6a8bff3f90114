//! Numbers of 128 bits in formats that do not have them.
//!
//! In a text format a number is written as such up to 2^53, which everybody reads exactly, and as
//! text above. serde's buffered data (`flatten`, tagged enums, `serde_json::Value`) and many a
//! format and language know nothing larger than 64 bits. A binary format gets all 128.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

#[derive(Clone, Copy)]
struct Number(u128);

/// The largest number that a JSON reader in any language reads exactly, and one more.
const LIMIT: u64 = 1 << 53;

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_u128(self.0);
        }
        match u64::try_from(self.0) {
            Ok(small) if small < LIMIT => serializer.serialize_u64(small),
            _ => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(NumberOrText)
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

struct NumberOrText;

impl Visitor<'_> for NumberOrText {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 2^128 - 1, or one as text")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        u64::try_from(number).map_err(E::custom).and_then(|number| self.visit_u64(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map(Number).map_err(E::custom)
    }
}

pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*number).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    Number::deserialize(deserializer).map(|Number(number)| number)
}

/// Pairs of a number and something else.
pub(super) mod keyed {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer, Vec};

    pub(in super::super) fn serialize<T: Serialize, S: Serializer>(
        pairs: &[(u128, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(number, value)| (Number(*number), value)))
    }

    pub(in super::super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u128, T)>, D::Error> {
        let pairs = Vec::<(Number, T)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(Number(number), value)| (number, value)).collect())
    }
}

/// Pairs of numbers.
pub(super) mod ranges {
    use super::{Deserialize as _, Deserializer, Number, Serializer, Vec};

    pub(in super::super) fn serialize<S: Serializer>(
        ranges: &[(u128, u128)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ranges.iter().map(|&(first, last)| (Number(first), Number(last))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u128, u128)>, D::Error> {
        let ranges = Vec::<(Number, Number)>::deserialize(deserializer)?;
        Ok(ranges.into_iter().map(|(Number(first), Number(last))| (first, last)).collect())
    }
}
