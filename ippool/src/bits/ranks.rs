use alloc::vec::Vec;

use super::leaf::Leaf;

/// How many indexes are free in each stretch of 2^12 and of 2^18, so that the k-th free one is
/// found by three short scans.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    fine: Vec<u32>,
    coarse: Vec<u32>,
}

impl Ranks {
    pub(super) fn new(leaves: &[Leaf]) -> Self {
        let fine: Vec<u32> = leaves
            .chunks(64)
            .map(|chunk| chunk.iter().map(|leaf| leaf.taken.count_zeros()).sum())
            .collect();
        let coarse = fine.chunks(64).map(|chunk| chunk.iter().sum()).collect();
        Self { fine, coarse }
    }

    #[inline]
    pub(super) fn more(&mut self, index: u32) {
        self.change(index, u32::wrapping_add);
    }

    #[inline]
    pub(super) fn less(&mut self, index: u32) {
        self.change(index, u32::wrapping_sub);
    }

    /// The free index that has `rank` free ones below it.
    pub(super) fn select(&self, leaves: &[Leaf], rank: u32) -> Option<u32> {
        let (coarse, rank) = locate(self.coarse.iter().copied(), rank)?;
        let first = coarse << 6;
        let (fine, rank) = locate(self.fine.iter().skip(first).copied(), rank)?;
        let first = first.wrapping_add(fine) << 6;
        let free = leaves
            .iter()
            .skip(first)
            .map(|leaf| leaf.taken.count_zeros());
        let (leaf, rank) = locate(free, rank)?;
        let leaf = first.wrapping_add(leaf);
        let bit = nth_unset(leaves.get(leaf)?.taken, rank);
        u32::try_from(leaf).ok().map(|leaf| (leaf << 6) | bit)
    }

    #[inline]
    fn change(&mut self, index: u32, by_one: impl Fn(u32, u32) -> u32) {
        if let Some(count) = self.fine.get_mut((index >> 12) as usize) {
            *count = by_one(*count, 1);
        }
        if let Some(count) = self.coarse.get_mut((index >> 18) as usize) {
            *count = by_one(*count, 1);
        }
    }
}

/// The position of the stretch that holds the `rank`-th free index, and its rank therein.
fn locate(counts: impl Iterator<Item = u32>, mut rank: u32) -> Option<(usize, u32)> {
    for (position, count) in counts.enumerate() {
        match rank.checked_sub(count) {
            Some(rest) => rank = rest,
            None => return Some((position, rank)),
        }
    }
    None
}

/// The position of the `rank`-th unset bit.
fn nth_unset(word: u64, rank: u32) -> u32 {
    let mut free = !word;
    for _ in 0..rank {
        free &= free.wrapping_sub(1);
    }
    free.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_rank_is_selected() {
        let mut leaves = vec![Leaf::default(); 64 * 64 + 3];
        for (number, leaf) in leaves.iter_mut().enumerate() {
            leaf.taken = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let ranks = Ranks::new(&leaves);
        let free = (0u32..)
            .zip(0..leaves.len() as u32 * 64)
            .map(|(_, index)| index)
            .filter(|index| leaves[(index >> 6) as usize].taken & (1 << (index & 63)) == 0);
        let mut count = 0;
        for (rank, index) in free.enumerate() {
            if rank % 97 == 0 {
                assert_eq!(ranks.select(&leaves, rank as u32), Some(index));
            }
            count += 1;
        }
        assert_eq!(ranks.select(&leaves, count), None);
    }
}
