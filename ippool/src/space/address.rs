use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use core::hash::Hash;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use super::layout::{Layout, Reason, Reservation};
use super::space_trait::{Index, Space};

/// The addresses of one prefix.
///
/// Reserved without asking: in IPv4, network and broadcast address, except in a /31 (RFC 3021)
/// and a /32; in IPv6, the subnet-router anycast address (RFC 4291), except in a /127 (RFC 6164)
/// and a /128. A pool of them starts with [`Policy::NextFit`](crate::Policy::NextFit) and a
/// cooldown of 60 seconds, which is how long a neighbour may believe its ARP entry.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ippool::Addresses;
///
/// let space = "172.16.0.0/16".parse::<Addresses>()?
///     .with_gateway(Ipv4Addr::new(172, 16, 0, 1))?
///     .with_excluded(Ipv4Addr::new(172, 16, 9, 0)..=Ipv4Addr::new(172, 16, 9, 255))?;
/// assert_eq!(space.capacity(), 65_536 - 3 - 256);
///
/// let outside = space.with_gateway(Ipv4Addr::new(10, 0, 0, 1)).unwrap_err();
/// assert_eq!(
///     outside.to_string(),
///     "gateway 10.0.0.1 is outside 172.16.0.0/16: choose an address within the prefix",
/// );
/// # Ok::<(), ippool::PrefixError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses<A: Address = Ipv4Addr> {
    prefix: A::Prefix,
    layout: Layout,
}

/// [`Ipv4Addr`] or [`Ipv6Addr`].
pub trait Address: Copy + Ord + Hash + Debug + Display + Into<IpAddr> + sealed::Family {
    /// [`Ipv4Net`] or [`Ipv6Net`].
    type Prefix: Copy + Eq + Hash + Debug + Into<IpNet> + FromStr;

    /// How a pool stores the index of an address.
    type Index: Index;

    #[doc(hidden)]
    fn bits(self) -> u128;
    /// The address with these low bits.
    #[doc(hidden)]
    fn from_bits(bits: u128) -> Self;
    #[doc(hidden)]
    fn trunc(prefix: Self::Prefix) -> Self::Prefix;
    /// The first and the last address as bits.
    #[doc(hidden)]
    fn ends(prefix: Self::Prefix) -> (u128, u128);
}

/// Why an [`Addresses`] cannot be as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The text is not a prefix of this address family.
    #[error(
        "not an {family} prefix: write address/length with a length of at most {max}, \
         as in {example}"
    )]
    Syntax {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The longest length of the family.
        max: u8,
        /// What one looks like.
        example: &'static str,
    },
    /// The address has bits set beyond the length.
    #[error("{prefix} has bits set beyond its length: write {expected}")]
    HostBits {
        /// What was given.
        prefix: IpNet,
        /// The prefix that contains it.
        expected: IpNet,
    },
    /// The gateway is not in the prefix.
    #[error("gateway {gateway} is outside {prefix}: choose an address within the prefix")]
    GatewayOutside {
        /// What was given.
        gateway: IpAddr,
        /// The prefix of the pool.
        prefix: IpNet,
    },
    /// The gateway is the network or the broadcast address.
    #[error("gateway {gateway} is the {} address of {prefix}: choose another", kind(*.reason))]
    GatewayReserved {
        /// What was given.
        gateway: IpAddr,
        /// The prefix of the pool.
        prefix: IpNet,
        /// What it is reserved as.
        reason: Reason,
    },
    /// An excluded range is not in the prefix.
    #[error("cannot exclude {first}..={last}: keep both ends within {prefix}")]
    ExclusionOutside {
        /// The first excluded address.
        first: IpAddr,
        /// The last excluded address.
        last: IpAddr,
        /// The prefix of the pool.
        prefix: IpNet,
    },
    /// An excluded range ends before it starts.
    #[error("cannot exclude {first}..={last}: write the lower end first")]
    ExclusionBackwards {
        /// The end that was given first.
        first: IpAddr,
        /// The end that was given last.
        last: IpAddr,
    },
    /// `::/0` with nothing reserved.
    #[error("{prefix} without a reservation cannot be counted: use a longer prefix")]
    TooLarge {
        /// What was given.
        prefix: IpNet,
    },
}

impl<A: Address> Addresses<A> {
    /// The addresses of a prefix, less those that cannot be given to a host.
    ///
    /// # Errors
    /// When bits are set beyond the length of the prefix.
    pub fn new(prefix: A::Prefix) -> Result<Self, PrefixError> {
        let (first, last) = Self::bounds(prefix)?;
        let mut reserved = Vec::new();
        if last.wrapping_sub(first) > 1 {
            reserved.push(Reservation { first, last: first, reason: A::FIRST });
            if let Some(reason) = A::LAST {
                reserved.push(Reservation { first: last, last, reason });
            }
        }
        Self::build(prefix, first, last, reserved)
    }

    /// All addresses of a prefix, network and broadcast address included, as for host routes.
    ///
    /// # Errors
    /// When bits are set beyond the length of the prefix; for `::/0`.
    pub fn whole(prefix: A::Prefix) -> Result<Self, PrefixError> {
        let (first, last) = Self::bounds(prefix)?;
        Self::build(prefix, first, last, Vec::new())
    }

    /// Reserves the address of the router.
    ///
    /// # Errors
    /// When it is outside the prefix, or is the network or broadcast address.
    pub fn with_gateway(self, gateway: A) -> Result<Self, PrefixError> {
        let ordinal = gateway.bits();
        let prefix = self.prefix.into();
        let taken = self.layout.reservations().iter().find(|block| block.first == ordinal);
        match taken.map(|block| block.reason) {
            Some(reason @ (Reason::Network | Reason::Broadcast | Reason::SubnetRouter)) => {
                return Err(PrefixError::GatewayReserved {
                    gateway: gateway.into(),
                    prefix,
                    reason,
                });
            }
            Some(Reason::Gateway | Reason::Excluded) | None => {}
        }
        let layout = self
            .layout
            .reserve(ordinal, ordinal, Reason::Gateway)
            .map_err(|_refused| PrefixError::GatewayOutside { gateway: gateway.into(), prefix })?;
        Ok(Self { prefix: self.prefix, layout })
    }

    /// Reserves a range of addresses; it may overlap other reservations.
    ///
    /// # Errors
    /// When the range is backwards or not within the prefix.
    pub fn with_excluded(self, range: RangeInclusive<A>) -> Result<Self, PrefixError> {
        let (first, last) = (*range.start(), *range.end());
        let (from, to) = (first.into(), last.into());
        if first > last {
            return Err(PrefixError::ExclusionBackwards { first: from, last: to });
        }
        let prefix = self.prefix.into();
        let layout = self
            .layout
            .reserve(first.bits(), last.bits(), Reason::Excluded)
            .map_err(|_refused| PrefixError::ExclusionOutside { first: from, last: to, prefix })?;
        Ok(Self { prefix: self.prefix, layout })
    }

    /// The prefix.
    #[must_use]
    pub const fn prefix(&self) -> A::Prefix {
        self.prefix
    }

    /// How many addresses can be handed out.
    #[must_use]
    pub const fn capacity(&self) -> u128 {
        self.layout.capacity()
    }

    fn bounds(prefix: A::Prefix) -> Result<(u128, u128), PrefixError> {
        let expected = A::trunc(prefix);
        if prefix != expected {
            let (prefix, expected) = (prefix.into(), expected.into());
            return Err(PrefixError::HostBits { prefix, expected });
        }
        Ok(A::ends(prefix))
    }

    fn build(
        prefix: A::Prefix,
        first: u128,
        last: u128,
        reserved: Vec<Reservation<u128>>,
    ) -> Result<Self, PrefixError> {
        // The range is in order and the reservations are its ends: only the size can be wrong.
        let layout = Layout::with_reservations(first, last, reserved)
            .map_err(|_refused| PrefixError::TooLarge { prefix: prefix.into() })?;
        Ok(Self { prefix, layout })
    }
}

impl<A: Address> Space for Addresses<A> {
    type Item = A;
    type Index = A::Index;
    const COOLDOWN: Duration = Duration::from_secs(60);

    #[inline]
    fn layout(&self) -> &Layout {
        &self.layout
    }

    #[inline]
    fn ordinal(&self, item: A) -> Option<u128> {
        Some(item.bits())
    }

    #[inline]
    fn item(&self, ordinal: u128) -> A {
        A::from_bits(ordinal)
    }
}

impl<A: Address> FromStr for Addresses<A> {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let syntax = PrefixError::Syntax { family: A::NAME, max: A::BITS, example: A::EXAMPLE };
        Self::new(text.parse().map_err(|_refused| syntax)?)
    }
}

const fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::Network => "network",
        Reason::Broadcast => "broadcast",
        Reason::SubnetRouter => "subnet-router anycast",
        Reason::Gateway => "gateway",
        Reason::Excluded => "excluded",
    }
}

impl Address for Ipv4Addr {
    type Prefix = Ipv4Net;
    type Index = u32;

    #[inline]
    fn bits(self) -> u128 {
        self.to_bits().into()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an IPv4 space ends at 2^32")]
    fn from_bits(bits: u128) -> Self {
        Self::from_bits(bits as u32)
    }

    fn trunc(prefix: Ipv4Net) -> Ipv4Net {
        prefix.trunc()
    }

    fn ends(prefix: Ipv4Net) -> (u128, u128) {
        (prefix.network().to_bits().into(), prefix.broadcast().to_bits().into())
    }
}

impl Address for Ipv6Addr {
    type Prefix = Ipv6Net;
    type Index = u128;

    #[inline]
    fn bits(self) -> u128 {
        self.to_bits()
    }

    #[inline]
    fn from_bits(bits: u128) -> Self {
        Self::from_bits(bits)
    }

    fn trunc(prefix: Ipv6Net) -> Ipv6Net {
        prefix.trunc()
    }

    fn ends(prefix: Ipv6Net) -> (u128, u128) {
        (prefix.network().to_bits(), prefix.broadcast().to_bits())
    }
}

mod sealed {
    use super::{Ipv4Addr, Ipv6Addr, Reason};

    /// What differs between the address families.
    #[expect(unnameable_types, reason = "seals the public trait")]
    pub trait Family {
        const NAME: &'static str;
        const BITS: u8;
        const EXAMPLE: &'static str;
        /// What the first address of a prefix is.
        const FIRST: Reason;
        /// What the last address of a prefix is, if not a host's.
        const LAST: Option<Reason>;
    }

    impl Family for Ipv4Addr {
        const NAME: &'static str = "IPv4";
        const BITS: u8 = 32;
        const EXAMPLE: &'static str = "172.16.0.0/16";
        const FIRST: Reason = Reason::Network;
        const LAST: Option<Reason> = Some(Reason::Broadcast);
    }

    impl Family for Ipv6Addr {
        const NAME: &'static str = "IPv6";
        const BITS: u8 = 128;
        const EXAMPLE: &'static str = "fd00:1234::/64";
        const FIRST: Reason = Reason::SubnetRouter;
        const LAST: Option<Reason> = None;
    }
}
