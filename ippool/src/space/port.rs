use core::ops::RangeInclusive;

use super::layout::{Layout, LayoutError, Reason};
use super::space_trait::Space;
use crate::policy::Policy;

/// TCP or UDP ports: by default 22001..=32000, below the range from which Linux takes the source
/// ports of outgoing connections (32768 and up).
///
/// A pool of them starts with [`Policy::Lowest`] and no cooldown.
///
/// ```
/// use ippool::{LayoutError, Ports};
///
/// assert_eq!(Ports::default().capacity(), 10_000);
/// let few = Ports::new(8000..=8009)?.with_excluded(8003..=8004)?;
/// assert_eq!(few.capacity(), 8);
///
/// #[expect(clippy::reversed_empty_ranges, reason = "the mistake to be shown")]
/// let error = Ports::new(32000..=22001).unwrap_err();
/// assert_eq!(error.to_string(), "range 32000..=22001 is backwards: write the lower end first");
/// # Ok::<(), LayoutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    layout: Layout,
}

impl Ports {
    /// The range of [`Ports::default`].
    pub const DEFAULT: RangeInclusive<u16> = 22001..=32000;

    /// The ports of a range. Port 0, which the kernel reads as "any", is reserved if it is in it.
    ///
    /// # Errors
    /// When the range is backwards.
    pub fn new(range: RangeInclusive<u16>) -> Result<Self, LayoutError> {
        let layout = Layout::new((*range.start()).into(), (*range.end()).into())?;
        let layout =
            if *range.start() == 0 { layout.reserve(0, 0, Reason::Excluded)? } else { layout };
        Ok(Self { layout })
    }

    /// Reserves a range of ports; it may overlap other reservations.
    ///
    /// # Errors
    /// When the range is backwards or not within the ports.
    pub fn with_excluded(self, range: RangeInclusive<u16>) -> Result<Self, LayoutError> {
        let (first, last) = ((*range.start()).into(), (*range.end()).into());
        Ok(Self { layout: self.layout.reserve(first, last, Reason::Excluded)? })
    }

    /// How many ports can be handed out.
    #[must_use]
    pub const fn capacity(&self) -> u128 {
        self.layout.capacity()
    }
}

impl Default for Ports {
    fn default() -> Self {
        match Self::new(Self::DEFAULT) {
            Ok(ports) => ports,
            Err(_) => unreachable!("the default range is in order"),
        }
    }
}

impl Space for Ports {
    type Item = u16;
    type Index = u32;
    const POLICY: Policy = Policy::Lowest;

    #[inline]
    fn layout(&self) -> &Layout {
        &self.layout
    }

    #[inline]
    fn ordinal(&self, item: u16) -> Option<u128> {
        Some(item.into())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the layout ends at 2^16")]
    fn item(&self, ordinal: u128) -> u16 {
        ordinal as u16
    }
}
