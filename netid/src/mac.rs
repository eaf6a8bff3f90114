use macaddr::MacAddr6;
use thiserror::Error;

use crate::id::NetId;

impl NetId {
    /// The first two bytes of every MAC made from an id.
    ///
    /// `AA:FC` is what the Firecracker world uses. The second-lowest bit of the first byte is set and
    /// the lowest is not: a locally administered unicast address, which no vendor's can equal.
    pub const MAC_PREFIX: [u8; 2] = [0xaa, 0xfc];

    /// The MAC: [`MAC_PREFIX`](Self::MAC_PREFIX) and the four bytes of the id.
    ///
    /// ```
    /// use netid::NetId;
    ///
    /// let mac = NetId::from_static("a1b2c3d4").mac();
    /// assert_eq!(mac.to_string(), "AA:FC:A1:B2:C3:D4");
    /// ```
    #[must_use]
    #[expect(clippy::many_single_char_names, reason = "the six bytes have no other names")]
    #[inline]
    pub const fn mac(self) -> MacAddr6 {
        let [a, b] = Self::MAC_PREFIX;
        let [c, d, e, f] = self.number().to_be_bytes();
        MacAddr6::new(a, b, c, d, e, f)
    }

    /// The id that a MAC was made from.
    ///
    /// # Errors
    /// When the MAC does not start with [`MAC_PREFIX`](Self::MAC_PREFIX), and so belongs to something
    /// else.
    ///
    /// ```
    /// use netid::NetId;
    ///
    /// let id = NetId::from_static("a1b2c3d4");
    /// assert_eq!(NetId::from_mac(id.mac()), Ok(id));
    /// assert!(NetId::from_mac("52:54:00:15:7a:e3".parse()?).is_err());
    /// # Ok::<(), macaddr::ParseError>(())
    /// ```
    pub const fn from_mac(mac: MacAddr6) -> Result<Self, MacError> {
        let [a, b, id @ ..] = mac.into_array();
        let [first, second] = Self::MAC_PREFIX;
        if a == first && b == second {
            Ok(Self::new(u32::from_be_bytes(id)))
        } else {
            Err(MacError { mac })
        }
    }
}

/// A MAC that was not made from a network id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{mac} was not made from a network id: those start with AA:FC")]
#[non_exhaustive]
pub struct MacError {
    /// The refused MAC.
    pub mac: MacAddr6,
}
