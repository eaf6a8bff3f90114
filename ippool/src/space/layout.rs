use alloc::vec;
use alloc::vec::Vec;

use thiserror::Error;

/// The ordinals of a space: one range, less what is reserved.
///
/// What can be handed out is numbered from 0 without gaps, so that the engine never meets a
/// reserved item. Cost of a look-up: one comparison below the first reserved item in the middle,
/// beyond it logarithmic in the number of reserved stretches; for a reserved item linear in it. A
/// reserved range is never enumerated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    first: u128,
    last: u128,
    capacity: u128,
    reserved_len: u128,
    /// As given, in order of their first ordinal; they may overlap.
    reserved: Vec<Reservation<u128>>,
    /// What is left, ascending.
    usable: Vec<Stretch>,
    /// Ordinal and length of the first usable stretch, which is all there is in most spaces.
    head: (u128, u128),
}

/// Ordinals `first..=last`, which are the indexes from `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: u128,
    last: u128,
    index: u128,
}

/// Items that a pool never hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reservation<T> {
    /// The first reserved item.
    pub first: T,
    /// The last reserved item.
    pub last: T,
    /// Why it is reserved.
    pub reason: Reason,
}

/// Why an item is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reason {
    /// The network address of an IPv4 prefix of 30 bits or less.
    Network,
    /// The broadcast address of an IPv4 prefix of 30 bits or less.
    Broadcast,
    /// The subnet-router anycast address of an IPv6 prefix of 126 bits or less (RFC 4291, 2.6.1).
    SubnetRouter,
    /// The address of the router, usually the bridge.
    Gateway,
    /// Excluded by the user of the pool.
    Excluded,
}

/// Where an ordinal stands in a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It can be handed out; this is its index.
    Index(u128),
    /// It is reserved.
    Reserved(Reason),
    /// It is not of this space.
    Outside,
}

/// Why a [`Layout`] cannot be as asked for; the refused ordinals are handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The range ends before it starts.
    #[error("range {first}..={last} is backwards: write the lower end first")]
    Backwards {
        /// The end that was given first.
        first: u128,
        /// The end that was given last.
        last: u128,
    },
    /// A reserved range is not within the range of the pool.
    #[error("cannot reserve {first}..={last}: keep it within {min}..={max}")]
    Outside {
        /// The first reserved ordinal.
        first: u128,
        /// The last reserved ordinal.
        last: u128,
        /// The first ordinal of the space.
        min: u128,
        /// The last ordinal of the space.
        max: u128,
    },
    /// All of 2^128 ordinals: one more than can be counted.
    #[error("a pool of 2^128 items cannot be counted: leave at least one out")]
    TooLarge,
}

impl Layout {
    /// A layout of the ordinals `first..=last`, none reserved.
    ///
    /// # Errors
    /// When the range is backwards, or all of `u128`.
    pub fn new(first: u128, last: u128) -> Result<Self, LayoutError> {
        Self::with_reservations(first, last, Vec::new())
    }

    /// A layout of the ordinals `first..=last` less `reserved`, which may overlap.
    ///
    /// # Errors
    /// When a range is backwards or a reservation is not within `first..=last`, or when all of
    /// `u128` is left.
    pub fn with_reservations(
        first: u128,
        last: u128,
        mut reserved: Vec<Reservation<u128>>,
    ) -> Result<Self, LayoutError> {
        if first > last {
            return Err(LayoutError::Backwards { first, last });
        }
        for block in &reserved {
            if block.first > block.last {
                return Err(LayoutError::Backwards { first: block.first, last: block.last });
            }
            if block.first < first || block.last > last {
                let (min, max) = (first, last);
                let Reservation { first, last, .. } = *block;
                return Err(LayoutError::Outside { first, last, min, max });
            }
        }
        reserved.sort_by_key(|block| block.first);
        let usable = usable(first, last, &reserved)?;
        let capacity = match usable.last() {
            Some(stretch) => {
                stretch.index.checked_add(stretch.len()).ok_or(LayoutError::TooLarge)?
            }
            None => 0,
        };
        let head = usable.first().map_or((first, 0), |stretch| (stretch.first, stretch.len()));
        // The size of the space may be 2^128; the difference is right all the same, unless
        // everything is reserved there, which counts as one less.
        let reserved_len = match last.wrapping_sub(first).wrapping_sub(capacity).checked_add(1) {
            Some(len) => len,
            None if capacity == 0 => u128::MAX,
            None => 0,
        };
        Ok(Self { first, last, capacity, reserved_len, reserved, usable, head })
    }

    /// This layout with one more reservation, which may overlap others.
    ///
    /// # Errors
    /// When the range is backwards or not within the layout.
    pub fn reserve(mut self, first: u128, last: u128, reason: Reason) -> Result<Self, LayoutError> {
        self.reserved.push(Reservation { first, last, reason });
        Self::with_reservations(self.first, self.last, self.reserved)
    }

    /// The usable ordinals whose indexes are in `start..end`, numbered from 0. What is reserved in
    /// the whole is known to be so here, and counts for nothing.
    #[cfg(feature = "std")]
    pub(crate) fn part(&self, start: u128, end: u128) -> Self {
        let mut usable = Vec::new();
        let mut capacity = 0u128;
        for stretch in &self.usable {
            let from = start.max(stretch.index);
            let to = end.min(stretch.index.saturating_add(stretch.len()));
            if from < to {
                let first = stretch.first.wrapping_add(from.wrapping_sub(stretch.index));
                let len = to.wrapping_sub(from);
                let last = first.wrapping_add(len.wrapping_sub(1));
                usable.push(Stretch { first, last, index: capacity });
                capacity = capacity.wrapping_add(len);
            }
        }
        let head = usable.first().map_or((0, 0), |stretch| (stretch.first, stretch.len()));
        let (first, last) = (head.0, usable.last().map_or(head.0, |stretch| stretch.last));
        let reserved = self.reserved.clone();
        Self { first, last, capacity, reserved_len: 0, reserved, usable, head }
    }

    /// The first ordinal, reserved or not.
    #[must_use]
    pub const fn first(&self) -> u128 {
        self.first
    }

    /// The last ordinal, reserved or not.
    #[must_use]
    pub const fn last(&self) -> u128 {
        self.last
    }

    /// How many items can be handed out.
    #[must_use]
    pub const fn capacity(&self) -> u128 {
        self.capacity
    }

    /// How many items are reserved; an item under two reservations counts once.
    #[must_use]
    #[inline]
    pub const fn reserved(&self) -> u128 {
        self.reserved_len
    }

    /// The reservations, ascending; they may overlap.
    #[must_use]
    pub fn reservations(&self) -> &[Reservation<u128>] {
        &self.reserved
    }

    /// Where an ordinal stands.
    #[must_use]
    #[inline]
    pub fn place(&self, ordinal: u128) -> Place {
        match self.head_index(ordinal) {
            Some(index) => Place::Index(index),
            None => self.search(ordinal),
        }
    }

    /// The index of an ordinal of the first usable stretch.
    #[inline]
    pub(crate) const fn head_index(&self, ordinal: u128) -> Option<u128> {
        let (start, len) = self.head;
        let offset = ordinal.wrapping_sub(start);
        if offset < len { Some(offset) } else { None }
    }

    /// The ordinal of an index below the capacity; of a larger one, the last usable ordinal.
    #[must_use]
    #[inline]
    pub fn ordinal(&self, index: u128) -> u128 {
        let (start, len) = self.head;
        if index < len { start.wrapping_add(index) } else { self.search_ordinal(index) }
    }

    /// The index ranges, end exclusive, whose ordinals are consecutive.
    pub(crate) fn stretches(&self) -> impl DoubleEndedIterator<Item = (u128, u128)> + '_ {
        self.usable
            .iter()
            .map(|stretch| (stretch.index, stretch.index.saturating_add(stretch.len())))
    }

    /// The usable ordinals as inclusive ranges, ascending: what two layouts have to agree on for
    /// an index to mean the same in both.
    pub(crate) fn usable(&self) -> Vec<(u128, u128)> {
        self.usable.iter().map(|stretch| (stretch.first, stretch.last)).collect()
    }

    #[inline(never)]
    fn search_ordinal(&self, index: u128) -> u128 {
        let after = self.usable.partition_point(|stretch| stretch.index <= index);
        match self.usable.get(after.wrapping_sub(1)) {
            Some(stretch) => {
                stretch.first.saturating_add(index.wrapping_sub(stretch.index)).min(stretch.last)
            }
            None => self.last,
        }
    }

    #[inline(never)]
    fn search(&self, ordinal: u128) -> Place {
        let after = self.usable.partition_point(|stretch| stretch.first <= ordinal);
        if let Some(stretch) = self.usable.get(after.wrapping_sub(1))
            && stretch.contains(ordinal)
        {
            return Place::Index(stretch.index_of(ordinal));
        }
        let covers = |block: &&Reservation<u128>| (block.first..=block.last).contains(&ordinal);
        match self.reserved.iter().find(covers) {
            Some(block) => Place::Reserved(block.reason),
            None => Place::Outside,
        }
    }
}

impl Stretch {
    const fn contains(self, ordinal: u128) -> bool {
        self.first <= ordinal && ordinal <= self.last
    }

    const fn index_of(self, ordinal: u128) -> u128 {
        ordinal.wrapping_sub(self.first).wrapping_add(self.index)
    }

    /// Not the whole of `u128`.
    const fn len(self) -> u128 {
        self.last.wrapping_sub(self.first).wrapping_add(1)
    }
}

/// The gaps between the reservations, which are sorted and within `first..=last`.
fn usable(
    first: u128,
    last: u128,
    reserved: &[Reservation<u128>],
) -> Result<Vec<Stretch>, LayoutError> {
    let mut stretches = vec![];
    let mut index = 0;
    let mut add = |first: u128, last: u128| {
        let stretch = Stretch { first, last, index };
        index = last
            .wrapping_sub(first)
            .checked_add(1)
            .and_then(|len| len.checked_add(index))
            .ok_or(LayoutError::TooLarge)?;
        stretches.push(stretch);
        Ok(())
    };
    let mut next = Some(first);
    for block in reserved {
        let Some(start) = next else { break };
        if start < block.first {
            add(start, block.first.wrapping_sub(1))?;
        }
        if block.last >= start {
            next = block.last.checked_add(1);
        }
    }
    if let Some(start) = next.filter(|&start| start <= last) {
        add(start, last)?;
    }
    Ok(stretches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ordinals_are_inverse() {
        let block = |first, last| Reservation { first, last, reason: Reason::Excluded };
        for blocks in [
            vec![],
            vec![block(10, 10)],
            vec![block(30, 40), block(10, 12), block(11, 20)],
            vec![block(10, 40)],
            vec![block(40, 40), block(38, 39), block(12, 35), block(15, 16)],
        ] {
            let layout = Layout::with_reservations(10, 40, blocks.clone()).unwrap();
            let mut index = 0;
            for ordinal in 0..60 {
                let reserved = blocks.iter().any(|b| b.first <= ordinal && ordinal <= b.last);
                let expected = if !(10..=40).contains(&ordinal) {
                    Place::Outside
                } else if reserved {
                    Place::Reserved(Reason::Excluded)
                } else {
                    index += 1;
                    Place::Index(index - 1)
                };
                assert_eq!(layout.place(ordinal), expected, "{ordinal} in {blocks:?}");
                if let Place::Index(index) = expected {
                    assert_eq!(layout.ordinal(index), ordinal);
                }
            }
            assert_eq!(layout.capacity(), index);
            assert_eq!(layout.reserved(), 31 - index);
        }
    }

    #[test]
    fn the_largest_spaces_can_be_counted() {
        assert_eq!(Layout::new(0, u128::MAX), Err(LayoutError::TooLarge));
        let layout = Layout::new(1, u128::MAX).unwrap();
        assert_eq!((layout.capacity(), layout.reserved()), (u128::MAX, 0));
        let none = vec![Reservation { first: 0, last: u128::MAX, reason: Reason::Excluded }];
        let none = Layout::with_reservations(0, u128::MAX, none).unwrap();
        assert_eq!((none.capacity(), none.reserved()), (0, u128::MAX));
        let one = vec![Reservation { first: 0, last: 0, reason: Reason::Network }];
        let layout = Layout::with_reservations(0, u128::MAX, one).unwrap();
        assert_eq!((layout.capacity(), layout.reserved()), (u128::MAX, 1));
        assert_eq!(layout.place(u128::MAX), Place::Index(u128::MAX - 1));
        assert_eq!(layout.ordinal(u128::MAX - 1), u128::MAX);
    }
}
