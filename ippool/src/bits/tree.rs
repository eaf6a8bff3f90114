use alloc::collections::BTreeMap;

use super::leaf::{Leaf, State, bit, first_unset, from, low6, nth_unset, padding};
use super::runs::Runs;

/// The engine for spaces too large for one bitmap: only words that are neither all free nor all
/// held are stored.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    capacity: u128,
    /// Taken indexes, padding not counted.
    taken: u128,
    /// Every leaf that is neither [`Leaf::default`] nor [`Leaf::HELD`], and the padded one.
    leaves: BTreeMap<u128, Leaf>,
    /// The numbers of all leaves of which nothing is free, stored or not.
    full: Runs,
    memory: Memory,
}

/// Whether a leaf that is free again remembers which of its indexes were held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// A leaf without anything taken is dropped.
    Frugal,
    /// Nothing is forgotten.
    Complete,
}

impl Tree {
    pub(super) fn new(capacity: u128) -> Self {
        let mut leaves = BTreeMap::new();
        if padding(capacity) != 0 {
            leaves.insert(capacity >> 6, Leaf::padded(capacity));
        }
        Self { capacity, taken: 0, leaves, full: Runs::default(), memory: Memory::Frugal }
    }

    pub(super) const fn remember(&mut self) {
        self.memory = Memory::Complete;
    }

    /// How many words are stored.
    #[cfg(test)]
    pub(super) fn stored(&self) -> usize {
        self.leaves.len()
    }

    /// Makes every spent index fresh, and remembers no more than at first.
    pub(super) fn forget(&mut self) {
        self.memory = Memory::Frugal;
        self.leaves.retain(|_, leaf| {
            leaf.released &= leaf.taken;
            leaf.taken != 0
        });
    }

    pub(super) const fn capacity(&self) -> u128 {
        self.capacity
    }

    pub(super) const fn taken(&self) -> u128 {
        self.taken
    }

    pub(super) fn leaf(&self, number: u128) -> Leaf {
        match self.leaves.get(&number) {
            Some(&leaf) => leaf,
            None if self.full.end_of(number).is_some() => Leaf::HELD,
            None => Leaf::default(),
        }
    }

    pub(super) fn state(&self, index: u128) -> State {
        self.leaf(index >> 6).state(bit(low6(index)))
    }

    /// Makes `index` held, whatever it was.
    pub(super) fn hold(&mut self, index: u128) {
        let mask = bit(low6(index));
        self.update(index >> 6, |leaf| {
            leaf.taken |= mask;
            leaf.released &= !mask;
        });
    }

    /// Makes all indexes of `count` leaves held, from leaf `number` on, none of which was touched
    /// and none of which is padded.
    pub(super) fn hold_words(&mut self, number: u128, count: u128) {
        if let Some(but_one) = count.checked_sub(1) {
            self.full.insert_run(number, number.wrapping_add(but_one));
            self.taken = self.taken.wrapping_add(count << 6);
        }
    }

    /// Makes a held `index` cooling.
    pub(super) fn rest(&mut self, index: u128) {
        let mask = bit(low6(index));
        self.update(index >> 6, |leaf| leaf.released |= mask);
    }

    /// Makes a held or cooling `index` free.
    pub(super) fn vacate(&mut self, index: u128) {
        let mask = bit(low6(index));
        self.update(index >> 6, |leaf| {
            leaf.taken &= !mask;
            leaf.released |= mask;
        });
    }

    /// The lowest free index that is not below `start`.
    pub(super) fn next_free(&self, start: u128) -> Option<u128> {
        if start >= self.capacity {
            return None;
        }
        let mut number = start >> 6;
        let free = !self.leaf(number).taken & from(low6(start));
        if free != 0 {
            return Some((number << 6) | u128::from(free.trailing_zeros()));
        }
        number = number.wrapping_add(1);
        if let Some(last) = self.full.end_of(number) {
            number = last.wrapping_add(1);
        }
        if number > self.last_leaf() {
            return None;
        }
        Some((number << 6) | u128::from(first_unset(self.leaf(number).taken)))
    }

    /// The free index that has `rank` free ones below it; walks over every stored leaf below it.
    pub(super) fn nth_free(&self, mut rank: u128) -> Option<u128> {
        let mut number = 0;
        loop {
            // Leaves up to the next one that is stored or full are free throughout.
            let stored = self.leaves.range(number..).next().map(|(&number, _)| number);
            let full = self.full.next(number).map(|(first, _)| first);
            let next = stored.into_iter().chain(full).min();
            let next = next.unwrap_or_else(|| self.last_leaf().wrapping_add(1));
            let open = next.wrapping_sub(number) << 6;
            if rank < open {
                return Some((number << 6).wrapping_add(rank));
            }
            rank = rank.wrapping_sub(open);
            if next > self.last_leaf() {
                return None;
            }
            if let Some(last) = self.full.end_of(next) {
                number = last.wrapping_add(1);
                continue;
            }
            let taken = self.leaf(next).taken;
            let free = u128::from(taken.count_zeros());
            if rank < free {
                return Some((next << 6) | u128::from(nth_unset(taken, rank)));
            }
            rank = rank.wrapping_sub(free);
            number = next.wrapping_add(1);
        }
    }

    /// The lowest taken index that is not below `start`, or the capacity.
    pub(super) fn next_taken(&self, start: u128) -> u128 {
        let number = start >> 6;
        let here = self.leaf(number).taken & from(low6(start));
        if here != 0 {
            return ((number << 6) | u128::from(here.trailing_zeros())).min(self.capacity);
        }
        let next = number.wrapping_add(1);
        let stored = self.leaves.range(next..).find(|(_, leaf)| leaf.taken != 0);
        let stored =
            stored.map(|(&number, leaf)| (number << 6) | u128::from(leaf.taken.trailing_zeros()));
        let full = self.full.next(next).map(|(number, _)| number << 6);
        stored.into_iter().chain(full).fold(self.capacity, u128::min)
    }

    /// The first leaf from `number` on with anything held in it, what is, and how many leaves in
    /// a row are like it.
    pub(super) fn next_held(&self, number: u128) -> Option<(u128, u64, u128)> {
        let stored = self.leaves.range(number..).find_map(|(&number, leaf)| {
            let held = self.held(number, *leaf);
            (held != 0).then_some((number, held))
        });
        let whole = self.next_whole(number);
        match (stored, whole) {
            (Some((at, held)), None) => Some((at, held, 1)),
            (Some((at, held)), Some((first, _))) if at < first => Some((at, held, 1)),
            (_, Some((first, last))) => {
                Some((first, u64::MAX, last.wrapping_sub(first).wrapping_add(1)))
            }
            (None, None) => None,
        }
    }

    /// The first stretch from `number` on of leaves that are full and not stored.
    fn next_whole(&self, mut number: u128) -> Option<(u128, u128)> {
        loop {
            let (first, last) = self.full.next(number)?;
            match self.leaves.range(first..=last).next() {
                None => return Some((first, last)),
                Some((&at, _)) if at > first => return Some((first, at.wrapping_sub(1))),
                Some(_) => number = first.wrapping_add(1),
            }
        }
    }

    const fn held(&self, number: u128, leaf: Leaf) -> u64 {
        if self.is_padded(number) { leaf.held() & !padding(self.capacity) } else { leaf.held() }
    }

    /// Whether the leaf has bits that stand for no index; it is always stored.
    const fn is_padded(&self, number: u128) -> bool {
        padding(self.capacity) != 0 && number == self.last_leaf()
    }

    /// Capacity is larger than what fits in a bitmap, hence not zero.
    const fn last_leaf(&self) -> u128 {
        self.capacity.wrapping_sub(1) >> 6
    }

    fn update(&mut self, number: u128, change: impl FnOnce(&mut Leaf)) {
        let before = self.leaf(number);
        let mut leaf = before;
        change(&mut leaf);
        self.taken = self
            .taken
            .wrapping_add(leaf.taken.count_ones().into())
            .wrapping_sub(before.taken.count_ones().into());
        if leaf.taken == 0 && self.memory == Memory::Frugal {
            leaf = Leaf::default();
        }
        match (before.taken == u64::MAX, leaf.taken == u64::MAX) {
            (false, true) => self.full.insert(number),
            (true, false) => self.full.remove(number),
            (false, false) | (true, true) => {}
        }
        if leaf == Leaf::default() || (leaf == Leaf::HELD && !self.is_padded(number)) {
            self.leaves.remove(&number);
        } else {
            self.leaves.insert(number, leaf);
        }
    }
}
