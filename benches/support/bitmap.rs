//! The two ends that pools are compared with: a bare 64-ary bitmap, which is the floor, and a set of what is used with a
//! scan for the first that is not, which is how one would start.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::pools::Allocator;

/// A bit for each number, set while it is free, and above it a bit for each word that has any free, and so on up to one
/// word. So many levels cover 64 numbers to the power of that.
#[derive(Debug)]
pub struct Bitmap<const LEVELS: usize> {
    levels: [Vec<u64>; LEVELS],
    capacity: u32,
}

impl<const LEVELS: usize> Bitmap<LEVELS> {
    /// All numbers below the capacity, each of them free.
    ///
    /// # Panics
    /// When the levels do not cover as many.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let mut count = capacity as usize;
        let levels = [(); LEVELS].map(|()| {
            let mut words = vec![u64::MAX; count / 64];
            if !count.is_multiple_of(64) {
                words.push((1 << (count % 64)) - 1);
            }
            count = words.len();
            words
        });
        assert_eq!(count, 1, "{LEVELS} levels over {capacity} numbers");
        Self { levels, capacity }
    }

    /// Takes the lowest free number.
    #[inline]
    pub fn lowest(&mut self) -> Option<u32> {
        if self.levels[LEVELS - 1][0] == 0 {
            return None;
        }
        let number = self.descend(LEVELS, 0);
        self.take(number);
        Some(number)
    }

    /// Takes the lowest free number that is not below `start`.
    #[inline]
    pub fn next(&mut self, start: u32) -> Option<u32> {
        let mut place = start;
        for level in 0..LEVELS {
            let word = self.levels[level].get((place >> 6) as usize)?;
            let open = word & (u64::MAX << (place & 63));
            if open != 0 {
                let number = self.descend(level, (place & !63) | open.trailing_zeros());
                self.take(number);
                return Some(number);
            }
            // The rest of this word has none, so the level above is asked for another word.
            place = (place >> 6) + 1;
        }
        None
    }

    /// Gives a number back.
    ///
    /// # Panics
    /// When it is not in range, or free already.
    #[inline]
    pub fn release(&mut self, number: u32) {
        assert!(number < self.capacity, "{number} is out of range");
        let mut place = number;
        for (level, words) in self.levels.iter_mut().enumerate() {
            let word = &mut words[(place >> 6) as usize];
            let (before, bit) = (*word, 1 << (place & 63));
            assert!(level > 0 || before & bit == 0, "{number} is released twice");
            *word = before | bit;
            if before != 0 {
                return;
            }
            place >>= 6;
        }
    }

    /// The lowest free number under a place of a level; there is one.
    #[inline]
    fn descend(&self, level: usize, mut place: u32) -> u32 {
        for words in self.levels[..level].iter().rev() {
            place = place << 6 | words[place as usize].trailing_zeros();
        }
        place
    }

    #[inline]
    fn take(&mut self, number: u32) {
        let mut place = number;
        for words in &mut self.levels {
            let word = &mut words[(place >> 6) as usize];
            *word &= !(1 << (place & 63));
            if *word != 0 {
                return;
            }
            place >>= 6;
        }
    }
}

/// The lowest free number of a bitmap.
#[derive(Debug)]
pub struct Lowest<const LEVELS: usize>(pub Bitmap<LEVELS>);

impl<const LEVELS: usize> Allocator for Lowest<LEVELS> {
    type Item = u32;

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        self.0.lowest()
    }

    #[inline]
    fn release(&mut self, number: u32) {
        self.0.release(number);
    }
}

/// The next free number of a bitmap after the one before.
#[derive(Debug)]
pub struct NextFit<const LEVELS: usize> {
    bitmap: Bitmap<LEVELS>,
    cursor: u32,
}

impl<const LEVELS: usize> NextFit<LEVELS> {
    /// Starts with the lowest.
    #[must_use]
    pub const fn new(bitmap: Bitmap<LEVELS>) -> Self {
        Self { bitmap, cursor: 0 }
    }
}

impl<const LEVELS: usize> Allocator for NextFit<LEVELS> {
    type Item = u32;

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        let number = self.bitmap.next(self.cursor).or_else(|| self.bitmap.lowest())?;
        self.cursor = number + 1;
        Some(number)
    }

    #[inline]
    fn release(&mut self, number: u32) {
        self.bitmap.release(number);
    }
}

/// What is used as a set, and each number of the range asked for until one is not in it.
#[derive(Debug)]
pub struct Scan {
    used: HashSet<u32>,
    range: RangeInclusive<u32>,
}

impl Scan {
    /// A range of which everything is used: to use it up would take the square of its length.
    #[must_use]
    pub fn full(range: RangeInclusive<u32>) -> Self {
        Self { used: range.clone().collect(), range }
    }
}

impl Allocator for Scan {
    type Item = u32;

    fn allocate(&mut self) -> Option<u32> {
        let number = self.range.clone().find(|number| !self.used.contains(number))?;
        self.used.insert(number);
        Some(number)
    }

    fn release(&mut self, number: u32) {
        assert!(self.used.remove(&number), "{number} is released twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_plain_set() {
        for capacity in [63, 64, 65, 4095, 4096, 4097, 10_000] {
            let mut bitmap = Bitmap::<3>::new(capacity);
            let mut free: BTreeSet<u32> = (0..capacity).collect();
            let mut seed = u64::from(capacity);
            for _ in 0..20_000 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let number = (seed >> 33) as u32 % capacity;
                match seed >> 62 {
                    0 => assert_eq!(bitmap.lowest(), free.pop_first()),
                    1 => {
                        let next = free.range(number..).next().copied();
                        assert_eq!(bitmap.next(number), next);
                        next.map(|next| free.remove(&next));
                    }
                    _ => {
                        if free.insert(number) {
                            bitmap.release(number);
                        }
                    }
                }
            }
        }
    }
}
