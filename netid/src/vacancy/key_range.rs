use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use thiserror::Error;

use crate::claim::{ClaimKey, KeyError};
use crate::hex;
use crate::id::NetId;
use crate::permutation::RangeError;
use crate::vni::VniRange;

/// A range of numbers as claim keys, both ends included.
///
/// | Constructor | Keys |
/// |---|---|
/// | [`vnis`](Self::vnis) | `vni/00000200` to `vni/16777215`, as [`ClaimKey::vni`] |
/// | [`ids`](Self::ids) | `id/00000000` to `id/ffffffff`, as [`ClaimKey::id`] |
/// | [`numbers`](Self::numbers) | `asn/4200000000` to `asn/4294967294` |
///
/// The numbers of one range have as many digits each, so their keys sort as the numbers do.
///
/// ```
/// use netid::{ClaimKey, KeyRange, Vni, VniRange};
///
/// let range = KeyRange::vnis(VniRange::DEFAULT);
/// let key = ClaimKey::vni(Vni::new(4096)?);
/// assert_eq!(range.key(4096), Some(key.clone()));
/// assert_eq!(range.number(&key), Some(4096));
/// assert_eq!(range.key(199), None);
///
/// let zone = range.with_scope("zone-b")?;
/// assert_eq!(zone.key(4096), Some(key.clone().with_scope("zone-b")?));
/// assert_eq!(zone.number(&key), None, "the same number elsewhere");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    prefix: Arc<str>,
    spelling: Spelling,
    min: u32,
    /// Not below `min`.
    max: u32,
}

impl KeyRange {
    /// The keys of VNIs.
    #[must_use]
    pub fn vnis(range: VniRange) -> Self {
        let (min, max) = (range.min().number(), range.max().number());
        Self { prefix: prefix(ClaimKey::VNI), spelling: Spelling::EightDecimal, min, max }
    }

    /// The keys of ids, from one to another; they may be the same.
    ///
    /// # Errors
    /// When the range is backwards.
    pub fn ids(min: NetId, max: NetId) -> Result<Self, RangeError> {
        let (min, max) = in_order(min.number(), max.number())?;
        Ok(Self { prefix: prefix(ClaimKey::ID), spelling: Spelling::EightHexadecimal, min, max })
    }

    /// The keys of numbers of another kind, from one to another; they may be the same. Each is written
    /// with ten decimal digits.
    ///
    /// # Errors
    /// When the range is backwards, or the kind is none or one with a spelling of its own: `id`,
    /// `address`, `port` and `vni`.
    ///
    /// ```
    /// use netid::KeyRange;
    ///
    /// let tables = KeyRange::numbers("route-table", 1_000, 1_999)?;
    /// assert_eq!(tables.key(1_001).unwrap().as_str(), "route-table/0000001001");
    /// assert_eq!(tables.capacity(), 1_000);
    /// # Ok::<(), netid::KeyRangeError>(())
    /// ```
    pub fn numbers(kind: &str, min: u32, max: u32) -> Result<Self, KeyRangeError> {
        let spelling = Spelling::TenDecimal;
        ClaimKey::new(kind, &[&spelling.write(min)])?;
        let (min, max) = in_order(min, max)?;
        Ok(Self { prefix: prefix(kind), spelling, min, max })
    }

    /// The same numbers within a scope, as [`ClaimKey::with_scope`] of each key.
    ///
    /// # Errors
    /// When the scope is empty or not printable ASCII without `/`, or the keys become too long.
    pub fn with_scope(self, scope: &str) -> Result<Self, KeyError> {
        let lowest = self.text(self.min).parse::<ClaimKey>()?.with_scope(scope)?;
        let (path, _) = lowest.as_str().rsplit_once('/').unwrap_or_default();
        Ok(Self { prefix: prefix(path), ..self })
    }

    /// The key of a number, or none if the number is not in the range.
    #[must_use]
    pub fn key(&self, number: u32) -> Option<ClaimKey> {
        // All keys are as long, and one has been checked.
        if self.contains(number) { self.text(number).parse().ok() } else { None }
    }

    /// The number of a key, or none if the range has no such key.
    #[must_use]
    pub fn number(&self, key: &ClaimKey) -> Option<u32> {
        let digits = key.as_str().strip_prefix(self.prefix())?;
        self.spelling.read(digits).filter(|&number| self.contains(number))
    }

    /// What all keys start with, up to the last `/`: for [`ClaimStore::list`](crate::ClaimStore::list).
    ///
    /// Other keys may start so too, such as those with another scope; [`number`](Self::number) tells
    /// them apart.
    ///
    /// ```
    /// use netid::{KeyRange, VniRange};
    ///
    /// let range = KeyRange::vnis(VniRange::DEFAULT);
    /// assert_eq!(range.prefix(), "vni/");
    /// assert_eq!(range.with_scope("zone-b")?.prefix(), "vni/zone-b/");
    /// # Ok::<(), netid::KeyError>(())
    /// ```
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The lowest number.
    #[must_use]
    pub const fn min(&self) -> u32 {
        self.min
    }

    /// The highest number.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// How many numbers there are: 1 to 2^32.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        (self.max.wrapping_sub(self.min) as u64).wrapping_add(1)
    }

    pub(super) const fn contains(&self, number: u32) -> bool {
        self.min <= number && number <= self.max
    }

    fn text(&self, number: u32) -> String {
        format!("{}{}", self.prefix, self.spelling.write(number))
    }
}

/// The lowest key and the number of the highest: `vni/00000200..=16777215`.
impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.text(self.min), self.spelling.write(self.max))
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRange({self})")
    }
}

/// What does not make a [`KeyRange`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyRangeError {
    /// The range is backwards.
    #[error(transparent)]
    Backwards(#[from] RangeError),
    /// The kind is none, or one with a spelling of its own.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// How numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Spelling {
    EightHexadecimal,
    EightDecimal,
    TenDecimal,
}

impl Spelling {
    fn write(self, number: u32) -> String {
        match self {
            Self::EightHexadecimal => format!("{number:08x}"),
            Self::EightDecimal => format!("{number:08}"),
            Self::TenDecimal => format!("{number:010}"),
        }
    }

    /// Reads what [`write`](Self::write) writes, and nothing else.
    fn read(self, digits: &str) -> Option<u32> {
        let len = match self {
            Self::EightHexadecimal | Self::EightDecimal => 8,
            Self::TenDecimal => 10,
        };
        if digits.len() != len {
            return None;
        }
        match self {
            Self::EightHexadecimal => hex::decode(digits.as_bytes())?.try_into().ok(),
            // The parser would take a sign.
            _ if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Self::EightDecimal | Self::TenDecimal => digits.parse().ok(),
        }
    }
}

fn prefix(path: &str) -> Arc<str> {
    format!("{path}/").into()
}

const fn in_order(min: u32, max: u32) -> Result<(u32, u32), RangeError> {
    if min <= max { Ok((min, max)) } else { Err(RangeError { first: min, last: max }) }
}
