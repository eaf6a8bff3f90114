use core::fmt;

use thiserror::Error;

use super::device::DeviceName;
use super::role::Role;

/// What the names of a [`NameScheme`](crate::NameScheme) start with, role by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes<'a> {
    /// For [`Role::Tap`].
    pub tap: &'a str,
    /// For [`Role::VethHost`].
    pub veth_host: &'a str,
    /// For [`Role::VethNamespace`].
    pub veth_namespace: &'a str,
    /// For [`Role::Bridge`].
    pub bridge: &'a str,
    /// For [`Role::Namespace`].
    pub namespace: &'a str,
}

/// A checked prefix, as the little-endian bytes of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) word: u128,
    pub(super) len: u8,
}

impl Prefix {
    /// Checks the prefix of a role, behind which there must be room for so many digits.
    #[expect(clippy::cast_possible_truncation, reason = "at most fifteen")]
    pub(super) const fn check(role: Role, text: &str, digits: usize) -> Result<Self, SchemeError> {
        let len = text.len();
        let max = DeviceName::MAX_LEN.saturating_sub(digits);
        let (Some(word), true) = (DeviceName::word(text), len <= max) else {
            return Err(SchemeError::TooLong { role, len, max });
        };
        match text.as_bytes() {
            [] => return Err(SchemeError::Empty { role }),
            [first, ..] if !first.is_ascii_alphabetic() => return Err(SchemeError::Start { role }),
            [.., b'0'..=b'9' | b'a'..=b'f'] => return Err(SchemeError::End { role }),
            _ => {}
        }
        let mut rest = text.as_bytes();
        while let [byte, behind @ ..] = rest {
            if !byte.is_ascii_alphanumeric() && !matches!(*byte, b'-' | b'_') {
                let at = len.wrapping_sub(rest.len());
                return Err(SchemeError::Character { role, at });
            }
            rest = behind;
        }
        Ok(Self { word, len: len as u8 })
    }

    /// Whether one of the two starts with the other.
    pub(super) const fn overlaps(self, other: Self) -> bool {
        let shorter = if self.len < other.len { self } else { other };
        shorter.starts(self.word) && shorter.starts(other.word)
    }

    /// Whether a name, given as a word, starts with the prefix.
    pub(super) const fn starts(self, word: u128) -> bool {
        word & !(u128::MAX << self.shift()) == self.word
    }

    /// How many bits the prefix takes in a word.
    #[inline]
    pub(super) const fn shift(self) -> u32 {
        (self.len as u32).wrapping_mul(8)
    }
}

/// The text.
impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DeviceName::from_word(self.word, self.len).as_str().fmt(f)
    }
}

/// Why prefixes do not make a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// A prefix is empty, so that any eight digits would look like a name.
    #[error("the prefix of the {role} is empty; use at least one letter")]
    Empty {
        /// Whose prefix.
        role: Role,
    },
    /// A prefix leaves no room for the digits.
    #[error("the prefix of the {role} has {len} bytes, at most {max} leave room for the digits")]
    TooLong {
        /// Whose prefix.
        role: Role,
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        max: usize,
    },
    /// A prefix starts with something that tools take for an option or a number.
    #[error("the prefix of the {role} does not start with a letter; put one first")]
    Start {
        /// Whose prefix.
        role: Role,
    },
    /// A prefix ends with a hexadecimal digit, so that nobody sees where the id starts.
    #[error("the prefix of the {role} ends with a digit of 0-9 or a-f; put `_` or `-` behind it")]
    End {
        /// Whose prefix.
        role: Role,
    },
    /// A prefix holds a character that the kernel refuses or treats specially.
    #[error("byte {at} (from 0) of the prefix of the {role} is none of A-Z, a-z, 0-9, `-` and `_`")]
    Character {
        /// Whose prefix.
        role: Role,
        /// Where, in bytes from the start.
        at: usize,
    },
    /// A prefix starts with another or is the same, so that a pattern for one matches both.
    #[error("the prefixes of the {first} and the {second} start alike; make them differ earlier")]
    Overlap {
        /// One role.
        first: Role,
        /// The other.
        second: Role,
    },
}
