use core::fmt::{Debug, Display};
use core::hash::Hash;
use core::ops::RangeInclusive;

use super::layout::{Layout, LayoutError, Reason};
use super::space_trait::{Index, Space};

/// A range of integers: VNIs, VLAN tags, vsock context ids, slots.
///
/// A pool of them starts with [`Policy::NextFit`](crate::Policy::NextFit) and no cooldown.
///
/// ```
/// use ippool::{IndexPool, Integers, LayoutError};
///
/// let vnis = Integers::new(200..=16_777_215)?;
/// let mut pool: IndexPool = IndexPool::new(vnis);
/// assert_eq!(pool.allocate((), Default::default()).unwrap().item, 200);
/// # Ok::<(), LayoutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integers<N: Integer = u32> {
    layout: Layout,
    _integer: core::marker::PhantomData<N>,
}

/// [`u32`] or [`u64`].
pub trait Integer: Copy + Ord + Hash + Debug + Display + Into<u128> + sealed::Integer {}

impl Integer for u32 {}
impl Integer for u64 {}

impl<N: Integer> Integers<N> {
    /// The integers of a range.
    ///
    /// # Errors
    /// When the range is backwards.
    pub fn new(range: RangeInclusive<N>) -> Result<Self, LayoutError> {
        let layout = Layout::new((*range.start()).into(), (*range.end()).into())?;
        Ok(Self { layout, _integer: core::marker::PhantomData })
    }

    /// Reserves a range of integers; it may overlap other reservations.
    ///
    /// # Errors
    /// When the range is backwards or not within the integers.
    pub fn with_excluded(self, range: RangeInclusive<N>) -> Result<Self, LayoutError> {
        let (first, last) = ((*range.start()).into(), (*range.end()).into());
        let layout = self.layout.reserve(first, last, Reason::Excluded)?;
        Ok(Self { layout, ..self })
    }

    /// How many integers can be handed out.
    #[must_use]
    pub const fn capacity(&self) -> u128 {
        self.layout.capacity()
    }
}

impl<N: Integer> Space for Integers<N> {
    type Item = N;
    type Index = N::Index;

    #[inline]
    fn layout(&self) -> &Layout {
        &self.layout
    }

    #[inline]
    fn ordinal(&self, item: N) -> Option<u128> {
        Some(item.into())
    }

    #[inline]
    fn item(&self, ordinal: u128) -> N {
        N::narrow(ordinal)
    }
}

mod sealed {
    use super::Index;

    #[expect(unnameable_types, reason = "seals the public trait")]
    pub trait Integer {
        type Index: Index;
        /// Keeps the low bits, which are all there are.
        fn narrow(ordinal: u128) -> Self;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the ordinals come from this type")]
    impl Integer for u32 {
        type Index = Self;

        #[inline]
        fn narrow(ordinal: u128) -> Self {
            ordinal as Self
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the ordinals come from this type")]
    impl Integer for u64 {
        type Index = u128;

        #[inline]
        fn narrow(ordinal: u128) -> Self {
            ordinal as Self
        }
    }
}
