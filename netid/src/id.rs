use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use rand::Rng;
use thiserror::Error;

use crate::hex;

/// A network id: 32 bits, written as eight lower-case hexadecimal digits.
///
/// Device names and the MAC of a machine are functions of it, so claiming the id
/// ([`ClaimKey::id`](crate::ClaimKey::id)) claims all of them.
///
/// Beware of formats that guess types: `12345678` and `1e234567` are ids, and YAML reads them as
/// numbers unless they are quoted.
///
/// ```
/// use netid::NetId;
///
/// const ID: NetId = NetId::from_static("a1b2c3d4");
/// assert_eq!(ID, NetId::new(0xa1b2_c3d4));
/// assert_eq!("a1b2c3d4".parse(), Ok(ID));
/// assert_eq!(ID.to_string(), "a1b2c3d4");
/// assert!("A1B2C3D4".parse::<NetId>().is_err(), "one spelling for each id");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(u32);

impl NetId {
    /// How many digits an id has.
    pub const DIGITS: usize = 8;

    /// The id of a number.
    #[must_use]
    #[inline]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The id of a literal.
    ///
    /// # Panics
    /// When the text is not eight lower-case hexadecimal digits; in a constant, that is a compile-time
    /// error. Use [`FromStr`] for text that is not a literal.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: a wrong literal is a programming error")]
    pub const fn from_static(text: &'static str) -> Self {
        match Self::decode(text) {
            Some(id) => id,
            None => panic!("a network id is eight digits of 0-9 and a-f"),
        }
    }

    /// An id drawn from a source of randomness, each with the same probability.
    ///
    /// Of 10,000 ids drawn so, two are equal with a probability of 1.2 %, of 100,000 with 69 %: claim
    /// the id and draw again when it is taken, or use an [`IdPermutation`](crate::IdPermutation).
    ///
    /// ```
    /// use netid::NetId;
    /// use rand::{SeedableRng, rngs::StdRng};
    ///
    /// let mut rng = StdRng::seed_from_u64(7);
    /// assert_ne!(NetId::random(&mut rng), NetId::random(&mut rng));
    /// ```
    #[must_use]
    #[inline]
    pub fn random<R: Rng + ?Sized>(rng: &mut R) -> Self {
        Self(rng.next_u32())
    }

    /// The id as a number.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The eight digits, in ASCII.
    ///
    /// ```
    /// use netid::NetId;
    ///
    /// assert_eq!(NetId::new(0xfeed).digits(), *b"0000feed");
    /// ```
    #[must_use]
    #[inline]
    pub const fn digits(self) -> [u8; Self::DIGITS] {
        hex::encode(self.0).to_le_bytes()
    }

    #[expect(clippy::cast_possible_truncation, reason = "eight digits are 32 bits")]
    const fn decode(text: &str) -> Option<Self> {
        if text.len() != Self::DIGITS {
            return None;
        }
        match hex::decode(text.as_bytes()) {
            Some(number) => Some(Self(number as u32)),
            None => None,
        }
    }
}

impl FromStr for NetId {
    type Err = NetIdError;

    fn from_str(text: &str) -> Result<Self, NetIdError> {
        Self::decode(text).ok_or_else(|| NetIdError { text: text.into() })
    }
}

impl fmt::Display for NetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        f.pad(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for NetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetId({self})")
    }
}

impl From<u32> for NetId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<NetId> for u32 {
    fn from(id: NetId) -> Self {
        id.0
    }
}

/// A text that is not a network id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a network id: write eight digits of 0-9 and a-f")]
#[non_exhaustive]
pub struct NetIdError {
    /// The refused text.
    pub text: Box<str>,
}
