use core::fmt::{Debug, Display};
use core::hash::Hash;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use super::layout::{Layout, LayoutError, Reason};
use super::space_trait::{Index, Space};

/// The blocks of one length that a prefix is cut into, one for each host or network.
///
/// A pool of them starts with [`Policy::NextFit`](crate::Policy::NextFit) and no cooldown.
///
/// ```
/// use ippool::{SubnetError, SubnetPool, Subnets};
///
/// let space = Subnets::new("10.0.0.0/8".parse().unwrap(), 24)?
///     .with_excluded("10.0.0.0/16".parse().unwrap())?;
/// let mut pool: SubnetPool = SubnetPool::new(space);
/// assert_eq!(pool.allocate((), Default::default()).unwrap().item, "10.1.0.0/24".parse().unwrap());
/// # Ok::<(), SubnetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnets<P: Prefix = Ipv4Net> {
    prefix: P,
    block_len: u8,
    layout: Layout,
}

/// [`Ipv4Net`] or [`Ipv6Net`].
pub trait Prefix: Copy + Ord + Hash + Debug + Display + Into<IpNet> + sealed::Prefix {}

impl Prefix for Ipv4Net {}
impl Prefix for Ipv6Net {}

/// Why a [`Subnets`] cannot be as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubnetError {
    /// The address has bits set beyond the length.
    #[error("{prefix} has bits set beyond its length: write {expected}")]
    HostBits {
        /// What was given.
        prefix: IpNet,
        /// The prefix that contains it.
        expected: IpNet,
    },
    /// The blocks do not fit into the prefix.
    #[error("cannot cut {prefix} into /{block_len}: choose a length of {min}..={max}")]
    BlockLen {
        /// The prefix.
        prefix: IpNet,
        /// The length that was asked for.
        block_len: u8,
        /// The shortest possible length.
        min: u8,
        /// The longest possible length.
        max: u8,
    },
    /// What is to be excluded is not a part of the prefix.
    #[error("cannot exclude {excluded}: it is not within {prefix}")]
    ExclusionOutside {
        /// What was given.
        excluded: IpNet,
        /// The prefix.
        prefix: IpNet,
    },
    /// `::/0` cut into addresses.
    #[error("{prefix} cut into addresses cannot be counted: use a longer prefix")]
    TooLarge {
        /// What was given.
        prefix: IpNet,
    },
}

impl<P: Prefix> Subnets<P> {
    /// The blocks of `block_len` bits within a prefix.
    ///
    /// # Errors
    /// When bits are set beyond the length of the prefix, when a block would be larger than the
    /// prefix or longer than an address, and for `::/0` cut into addresses.
    pub fn new(prefix: P, block_len: u8) -> Result<Self, SubnetError> {
        let expected = prefix.truncated();
        if prefix != expected {
            let (prefix, expected) = (prefix.into(), expected.into());
            return Err(SubnetError::HostBits { prefix, expected });
        }
        let (min, max) = (prefix.len(), P::BITS);
        if block_len < min || block_len > max {
            let prefix = prefix.into();
            return Err(SubnetError::BlockLen { prefix, block_len, min, max });
        }
        let layout = blocks(prefix, block_len)
            .map_err(|_refused| SubnetError::TooLarge { prefix: prefix.into() })?;
        Ok(Self { prefix, block_len, layout })
    }

    /// Reserves every block that overlaps `excluded`, which may be larger or smaller than a block.
    ///
    /// # Errors
    /// When it is not within the prefix, or has bits set beyond its length.
    pub fn with_excluded(self, excluded: P) -> Result<Self, SubnetError> {
        let expected = excluded.truncated();
        if excluded != expected {
            let (prefix, expected) = (excluded.into(), expected.into());
            return Err(SubnetError::HostBits { prefix, expected });
        }
        let (first, last) = excluded.block_range(self.block_len);
        let (prefix, block_len) = (self.prefix, self.block_len);
        let layout = if excluded.len() >= prefix.len() {
            self.layout.reserve(first, last, Reason::Excluded).ok()
        } else {
            None
        };
        let refused =
            || SubnetError::ExclusionOutside { excluded: excluded.into(), prefix: prefix.into() };
        Ok(Self { prefix, block_len, layout: layout.ok_or_else(refused)? })
    }

    /// The prefix.
    #[must_use]
    pub const fn prefix(&self) -> P {
        self.prefix
    }

    /// The length of every block, in bits.
    #[must_use]
    pub const fn block_len(&self) -> u8 {
        self.block_len
    }

    /// How many blocks can be handed out.
    #[must_use]
    pub const fn capacity(&self) -> u128 {
        self.layout.capacity()
    }
}

impl<P: Prefix> Space for Subnets<P> {
    type Item = P;
    type Index = P::Index;

    #[inline]
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn ordinal(&self, item: P) -> Option<u128> {
        let whole = item.len() == self.block_len && item == item.truncated();
        whole.then(|| item.block_range(self.block_len).0)
    }

    fn item(&self, ordinal: u128) -> P {
        P::block(ordinal, self.block_len)
    }
}

fn blocks<P: Prefix>(prefix: P, block_len: u8) -> Result<Layout, LayoutError> {
    let (first, last) = prefix.block_range(block_len);
    Layout::new(first, last)
}

mod sealed {
    use super::{Index, Ipv4Net, Ipv6Net};
    use core::net::{Ipv4Addr, Ipv6Addr};

    #[expect(unnameable_types, reason = "seals the public trait")]
    pub trait Prefix: Sized {
        type Index: Index;
        const BITS: u8;

        fn len(&self) -> u8;
        fn truncated(self) -> Self;
        /// The numbers of the first and the last block of `block_len` bits that it touches.
        fn block_range(self, block_len: u8) -> (u128, u128);
        /// The block with this number; `block_len` is at most [`Self::BITS`].
        fn block(number: u128, block_len: u8) -> Self;
    }

    impl Prefix for Ipv4Net {
        type Index = u32;
        const BITS: u8 = 32;

        fn len(&self) -> u8 {
            self.prefix_len()
        }

        fn truncated(self) -> Self {
            self.trunc()
        }

        fn block_range(self, block_len: u8) -> (u128, u128) {
            let shift = u32::from(32u8.saturating_sub(block_len));
            let number = |address: Ipv4Addr| {
                u128::from(address.to_bits()).checked_shr(shift).unwrap_or_default()
            };
            (number(self.network()), number(self.broadcast()))
        }

        #[expect(clippy::cast_possible_truncation, reason = "the number came from 32 bits")]
        fn block(number: u128, block_len: u8) -> Self {
            let shift = u32::from(32u8.saturating_sub(block_len));
            let bits = number.checked_shl(shift).unwrap_or_default() as u32;
            Self::new_assert(Ipv4Addr::from_bits(bits), block_len)
        }
    }

    impl Prefix for Ipv6Net {
        type Index = u128;
        const BITS: u8 = 128;

        fn len(&self) -> u8 {
            self.prefix_len()
        }

        fn truncated(self) -> Self {
            self.trunc()
        }

        fn block_range(self, block_len: u8) -> (u128, u128) {
            let shift = u32::from(128u8.saturating_sub(block_len));
            let number =
                |address: Ipv6Addr| address.to_bits().checked_shr(shift).unwrap_or_default();
            (number(self.network()), number(self.broadcast()))
        }

        fn block(number: u128, block_len: u8) -> Self {
            let shift = u32::from(128u8.saturating_sub(block_len));
            let bits = number.checked_shl(shift).unwrap_or_default();
            Self::new_assert(Ipv6Addr::from_bits(bits), block_len)
        }
    }
}
