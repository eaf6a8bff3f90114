use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use rand::{Rng, RngExt as _};
use thiserror::Error;

/// A VXLAN network identifier (VNI): 24 bits (RFC 7348).
///
/// ```
/// use netid::Vni;
///
/// let vni = Vni::new(4096)?;
/// assert_eq!(vni.number(), 4096);
/// assert_eq!("4096".parse(), Ok(vni));
/// assert!(Vni::new(1 << 24).is_err());
/// assert!("04096".parse::<Vni>().is_err(), "one spelling for each VNI");
/// # Ok::<(), netid::VniError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct Vni(u32);

impl Vni {
    /// The lowest.
    pub const MIN: Self = Self(0);
    /// The highest, 16,777,215.
    pub const MAX: Self = Self((1 << 24) - 1);

    /// The VNI of a number.
    ///
    /// # Errors
    /// When the number has more than 24 bits.
    pub const fn new(number: u32) -> Result<Self, VniError> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(VniError::TooLarge { number }) }
    }

    /// The VNI as a number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for Vni {
    type Err = VniError;

    fn from_str(text: &str) -> Result<Self, VniError> {
        let canonical = match text.as_bytes() {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        text.parse()
            .ok()
            .filter(|_| canonical)
            .and_then(|number| Self::new(number).ok())
            .ok_or_else(|| VniError::Text { text: text.into() })
    }
}

impl TryFrom<u32> for Vni {
    type Error = VniError;

    fn try_from(number: u32) -> Result<Self, VniError> {
        Self::new(number)
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vni({})", self.0)
    }
}

/// What is not a VNI.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VniError {
    /// A number of more than 24 bits.
    #[error("{number} is not a VNI: use at most 16777215")]
    TooLarge {
        /// The refused number.
        number: u32,
    },
    /// A text that is not the decimal form of a VNI.
    #[error("{text:?} is not a VNI: write a number of at most 16777215 without leading zeros")]
    Text {
        /// The refused text.
        text: Box<str>,
    },
}

/// A range of VNIs, both ends included: by default 200..=16777215.
///
/// ```
/// use netid::{Vni, VniRange};
///
/// let range = VniRange::new(Vni::new(5000)?, Vni::new(5009)?)?;
/// assert_eq!(range.capacity(), 10);
/// assert!(range.contains(Vni::new(5009)?));
/// assert_eq!(VniRange::default().to_string(), "200..=16777215");
/// assert!(VniRange::new(Vni::MAX, Vni::MIN).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::serial::Ends"))]
pub struct VniRange {
    min: Vni,
    max: Vni,
}

impl VniRange {
    /// The range of [`VniRange::default`]. What lies below 200 is left to networks made by hand.
    pub const DEFAULT: Self = Self { min: Vni(200), max: Vni::MAX };

    /// The VNIs from one to another; they may be the same.
    ///
    /// # Errors
    /// When the range is backwards.
    pub const fn new(min: Vni, max: Vni) -> Result<Self, VniRangeError> {
        if min.0 <= max.0 { Ok(Self { min, max }) } else { Err(VniRangeError { min, max }) }
    }

    /// The lowest.
    #[must_use]
    pub const fn min(self) -> Vni {
        self.min
    }

    /// The highest.
    #[must_use]
    pub const fn max(self) -> Vni {
        self.max
    }

    /// How many VNIs there are: at least one.
    #[must_use]
    pub const fn capacity(self) -> u32 {
        self.max.0.wrapping_sub(self.min.0).wrapping_add(1)
    }

    /// Whether a VNI is in the range.
    #[must_use]
    pub const fn contains(self, vni: Vni) -> bool {
        self.min.0 <= vni.0 && vni.0 <= self.max.0
    }

    /// A VNI drawn from a source of randomness, each of the range with the same probability.
    #[must_use]
    pub fn random<R: Rng + ?Sized>(self, rng: &mut R) -> Vni {
        Vni(rng.random_range(self.min.0..=self.max.0))
    }
}

impl Default for VniRange {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for VniRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.min, self.max)
    }
}

/// A range of VNIs that is backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("range {min}..={max} is backwards: write the lower end first")]
#[non_exhaustive]
pub struct VniRangeError {
    /// What was to be the lowest.
    pub min: Vni,
    /// What was to be the highest.
    pub max: Vni,
}
