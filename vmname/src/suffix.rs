//! Suffixes: what makes two names of one base differ.

use crate::text::{Inline, key_traits};
use core::str::FromStr;
use rand::Rng;
use rand::seq::IndexedRandom as _;

/// The characters behind the last hyphen of a name: 1 to 10 of `a` to `z` and `0` to `9`.
///
/// Ten, so that base and suffix together cannot look like a UUID, whose last group has twelve.
///
/// ```
/// use vmname::{Suffix, SuffixError};
///
/// assert_eq!("a1b2".parse::<Suffix>()?, "a1b2");
/// assert_eq!("a1-2".parse::<Suffix>(), Err(SuffixError::Sign { position: 3 }));
/// # Ok::<(), SuffixError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suffix {
    text: Inline<{ Self::MAX_LEN }>,
}

impl Suffix {
    /// The most characters of a suffix.
    pub const MAX_LEN: usize = 10;

    /// Checks a suffix.
    ///
    /// # Errors
    ///
    /// If it is empty, too long, or holds anything but lower-case letters and digits.
    pub const fn new(text: &str) -> Result<Self, SuffixError> {
        let text = text.as_bytes();
        if let Err(error) = check_length(text.len()) {
            return Err(error);
        }
        match check_signs(text) {
            Ok(()) => Ok(Self { text: Inline::copy(text) }),
            Err(error) => Err(error),
        }
    }

    /// The suffix as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.text.as_str()
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

key_traits!(Suffix);

impl FromStr for Suffix {
    type Err = SuffixError;

    fn from_str(text: &str) -> Result<Self, SuffixError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Suffix {
    type Error = SuffixError;

    fn try_from(text: &str) -> Result<Self, SuffixError> {
        Self::new(text)
    }
}

/// Which signs a suffix is drawn from, and how many of them.
///
/// # Which one
///
/// How soon two of many names with the same base draw the same suffix:
///
/// | suffix | combinations | even odds of a collision at | pairs among 10,000 |
/// |---|---|---|---|
/// | 4 of 16, [`HEX`](Self::HEX) | 65,536 | 302 names | 763 |
/// | 4 of 27 | 531,441 | 859 names | 94 |
/// | 5 of 16 | 1,048,576 | 1,206 names | 48 |
/// | 5 of 27, [`VOWELLESS`](Self::VOWELLESS) | 14,348,907 | 4,461 names | 3.5 |
///
/// A collision within the scope of uniqueness costs a further attempt of the claim, no more; one
/// between two scopes is seen by nobody but DNS (see [`Scope`](crate::Scope)). Hexadecimal suffixes
/// spell a word now and then (`dead`, `beef`); the vowel-free signs, those of Kubernetes, do not.
///
/// ```
/// use vmname::SuffixScheme;
///
/// const SIX: SuffixScheme = match SuffixScheme::new("bcdfghjklmnpqrstvwxz2456789", 6) {
///     Ok(scheme) => scheme,
///     Err(_) => panic!(),
/// };
/// assert_eq!(SIX.combinations(), 387_420_489);
/// assert_eq!(SuffixScheme::HEX.with_length(8)?.combinations(), 1 << 32);
/// # Ok::<(), vmname::SuffixError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SuffixScheme {
    /// At least two, all different, in the order given.
    signs: Inline<36>,
    /// 1 to [`Suffix::MAX_LEN`].
    length: usize,
}

impl SuffixScheme {
    /// Four hexadecimal digits: the default.
    pub const HEX: Self = Self::from_static("0123456789abcdef", 4);

    /// Five consonants or digits that cannot be mistaken for a vowel.
    pub const VOWELLESS: Self = Self::from_static("bcdfghjklmnpqrstvwxz2456789", 5);

    /// A scheme of its own: `length` characters, each one of `signs` with the same probability.
    ///
    /// # Errors
    ///
    /// If there are fewer than two signs, one is no lower-case letter or digit or comes twice, or
    /// the length is not in 1 to 10.
    pub const fn new(signs: &str, length: usize) -> Result<Self, SuffixError> {
        let signs = signs.as_bytes();
        if let Err(error) = check_signs(signs) {
            return Err(error);
        }
        if let Err(error) = check_distinct(signs) {
            return Err(error);
        }
        if signs.len() < 2 {
            return Err(SuffixError::TooFewSigns { count: signs.len() });
        }
        Self { signs: Inline::copy(signs), length: 1 }.with_length(length)
    }

    /// The same signs, another length.
    ///
    /// # Errors
    ///
    /// If the length is not in 1 to 10.
    pub const fn with_length(self, length: usize) -> Result<Self, SuffixError> {
        match check_length(length) {
            Ok(()) => Ok(Self { length, ..self }),
            Err(error) => Err(error),
        }
    }

    const fn from_static(signs: &'static str, length: usize) -> Self {
        match Self::new(signs, length) {
            Ok(scheme) => scheme,
            Err(_) => unreachable!(),
        }
    }

    /// The signs, in the order given.
    #[must_use]
    pub const fn signs(&self) -> &str {
        self.signs.as_str()
    }

    /// How many characters a suffix has.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// How many different suffixes there are.
    #[must_use]
    pub const fn combinations(&self) -> u64 {
        // At most 36 to the power of 10, which is below 2 to the power of 52.
        let mut combinations = 1;
        let mut left = self.length;
        while left > 0 {
            combinations *= self.signs.len() as u64;
            left -= 1;
        }
        combinations
    }

    /// Draws a suffix.
    ///
    /// ```
    /// use rand::{SeedableRng as _, rngs::StdRng};
    /// use vmname::SuffixScheme;
    ///
    /// let suffix = SuffixScheme::HEX.draw(&mut StdRng::seed_from_u64(7));
    /// assert_eq!(suffix.as_str().len(), 4);
    /// ```
    #[must_use]
    pub fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> Suffix {
        self.draw_of_length(self.length, rng)
    }

    /// Draws a longer suffix than usual; at most [`Suffix::MAX_LEN`] characters.
    pub(crate) fn draw_of_length<R: Rng + ?Sized>(&self, length: usize, rng: &mut R) -> Suffix {
        let mut text = Inline::new();
        while text.len() < length.min(Suffix::MAX_LEN)
            && let Some(sign) = self.signs.as_bytes().choose(rng)
        {
            text.push(*sign);
        }
        Suffix { text }
    }

    /// A suffix of the right length that stands for one not drawn yet: `xxxx`.
    pub(crate) const fn placeholder(&self) -> Suffix {
        let mut text = Inline::new();
        while text.len() < self.length {
            text.push(b'x');
        }
        Suffix { text }
    }
}

impl Default for SuffixScheme {
    fn default() -> Self {
        Self::HEX
    }
}

impl core::fmt::Debug for SuffixScheme {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SuffixScheme")
            .field("signs", &self.signs())
            .field("length", &self.length)
            .finish()
    }
}

/// Why a text is no [`Suffix`] or no alphabet for one. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SuffixError {
    /// The length is not in 1 to [`Suffix::MAX_LEN`].
    #[error("a suffix of {length} characters: use 1 to {}", Suffix::MAX_LEN)]
    Length {
        /// The refused length.
        length: usize,
    },
    /// There is something else than a lower-case letter or a digit.
    #[error("a sign at position {position} of a suffix is refused: use only a-z and 0-9")]
    Sign {
        /// Where it is.
        position: usize,
    },
    /// A sign of an alphabet is there already.
    #[error("the sign {sign:?} at position {position} is there already: name each sign once")]
    Repeated {
        /// The sign.
        sign: char,
        /// Where it is for the second time.
        position: usize,
    },
    /// An alphabet cannot tell two suffixes apart.
    #[error("an alphabet of {count} signs: name at least 2")]
    TooFewSigns {
        /// How many there are.
        count: usize,
    },
}

const fn check_length(length: usize) -> Result<(), SuffixError> {
    if matches!(length, 1..=Suffix::MAX_LEN) { Ok(()) } else { Err(SuffixError::Length { length }) }
}

const fn check_signs(signs: &[u8]) -> Result<(), SuffixError> {
    let mut rest = signs;
    let mut position = 0;
    while let [sign, tail @ ..] = rest {
        position += 1;
        if !matches!(sign, b'a'..=b'z' | b'0'..=b'9') {
            return Err(SuffixError::Sign { position });
        }
        rest = tail;
    }
    Ok(())
}

const fn check_distinct(signs: &[u8]) -> Result<(), SuffixError> {
    let mut seen = 0u128;
    let mut rest = signs;
    let mut position = 0;
    while let [sign, tail @ ..] = rest {
        position += 1;
        let bit = 1 << *sign;
        if seen & bit != 0 {
            return Err(SuffixError::Repeated { sign: *sign as char, position });
        }
        seen |= bit;
        rest = tail;
    }
    Ok(())
}
