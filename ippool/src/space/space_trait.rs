use core::fmt::{Debug, Display};
use core::hash::Hash;
use core::time::Duration;

use super::layout::Layout;
use crate::policy::Policy;

/// A finite set of items that a [`Pool`](crate::Pool) can hand out.
///
/// Every item has an *ordinal*, and the ordinals of a space are consecutive; the [`Layout`] says
/// which of them are reserved. Implement it to pool something of your own.
///
/// ```
/// use ippool::{Layout, LayoutError, Policy, Pool, Space};
///
/// /// Guest slots, written as letters.
/// struct Letters(Layout);
///
/// impl Space for Letters {
///     type Item = char;
///     type Index = u32;
///     const POLICY: Policy = Policy::Lowest;
///
///     fn layout(&self) -> &Layout {
///         &self.0
///     }
///     fn ordinal(&self, item: char) -> Option<u128> {
///         Some(u32::from(item).into())
///     }
///     fn item(&self, ordinal: u128) -> char {
///         u8::try_from(ordinal).map_or('?', char::from)
///     }
/// }
///
/// let letters = Letters(Layout::new(u128::from('a'), u128::from('z'))?);
/// let mut pool: Pool<Letters> = Pool::new(letters);
/// assert_eq!(pool.allocate((), Default::default()).unwrap().item, 'a');
/// # Ok::<(), LayoutError>(())
/// ```
pub trait Space {
    /// What is handed out.
    type Item: Copy + Ord + Debug + Display;

    /// How the pool stores an index: [`u32`] where at most 2^32 items exist, else [`u128`].
    type Index: Index;

    /// The policy a pool of this space starts with.
    const POLICY: Policy = Policy::NextFit;

    /// The cooldown a pool of this space starts with.
    const COOLDOWN: Duration = Duration::ZERO;

    /// The range of ordinals and what of it is reserved. It must not change.
    fn layout(&self) -> &Layout;

    /// The ordinal of an item; `None` or an ordinal outside the layout if it is not of this space.
    fn ordinal(&self, item: Self::Item) -> Option<u128>;

    /// The item with this ordinal, which lies within the layout; for
    /// [`Pool::restore_moved`](crate::Pool::restore_moved), within that of the snapshot.
    fn item(&self, ordinal: u128) -> Self::Item;
}

/// The unsigned integers a pool can store its indexes as.
pub trait Index: Copy + Ord + Hash + Debug + Into<u128> + sealed::Number {}

impl Index for u32 {}
impl Index for u128 {}

pub(super) mod sealed {
    #[expect(unnameable_types, reason = "seals the public trait")]
    pub trait Number: Sized {
        const ZERO: Self;
        const MAX: u128;

        /// Keeps the low bits; the pool passes only what fits.
        fn narrow(wide: u128) -> Self;

        /// The index after this one, if there can be one.
        fn next(self) -> Option<Self>;
    }

    impl Number for u32 {
        const ZERO: Self = 0;
        const MAX: u128 = Self::MAX as u128;

        #[inline]
        #[expect(clippy::cast_possible_truncation, reason = "callers pass only what fits")]
        fn narrow(wide: u128) -> Self {
            wide as Self
        }

        #[inline]
        fn next(self) -> Option<Self> {
            self.checked_add(1)
        }
    }

    impl Number for u128 {
        const ZERO: Self = 0;
        const MAX: Self = Self::MAX;

        #[inline]
        fn narrow(wide: u128) -> Self {
            wide
        }

        #[inline]
        fn next(self) -> Option<Self> {
            self.checked_add(1)
        }
    }
}
