use alloc::boxed::Box;
use alloc::vec;

use super::leaf::{Leaf, State, bit, first_unset, from, padding};
use super::ranks::Ranks;

/// One contiguous bitmap with three summary levels, for up to 2^24 indexes.
///
/// A summary bit is set when the word below it is full, so a search reads one word per level.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    /// At most 2^24.
    capacity: u32,
    /// Taken indexes, padding not counted.
    taken: u32,
    /// 64 indexes each; the last one is padded.
    leaves: Box<[Leaf]>,
    /// A bit per leaf, set when all 64 are taken; what stands for no leaf is set.
    l1: Box<[u64]>,
    /// A bit per word of `l1`, set when that word is full.
    l2: Box<[u64]>,
    /// A bit per word of `l2`.
    l3: u64,
    /// Free counts for choosing by rank; kept from the first time that is asked for.
    ranks: Option<Box<Ranks>>,
}

impl Flat {
    pub(super) const MAX: u32 = 1 << 24;

    pub(super) fn new(capacity: u32) -> Self {
        let leaves = capacity.div_ceil(64).max(1);
        let (n1, n2) = (leaves.div_ceil(64), leaves.div_ceil(64 * 64));
        let mut flat = Self {
            capacity,
            taken: 0,
            leaves: vec![Leaf::default(); leaves as usize].into(),
            l1: vec![0; n1 as usize].into(),
            l2: vec![0; n2 as usize].into(),
            l3: padding(n2.into()),
            ranks: None,
        };
        if let Some(word) = flat.l1.last_mut() {
            *word = padding(leaves.into());
        }
        if let Some(word) = flat.l2.last_mut() {
            *word = padding(n1.into());
        }
        let pad = if capacity == 0 { u64::MAX } else { padding(capacity.into()) };
        if let Some(leaf) = flat.leaves.last_mut() {
            leaf.taken = pad;
        }
        if capacity == 0 {
            flat.mark_full(0);
        }
        flat
    }

    #[inline]
    pub(super) const fn taken(&self) -> u32 {
        self.taken
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        self.taken == self.capacity
    }

    #[inline]
    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    #[inline]
    pub(super) fn leaf(&self, number: u32) -> Leaf {
        self.leaves.get(number as usize).copied().unwrap_or(Leaf::HELD)
    }

    #[inline]
    pub(super) fn state(&self, index: u32) -> State {
        self.leaf(index >> 6).state(bit(index & 63))
    }

    /// Makes every spent index fresh.
    pub(super) fn forget(&mut self) {
        for leaf in &mut self.leaves {
            leaf.released &= leaf.taken;
        }
    }

    /// Makes `index` held, whatever it was.
    #[inline]
    pub(super) fn hold(&mut self, index: u32) {
        let mask = bit(index & 63);
        let Some(leaf) = self.leaves.get_mut((index >> 6) as usize) else {
            return;
        };
        if leaf.taken & mask != 0 {
            leaf.released &= !mask;
            return;
        }
        let full = leaf.take(mask);
        self.note_taken(index, full);
    }

    /// Makes the lowest free index held, and returns it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an allocation")]
    pub(crate) fn take_first(&mut self) -> Option<u32> {
        let number = self.first_open()?;
        let leaf = self.leaves.get_mut(number as usize)?;
        let index = (number << 6) | first_unset(leaf.taken);
        let full = leaf.take(leaf.taken.wrapping_add(1) & !leaf.taken);
        self.note_taken(index, full);
        Some(index)
    }

    /// Makes the next free index held, from `start` on and then from the lowest, and returns it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an allocation")]
    pub(crate) fn take_from(&mut self, start: u32) -> Option<u32> {
        let number = start >> 6;
        if let Some(leaf) = self.leaves.get_mut(number as usize) {
            let free = !leaf.taken & from(start & 63);
            if free != 0 {
                let index = (number << 6) | free.trailing_zeros();
                let full = leaf.take(free & free.wrapping_neg());
                self.note_taken(index, full);
                return Some(index);
            }
        }
        if self.is_full() { None } else { self.take_beyond(number) }
    }

    /// Makes the lowest free index held in the leaves after `number`, or else in all of them.
    #[inline(never)]
    fn take_beyond(&mut self, number: u32) -> Option<u32> {
        let index = self.next_above(number).or_else(|| self.first_free())?;
        self.hold(index);
        Some(index)
    }

    /// What follows from a free index having become held, and its leaf perhaps full.
    #[inline]
    fn note_taken(&mut self, index: u32, full: bool) {
        self.taken = self.taken.wrapping_add(1);
        if full {
            self.mark_full(index >> 6);
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.less(index);
        }
    }

    /// Makes a held `index` cooling.
    #[inline]
    pub(super) fn rest(&mut self, index: u32) {
        if let Some(leaf) = self.leaves.get_mut((index >> 6) as usize) {
            leaf.released |= bit(index & 63);
        }
    }

    /// Makes a held or cooling `index` free.
    #[inline]
    pub(super) fn vacate(&mut self, index: u32) {
        if let Some(leaf) = self.leaves.get_mut((index >> 6) as usize) {
            // What is cooling becomes free in the same way.
            leaf.released &= !bit(index & 63);
        }
        self.vacate_held(index);
    }

    /// Makes a held `index` free; false, and no change, if it is not held.
    #[inline]
    pub(crate) fn vacate_held(&mut self, index: u32) -> bool {
        let mask = bit(index & 63);
        let Some(leaf) = self.leaves.get_mut((index >> 6) as usize) else {
            return false;
        };
        if leaf.held() & mask == 0 {
            return false;
        }
        let was_full = leaf.taken == u64::MAX;
        leaf.taken &= !mask;
        // See `Leaf::take`.
        if leaf.released & mask == 0 {
            leaf.released |= mask;
        }
        self.taken = self.taken.wrapping_sub(1);
        if was_full {
            self.mark_open(index >> 6);
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.more(index);
        }
        true
    }

    /// The lowest free index.
    #[inline]
    pub(crate) fn first_free(&self) -> Option<u32> {
        let number = self.first_open()?;
        let bit = first_unset(self.leaves.get(number as usize)?.taken);
        Some((number << 6) | bit)
    }

    /// The first leaf that has anything free.
    #[inline]
    fn first_open(&self) -> Option<u32> {
        // Up to 2^18 indexes the top level has nothing to add.
        let top = if let [only] = *self.l2 {
            if only == u64::MAX {
                return None;
            }
            0
        } else {
            // If nothing is free, this is beyond the end.
            first_unset(self.l3)
        };
        let middle = (top << 6) | first_unset(*self.l2.get(top as usize)?);
        Some((middle << 6) | first_unset(*self.l1.get(middle as usize)?))
    }

    /// The lowest free index that is not below `start`.
    #[inline]
    pub(crate) fn next_free(&self, start: u32) -> Option<u32> {
        let number = start >> 6;
        let free = !self.leaves.get(number as usize)?.taken & from(start & 63);
        if free != 0 {
            return Some((number << 6) | free.trailing_zeros());
        }
        self.next_above(number)
    }

    /// The lowest free index in the leaves after `number`.
    #[inline(never)]
    fn next_above(&self, number: u32) -> Option<u32> {
        let next = number.wrapping_add(1);
        let open = !self.l1.get((next >> 6) as usize)? & from(next & 63);
        if open != 0 {
            return self.descend0((next & !63) | open.trailing_zeros());
        }
        let next = (next >> 6).wrapping_add(1);
        let open = !self.l2.get((next >> 6) as usize)? & from(next & 63);
        if open != 0 {
            return self.descend1((next & !63) | open.trailing_zeros());
        }
        let next = (next >> 6).wrapping_add(1);
        let open = if next < 64 { !self.l3 & from(next) } else { 0 };
        if open == 0 { None } else { self.descend2(open.trailing_zeros()) }
    }

    fn descend2(&self, word: u32) -> Option<u32> {
        let bit = first_unset(*self.l2.get(word as usize)?);
        self.descend1((word << 6) | bit)
    }

    fn descend1(&self, word: u32) -> Option<u32> {
        let bit = first_unset(*self.l1.get(word as usize)?);
        self.descend0((word << 6) | bit)
    }

    fn descend0(&self, leaf: u32) -> Option<u32> {
        let bit = first_unset(self.leaves.get(leaf as usize)?.taken);
        Some((leaf << 6) | bit)
    }

    /// The lowest taken index that is not below `start`, or the capacity; a scan over words.
    pub(super) fn next_taken(&self, start: u32) -> u32 {
        let mut number = start >> 6;
        let mut mask = from(start & 63);
        while let Some(leaf) = self.leaves.get(number as usize) {
            let taken = leaf.taken & mask;
            if taken != 0 {
                return ((number << 6) | taken.trailing_zeros()).min(self.capacity);
            }
            mask = u64::MAX;
            number = number.wrapping_add(1);
        }
        self.capacity
    }

    /// The first leaf from `number` on with anything held in it, and what is.
    pub(super) fn next_held(&self, number: u32) -> Option<(u32, u64)> {
        let last = u32::try_from(self.leaves.len()).ok()?.wrapping_sub(1);
        (number..=last).find_map(|number| {
            let mut held = self.leaf(number).held();
            if number == last {
                held &= !padding(self.capacity.into());
            }
            (held != 0 && self.capacity != 0).then_some((number, held))
        })
    }

    /// The `rank`-th free index, counted from 0; keeps counts from now on so that it stays cheap.
    pub(super) fn nth_free(&mut self, rank: u32) -> Option<u32> {
        let leaves = &self.leaves;
        self.ranks.get_or_insert_with(|| Box::new(Ranks::new(leaves))).select(leaves, rank)
    }

    #[inline]
    fn mark_full(&mut self, leaf: u32) {
        let Some(word) = self.l1.get_mut((leaf >> 6) as usize) else {
            return;
        };
        *word |= bit(leaf & 63);
        if *word != u64::MAX {
            return;
        }
        let Some(word) = self.l2.get_mut((leaf >> 12) as usize) else {
            return;
        };
        *word |= bit((leaf >> 6) & 63);
        if *word == u64::MAX {
            self.l3 |= bit(leaf >> 12);
        }
    }

    #[inline]
    fn mark_open(&mut self, leaf: u32) {
        let Some(word) = self.l1.get_mut((leaf >> 6) as usize) else {
            return;
        };
        let was_full = *word == u64::MAX;
        *word &= !bit(leaf & 63);
        if !was_full {
            return;
        }
        let Some(word) = self.l2.get_mut((leaf >> 12) as usize) else {
            return;
        };
        let was_full = *word == u64::MAX;
        *word &= !bit((leaf >> 6) & 63);
        if was_full {
            self.l3 &= !bit(leaf >> 12);
        }
    }
}
