use alloc::vec::Vec;

use super::leaf::{Leaf, nth_unset};

/// How many indexes are free in each stretch of 2^9, 2^15 and 2^21, so that the k-th free one is
/// found by four short scans.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    fine: Vec<u32>,
    middle: Vec<u32>,
    coarse: Vec<u32>,
}

/// Leaves for each of the `fine` counts, as a power of two.
const FINE: u32 = 3;

impl Ranks {
    pub(super) fn new(leaves: &[Leaf]) -> Self {
        let fine: Vec<u32> = leaves
            .chunks(1 << FINE)
            .map(|chunk| chunk.iter().map(|leaf| leaf.taken.count_zeros()).sum())
            .collect();
        let middle: Vec<u32> = fine.chunks(64).map(|chunk| chunk.iter().sum()).collect();
        let coarse = middle.chunks(64).map(|chunk| chunk.iter().sum()).collect();
        Self { fine, middle, coarse }
    }

    #[inline(never)]
    pub(super) fn more(&mut self, index: u32) {
        self.change(index, u32::wrapping_add);
    }

    #[inline(never)]
    pub(super) fn less(&mut self, index: u32) {
        self.change(index, u32::wrapping_sub);
    }

    /// The free index that has `rank` free ones below it.
    pub(super) fn select(&self, leaves: &[Leaf], rank: u32) -> Option<u32> {
        let (at, rank) = locate(self.coarse.iter().copied(), 0, rank)?;
        let (at, rank) = locate(self.middle.iter().skip(at << 6).copied(), at << 6, rank)?;
        let (at, rank) = locate(self.fine.iter().skip(at << 6).copied(), at << 6, rank)?;
        let first = at << FINE;
        let free = leaves.iter().skip(first).map(|leaf| leaf.taken.count_zeros());
        let (leaf, rank) = locate(free, first, rank)?;
        let bit = nth_unset(leaves.get(leaf)?.taken, rank.into());
        u32::try_from(leaf).ok().map(|leaf| (leaf << 6) | bit)
    }

    #[inline]
    fn change(&mut self, index: u32, by_one: impl Fn(u32, u32) -> u32) {
        for (counts, shift) in
            [(&mut self.fine, 9u32), (&mut self.middle, 15), (&mut self.coarse, 21)]
        {
            if let Some(count) = counts.get_mut(index.wrapping_shr(shift) as usize) {
                *count = by_one(*count, 1);
            }
        }
    }
}

/// Which count, the first being number `first`, covers the `rank`-th free index, and its rank
/// therein.
fn locate(counts: impl Iterator<Item = u32>, first: usize, mut rank: u32) -> Option<(usize, u32)> {
    for (number, count) in (first..).zip(counts) {
        match rank.checked_sub(count) {
            Some(rest) => rank = rest,
            None => return Some((number, rank)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_rank_is_selected() {
        let mut leaves = vec![Leaf::default(); (1 << 15) + 3];
        for (number, leaf) in leaves.iter_mut().enumerate() {
            leaf.taken = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let ranks = Ranks::new(&leaves);
        let mut rank = 0;
        for (number, leaf) in (0u32..).zip(&leaves) {
            let first = leaf.taken.trailing_ones();
            if first < 64 {
                assert_eq!(ranks.select(&leaves, rank), Some((number << 6) | first));
            }
            rank += leaf.taken.count_zeros();
            let last = (!leaf.taken).leading_zeros();
            if last < 64 {
                assert_eq!(ranks.select(&leaves, rank - 1), Some((number << 6) | (63 - last)));
            }
        }
        assert_eq!(ranks.select(&leaves, rank), None);
    }
}
