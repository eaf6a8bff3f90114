use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use rand::Rng;
use thiserror::Error;

use crate::hex;
use crate::id::NetId;

/// A machine's id in the dashed style: `vm-` and twelve digits, of which the first eight are its
/// claimed [`NetId`].
///
/// Twelve random digits cut to eight would collide unseen. Here the eight are claimed first and the
/// four others drawn behind them, so whatever is made from the first eight or more is unique.
///
/// ```
/// use netid::{NameScheme, NetId, Role, VmId};
///
/// let vm = VmId::new(NetId::from_static("a1b2c3d4"), 0xe5f6);
/// assert_eq!(vm.to_string(), "vm-a1b2c3d4e5f6");
/// assert_eq!("vm-a1b2c3d4e5f6".parse(), Ok(vm));
/// assert_eq!(NameScheme::DASHED.name(Role::Tap, vm).as_str(), "tap-a1b2c3d4e5");
/// assert_eq!(vm.net_id().mac().to_string(), "AA:FC:A1:B2:C3:D4");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId {
    net_id: NetId,
    tail: u16,
}

impl VmId {
    const PREFIX: &str = "vm-";

    /// The id of a machine that holds a network id.
    #[must_use]
    pub const fn new(net_id: NetId, tail: u16) -> Self {
        Self { net_id, tail }
    }

    /// A network id with the last four digits drawn.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "half of the draw is enough")]
    pub fn random<R: Rng + ?Sized>(net_id: NetId, rng: &mut R) -> Self {
        Self::new(net_id, rng.next_u32() as u16)
    }

    /// The first eight digits.
    #[must_use]
    pub const fn net_id(self) -> NetId {
        self.net_id
    }

    /// The last four digits.
    #[must_use]
    pub const fn tail(self) -> u16 {
        self.tail
    }

    /// The twelve digits as the little-endian bytes of a word.
    pub(crate) const fn word(self) -> u128 {
        let tail = hex::encode((self.tail as u32) << 16) & 0xffff_ffff;
        hex::encode(self.net_id.number()) as u128 | ((tail as u128) << 64)
    }
}

impl FromStr for VmId {
    type Err = VmIdError;

    #[expect(clippy::cast_possible_truncation, reason = "twelve digits are 32 and 16 bits")]
    fn from_str(text: &str) -> Result<Self, VmIdError> {
        text.strip_prefix(Self::PREFIX)
            .filter(|digits| digits.len() == 12)
            .and_then(|digits| hex::decode(digits.as_bytes()))
            .map(|number| Self::new(NetId::new((number >> 16) as u32), number as u16))
            .ok_or_else(|| VmIdError { text: text.into() })
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The prefix and the digits fill fifteen of the sixteen bytes.
        let prefix = u128::from(u32::from_le_bytes(*b"vm-\0"));
        let [text @ .., _] = (prefix | (self.word() << 24)).to_le_bytes();
        f.pad(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VmId({self})")
    }
}

/// A text that is not a machine's id in the dashed style.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a machine id: write `vm-` and twelve digits of 0-9 and a-f")]
#[non_exhaustive]
pub struct VmIdError {
    /// The refused text.
    pub text: Box<str>,
}
