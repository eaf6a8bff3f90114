use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// How many bits of a number tell its place within a block.
const PLACE_BITS: u32 = 12;
/// How many numbers a block has.
const BLOCK: u32 = 1 << PLACE_BITS;
/// How many words of 64 bits.
const WORDS: usize = 64;
/// Up to how many places a list of them is no larger than a bitmap.
const LISTED: usize = 256;
/// With how many places a bitmap becomes a list again: so far below that a number that comes and goes
/// does not turn one into the other each time.
const LISTED_AGAIN: u32 = 128;

/// The numbers of a range that are not vacant. It finds the vacant number of any rank.
///
/// It takes room for what it holds, at most 512 bytes for any 4,096 numbers, and four bytes for each
/// 4,096 numbers of the range whether they are held or not. A search costs as many steps as there are
/// bits in the number of blocks, and then looks at one block.
pub(super) struct RankSet {
    first: u32,
    last: u32,
    /// How many numbers are held: 2^32 at most.
    held: u64,
    /// Blocks by their place in the range; none is empty.
    blocks: BTreeMap<u32, Block>,
    /// A binary indexed tree: entry *i* says how many numbers are held in the blocks from *i* less its
    /// lowest set bit to *i* - 1. Entry 0 says nothing. The entry for all blocks would be the one behind
    /// the last; no search asks for it, and it alone could reach 2^32.
    sums: Box<[u32]>,
}

impl RankSet {
    /// An empty set of numbers of a range, which is not backwards.
    pub(super) fn new(first: u32, last: u32) -> Self {
        let blocks = (last.wrapping_sub(first) >> PLACE_BITS).wrapping_add(1);
        let sums = vec![0; blocks as usize].into();
        Self { first, last, held: 0, blocks: BTreeMap::new(), sums }
    }

    /// Adds a number, and says whether it is new. One outside the range never is.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let Some((block, place)) = self.locate(number) else { return false };
        let new = self.blocks.entry(block).or_insert(Block::List(Vec::new())).insert(place);
        if new {
            self.held = self.held.wrapping_add(1);
            self.count(block, 1);
        }
        new
    }

    /// Removes a number, and says whether it was there.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        let Some((index, place)) = self.locate(number) else { return false };
        let Some(block) = self.blocks.get_mut(&index) else { return false };
        if !block.remove(place) {
            return false;
        }
        if block.is_empty() {
            self.blocks.remove(&index);
        }
        self.held = self.held.wrapping_sub(1);
        self.count(index, -1);
        true
    }

    /// Removes all numbers.
    pub(super) fn clear(&mut self) {
        self.held = 0;
        self.blocks.clear();
        self.sums.fill(0);
    }

    /// How many numbers are in the set.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    /// How many numbers of the range are not.
    pub(super) fn vacant(&self) -> u64 {
        u64::from(self.last.wrapping_sub(self.first)).wrapping_add(1).wrapping_sub(self.held)
    }

    /// The number that is not in the set and has so many such below it, if there is one.
    pub(super) fn nth_vacant(&self, rank: u64) -> Option<u32> {
        // Behind the range nothing is held either; with a rank that exists, no search gets there.
        if rank >= self.vacant() {
            return None;
        }
        // The rank exists, so it is below 2^32.
        let mut rank = u32::try_from(rank).ok()?;
        let mut block = 0;
        let mut step = self.sums.len().next_power_of_two() >> 1;
        while step > 0 {
            let next = block | step;
            if let Some(held) = self.sums.get(next) {
                // At most half of all numbers.
                let size = u32::try_from(step).ok()?.wrapping_mul(BLOCK);
                let vacant = size.wrapping_sub(*held);
                if vacant <= rank {
                    rank = rank.wrapping_sub(vacant);
                    block = next;
                }
            }
            step >>= 1;
        }
        let block = u32::try_from(block).ok()?;
        let place = match self.blocks.get(&block) {
            Some(block) => block.nth_vacant(rank)?,
            None => rank,
        };
        self.first.checked_add(block.wrapping_mul(BLOCK) | place)
    }

    /// The block of a number of the range and its place in it.
    const fn locate(&self, number: u32) -> Option<(u32, u32)> {
        if number < self.first || self.last < number {
            return None;
        }
        let offset = number.wrapping_sub(self.first);
        Some((offset >> PLACE_BITS, offset % BLOCK))
    }

    fn count(&mut self, block: u32, change: i32) {
        let mut entry = block.wrapping_add(1);
        while let Some(sum) = self.sums.get_mut(entry as usize) {
            *sum = sum.wrapping_add_signed(change);
            entry = entry.wrapping_add(entry & entry.wrapping_neg());
        }
    }
}

/// The held ones of 4,096 numbers, by their place.
enum Block {
    /// In ascending order.
    List(Vec<u16>),
    /// A bit for each place, and how many of them are set.
    Bitmap(Box<[u64; WORDS]>, u32),
}

impl Block {
    #[expect(clippy::cast_possible_truncation, reason = "places have twelve bits")]
    fn insert(&mut self, place: u32) -> bool {
        match self {
            Self::List(places) => {
                let Err(at) = places.binary_search(&(place as u16)) else { return false };
                if places.len() < LISTED {
                    places.insert(at, place as u16);
                    return true;
                }
                *self = Self::bitmap(places);
                self.insert(place)
            }
            Self::Bitmap(words, held) => {
                let Some((word, bit)) = find(&mut **words, place) else { return false };
                let new = *word & bit == 0;
                *word |= bit;
                *held = held.wrapping_add(new.into());
                new
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "places have twelve bits")]
    fn remove(&mut self, place: u32) -> bool {
        match self {
            Self::List(places) => {
                let Ok(at) = places.binary_search(&(place as u16)) else { return false };
                places.remove(at);
                true
            }
            Self::Bitmap(words, held) => {
                let Some((word, bit)) = find(&mut **words, place) else { return false };
                if *word & bit == 0 {
                    return false;
                }
                *word &= !bit;
                *held = held.wrapping_sub(1);
                if *held <= LISTED_AGAIN {
                    *self = Self::list(words);
                }
                true
            }
        }
    }

    const fn is_empty(&self) -> bool {
        matches!(self, Self::List(places) if places.is_empty())
    }

    fn nth_vacant(&self, mut rank: u32) -> Option<u32> {
        match self {
            Self::List(places) => {
                // As many are vacant below a place as there are places below it, less the held ones.
                let below = (0..)
                    .zip(places)
                    .take_while(|&(held, &place)| u32::from(place).wrapping_sub(held) <= rank);
                rank.checked_add(u32::try_from(below.count()).ok()?)
            }
            Self::Bitmap(words, _) => {
                for (word, start) in words.iter().zip((0..).step_by(64)) {
                    let vacant = word.count_zeros();
                    if rank < vacant {
                        let lowest = (0..rank).fold(!word, |bits, _| bits & bits.wrapping_sub(1));
                        return Some(lowest.trailing_zeros() | start);
                    }
                    rank = rank.wrapping_sub(vacant);
                }
                None
            }
        }
    }

    fn bitmap(places: &[u16]) -> Self {
        let mut bitmap = Self::Bitmap(Box::new([0; WORDS]), 0);
        for place in places {
            bitmap.insert((*place).into());
        }
        bitmap
    }

    fn list(words: &[u64; WORDS]) -> Self {
        let set = |&place: &u16| {
            let word = words.get(usize::from(place / 64));
            word.is_some_and(|word| word >> (place % 64) & 1 == 1)
        };
        Self::List((0..=0xfff).filter(set).collect())
    }
}

/// The word of a place and its bit in there.
fn find(words: &mut [u64], place: u32) -> Option<(&mut u64, u64)> {
    let word = words.get_mut((place / u64::BITS) as usize)?;
    Some((word, 1 << (place % u64::BITS)))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::{BLOCK, Block, LISTED, LISTED_AGAIN, RankSet};

    /// The lengths at which a count may go wrong.
    const LENGTHS: [u32; 11] = [1, 2, 63, 64, 65, 4_095, 4_096, 4_097, 8_191, 8_193, 3 * 4_096];

    /// Compares everything that a set answers with what a list of the vacant numbers says.
    fn check(set: &RankSet, held: &BTreeSet<u32>) {
        let vacant: Vec<_> = (set.first..=set.last).filter(|n| !held.contains(n)).collect();
        assert_eq!(set.held(), held.len() as u64);
        assert_eq!(set.vacant(), vacant.len() as u64);
        for (rank, number) in (0..).zip(&vacant) {
            assert_eq!(set.nth_vacant(rank), Some(*number), "rank {rank}");
        }
        for rank in [set.vacant(), set.vacant() + 1, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(set.nth_vacant(rank), None, "rank {rank}");
        }
        for (index, block) in &set.blocks {
            let start = set.first + index * BLOCK;
            let count = held.range(start..=start.saturating_add(BLOCK - 1)).count();
            assert!(count > 0, "block {index} is empty");
            match block {
                Block::List(places) => assert!(places.len() == count && count <= LISTED),
                Block::Bitmap(_, held) => {
                    assert!(*held as usize == count && *held > LISTED_AGAIN);
                }
            }
        }
    }

    /// Holds, and then gives up, the numbers at these offsets.
    fn fill_and_drain(first: u32, length: u32, offsets: impl Iterator<Item = u32> + Clone) {
        let mut set = RankSet::new(first, first + (length - 1));
        let mut held = BTreeSet::new();
        let numbers: Vec<_> = offsets.map(|offset| first + offset).collect();
        let pause = numbers.len() / 4 + 1;
        check(&set, &held);
        for (done, &number) in (1..).zip(&numbers) {
            assert_eq!(set.insert(number), held.insert(number), "{number}");
            assert!(!set.insert(number), "{number} twice");
            if done % pause == 0 {
                check(&set, &held);
            }
        }
        check(&set, &held);
        for (done, number) in (1..).zip(&numbers) {
            assert_eq!(set.remove(*number), held.remove(number), "{number}");
            assert!(!set.remove(*number), "{number} twice");
            if done % pause == 0 {
                check(&set, &held);
            }
        }
        assert!(held.is_empty() && set.blocks.is_empty() && set.sums.iter().all(|sum| *sum == 0));
    }

    #[test]
    fn every_rank_is_found_while_ranges_fill_and_drain() {
        for length in LENGTHS {
            for first in [0, 200, u32::MAX - (length - 1)] {
                fill_and_drain(first, length, 0..length);
            }
            fill_and_drain(7, length, (0..length).rev());
            // Nearly half of the places, spread evenly; then what lies at the ends of words and blocks.
            fill_and_drain(7, length, (0..length).step_by(3).chain((1..length).step_by(7)));
            let edges = (0..length).filter(|offset| matches!((offset + 1) % 64, 0 | 1));
            fill_and_drain(7, length, edges);
        }
    }

    #[test]
    fn the_last_vacant_one_is_found_wherever_it_is() {
        for length in LENGTHS {
            let mut set = RankSet::new(5, 4 + length);
            for number in 5..5 + length {
                set.insert(number);
            }
            assert_eq!((set.vacant(), set.nth_vacant(0)), (0, None));
            for number in 5..5 + length {
                set.remove(number);
                assert_eq!((set.nth_vacant(0), set.nth_vacant(1)), (Some(number), None));
                set.insert(number);
            }
        }
    }

    #[test]
    fn all_numbers_of_32_bits_fit() {
        let mut set = RankSet::new(0, u32::MAX);
        let (all, last) = (1 << 32, u64::from(u32::MAX));
        assert_eq!(set.vacant(), all);
        for rank in [0, 4_095, 4_096, all / 2 - 1, all / 2, all / 2 + 1, last] {
            assert_eq!(set.nth_vacant(rank).map(u64::from), Some(rank));
        }
        assert_eq!(set.nth_vacant(all), None);
        for number in [0, 1, 1 << 31, u32::MAX] {
            assert!(set.insert(number));
        }
        assert_eq!(set.vacant(), all - 4);
        assert_eq!(set.nth_vacant(0), Some(2));
        assert_eq!(set.nth_vacant((1 << 31) - 3), Some((1 << 31) - 1));
        assert_eq!(set.nth_vacant((1 << 31) - 2), Some((1 << 31) + 1));
        assert_eq!(set.nth_vacant(all - 5), Some(u32::MAX - 1));
        assert_eq!(set.nth_vacant(all - 4), None);
    }

    /// All numbers of 32 bits but one are held, as far as the counts and the last block say; to hold
    /// them one by one takes minutes and 512 MiB.
    #[test]
    fn the_counts_of_full_blocks_do_not_overflow() {
        let mut set = RankSet::new(0, u32::MAX);
        set.held = u64::from(u32::MAX);
        for entry in 1_u32..1 << 20 {
            // Entry i counts as many blocks as its lowest set bit says; the vacant one is in the last.
            set.sums[entry as usize] = (entry & entry.wrapping_neg()) * BLOCK;
        }
        let mut last = Block::List(Vec::new());
        for place in 0..BLOCK - 1 {
            last.insert(place);
        }
        set.blocks.insert((1 << 20) - 1, last);
        assert_eq!(set.vacant(), 1);
        assert_eq!(set.nth_vacant(0), Some(u32::MAX));
        assert!(set.insert(u32::MAX));
        assert_eq!((set.vacant(), set.nth_vacant(0)), (0, None));
        assert!(set.remove(u32::MAX));
        assert_eq!(set.nth_vacant(0), Some(u32::MAX));
    }

    #[test]
    fn what_lies_outside_changes_nothing() {
        let mut set = RankSet::new(10, 20);
        for number in [0, 9, 21, u32::MAX] {
            assert!(!set.insert(number) && !set.remove(number), "{number}");
        }
        check(&set, &BTreeSet::new());
        assert!(set.insert(10) && set.insert(20));
        check(&set, &BTreeSet::from([10, 20]));
        set.clear();
        check(&set, &BTreeSet::new());
        assert!(set.sums.iter().all(|sum| *sum == 0));
    }

    /// A bitmap becomes a list again, and neither at every step.
    #[test]
    fn blocks_take_no_more_room_than_they_need() {
        let mut block = Block::List(Vec::new());
        let mut changes = Vec::new();
        let mut was_list = true;
        let up = 0..1_000;
        for (place, comes) in up.clone().map(|p| (p, true)).chain(up.map(|p| (p, false))) {
            assert!(if comes { block.insert(place) } else { block.remove(place) });
            let is_list = matches!(block, Block::List(_));
            if is_list != was_list {
                changes.push((place, comes));
                was_list = is_list;
            }
        }
        assert_eq!(changes, [(256, true), (871, false)]);
    }
}
