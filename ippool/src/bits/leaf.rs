/// What is known about one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Free, and never held as far as is known.
    Fresh,
    /// Handed out.
    Held,
    /// Given back and not yet free.
    Cooling,
    /// Free, and held before.
    Spent,
}

/// Both planes of 64 neighbouring indexes, side by side so that one operation touches one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Set: not available to a search.
    pub(super) taken: u64,
    /// Set: was given back since it was last handed out.
    pub(super) released: u64,
}

impl Leaf {
    /// Every index handed out.
    pub(super) const HELD: Self = Self { taken: u64::MAX, released: 0 };

    /// The leaf that ends a space of `capacity` indexes: what lies beyond counts as taken, so that
    /// no search needs to compare with the capacity.
    pub(super) const fn padded(capacity: u128) -> Self {
        Self { taken: padding(capacity), released: 0 }
    }

    #[inline]
    pub(super) const fn state(self, bit: u64) -> State {
        match (self.taken & bit != 0, self.released & bit != 0) {
            (false, false) => State::Fresh,
            (true, false) => State::Held,
            (true, true) => State::Cooling,
            (false, true) => State::Spent,
        }
    }

    /// Makes the index of a bit held that is free; whether none is free any more.
    #[inline]
    pub(super) const fn take(&mut self, bit: u64) -> bool {
        self.taken |= bit;
        // Not written without need: both words in one go would be stored as a pair, of which the
        // next search could not load one until the store is done.
        if self.released & bit != 0 {
            self.released &= !bit;
        }
        self.taken == u64::MAX
    }

    /// The bits of indexes that are handed out; padding included.
    pub(super) const fn held(self) -> u64 {
        self.taken & !self.released
    }
}

/// The bits of the last leaf of a space of `capacity` indexes that stand for no index.
pub(super) const fn padding(capacity: u128) -> u64 {
    let used = low6(capacity);
    if used == 0 { 0 } else { u64::MAX.wrapping_shl(used) }
}

/// The position of `index` in its word.
pub(super) const fn low6(index: u128) -> u32 {
    (index & 63) as u32
}

/// The single bit of `index` in its word.
pub(super) const fn bit(index: u32) -> u64 {
    1u64.wrapping_shl(index)
}

/// All bits from `index` upwards in its word.
pub(super) const fn from(index: u32) -> u64 {
    u64::MAX.wrapping_shl(index)
}

/// The first unset bit of a word, as an index within it; 64 if there is none.
pub(super) const fn first_unset(word: u64) -> u32 {
    word.trailing_ones()
}

/// The position of the unset bit that has `rank` unset ones below it.
pub(super) fn nth_unset(word: u64, rank: u128) -> u32 {
    let mut free = !word;
    for _ in 0..rank {
        free &= free.wrapping_sub(1);
    }
    free.trailing_zeros()
}
