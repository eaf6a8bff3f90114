use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// The name of a network device: 1 to 15 bytes, kept inline.
///
/// The kernel refuses an empty name, `.`, `..`, `/`, `:` and white space (`dev_valid_name` in
/// `net/core/dev.c`); it cuts a longer name silently when a TAP is made, and reads `%d` as "choose a
/// number". All of these are refused here, and so is everything that is not printable ASCII.
///
/// ```
/// use netid::DeviceName;
///
/// const UPLINK: DeviceName = DeviceName::from_static("eth0");
/// assert_eq!(UPLINK.as_str(), "eth0");
/// assert_eq!("eth0".parse(), Ok(UPLINK));
///
/// let error = "tap_a1b2c3d4e5f6".parse::<DeviceName>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "\"tap_a1b2c3d4e5f6\" cannot name a device: it has 16 bytes, use at most 15",
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName {
    /// NUL behind the name, so that the derived order is the order of the texts.
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl DeviceName {
    /// The most bytes a name can have: the kernel's `IFNAMSIZ` less the closing NUL.
    pub const MAX_LEN: usize = 15;

    /// The name of a literal.
    ///
    /// # Panics
    /// When the text breaks a rule; in a constant, that is a compile-time error. Use [`FromStr`] for
    /// text that is not a literal.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: a wrong literal is a programming error")]
    pub const fn from_static(text: &'static str) -> Self {
        match Self::check(text) {
            Ok(name) => name,
            Err(_) => panic!("a device name is 1 to 15 printable bytes without `/`, `:` and `%`"),
        }
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        let Some((text, _)) = self.bytes.split_at_checked(self.len as usize) else {
            unreachable!()
        };
        match str::from_utf8(text) {
            Ok(text) => text,
            Err(_) => unreachable!(),
        }
    }

    /// A name whose bytes have been checked, given as the little-endian bytes of a word.
    #[inline]
    pub(super) const fn from_word(word: u128, len: u8) -> Self {
        let [bytes @ .., _] = word.to_le_bytes();
        Self { bytes, len }
    }

    /// The reverse of [`from_word`](Self::from_word), for any text that is short enough.
    pub(super) const fn word(text: &str) -> Option<u128> {
        if text.len() > Self::MAX_LEN {
            return None;
        }
        let mut word = 0;
        let mut bytes = text.as_bytes();
        while let [rest @ .., last] = bytes {
            word = (word << 8) | *last as u128;
            bytes = rest;
        }
        Some(word)
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most fifteen")]
    const fn check(text: &str) -> Result<Self, DeviceNameFault> {
        let Some(word) = Self::word(text) else {
            return Err(DeviceNameFault::TooLong { len: text.len() });
        };
        match text.as_bytes() {
            [] => return Err(DeviceNameFault::Empty),
            b"." | b".." => return Err(DeviceNameFault::Reserved),
            _ => {}
        }
        let mut rest = text.as_bytes();
        while let [byte, behind @ ..] = rest {
            if !byte.is_ascii_graphic() || matches!(*byte, b'/' | b':' | b'%') {
                let at = text.len().wrapping_sub(rest.len());
                return Err(DeviceNameFault::Character { at });
            }
            rest = behind;
        }
        Ok(Self::from_word(word, text.len() as u8))
    }
}

impl FromStr for DeviceName {
    type Err = DeviceNameError;

    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        Self::check(text).map_err(|fault| DeviceNameError { name: text.into(), fault })
    }
}

impl TryFrom<&str> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: &str) -> Result<Self, DeviceNameError> {
        text.parse()
    }
}

impl AsRef<str> for DeviceName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A text that cannot name a device.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} cannot name a device: {fault}")]
#[non_exhaustive]
pub struct DeviceNameError {
    /// The refused text.
    pub name: Box<str>,
    /// Which rule it breaks.
    pub fault: DeviceNameFault,
}

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceNameFault {
    /// There is nothing.
    #[error("it is empty, use at least one character")]
    Empty,
    /// It is longer than [`DeviceName::MAX_LEN`].
    #[error("it has {len} bytes, use at most 15")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// It is `.` or `..`.
    #[error("it means a folder, use another")]
    Reserved,
    /// It holds something that does not belong there.
    #[error("byte {at} (from 0) is not allowed, use printable ASCII without `/`, `:` and `%`")]
    Character {
        /// Where, in bytes from the start.
        at: usize,
    },
}
