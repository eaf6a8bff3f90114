use rand::{Rng, RngExt as _};

use super::flat::Flat;
use super::leaf::State;
use super::tree::Tree;

/// The two planes over `0..capacity`. Indexes at or beyond the capacity must not be passed in.
#[derive(Clone, Debug)]
pub(crate) struct Bits(Form);

#[derive(Clone, Debug)]
enum Form {
    Flat(Flat),
    Tree(Tree),
}

impl Bits {
    pub(crate) fn new(capacity: u128) -> Self {
        match u32::try_from(capacity) {
            Ok(small) if small <= Flat::MAX => Self(Form::Flat(Flat::new(small))),
            _ => Self(Form::Tree(Tree::new(capacity))),
        }
    }

    /// Keeps [`State::Spent`] apart from [`State::Fresh`] for ever. A large space otherwise
    /// forgets the difference where 64 neighbours are free.
    pub(crate) const fn remember(&mut self) {
        if let Form::Tree(tree) = &mut self.0 {
            tree.remember();
        }
    }

    /// Makes every [`State::Spent`] index [`State::Fresh`].
    pub(crate) fn forget(&mut self) {
        match &mut self.0 {
            Form::Flat(flat) => flat.forget(),
            Form::Tree(tree) => tree.forget(),
        }
    }

    pub(crate) fn capacity(&self) -> u128 {
        match &self.0 {
            Form::Flat(flat) => flat.capacity().into(),
            Form::Tree(tree) => tree.capacity(),
        }
    }

    /// How many are held or cooling.
    pub(crate) fn taken(&self) -> u128 {
        match &self.0 {
            Form::Flat(flat) => flat.taken().into(),
            Form::Tree(tree) => tree.taken(),
        }
    }

    pub(crate) fn vacant(&self) -> u128 {
        self.capacity().wrapping_sub(self.taken())
    }

    #[inline]
    pub(crate) fn state(&self, index: u128) -> State {
        match &self.0 {
            Form::Flat(flat) => flat.state(small(index)),
            Form::Tree(tree) => tree.state(index),
        }
    }

    /// Makes `index` held, whatever it was.
    #[inline]
    pub(crate) fn hold(&mut self, index: u128) {
        match &mut self.0 {
            Form::Flat(flat) => flat.hold(small(index)),
            Form::Tree(tree) => tree.hold(index),
        }
    }

    /// Makes a held `index` cooling.
    #[inline]
    pub(crate) fn rest(&mut self, index: u128) {
        match &mut self.0 {
            Form::Flat(flat) => flat.rest(small(index)),
            Form::Tree(tree) => tree.rest(index),
        }
    }

    /// Makes a held or cooling `index` free.
    #[inline]
    pub(crate) fn vacate(&mut self, index: u128) {
        match &mut self.0 {
            Form::Flat(flat) => flat.vacate(small(index)),
            Form::Tree(tree) => tree.vacate(index),
        }
    }

    /// The lowest free index.
    #[inline]
    pub(crate) fn first_free(&self) -> Option<u128> {
        match &self.0 {
            Form::Flat(flat) => flat.first_free().map(u128::from),
            Form::Tree(tree) => tree.next_free(0),
        }
    }

    /// The lowest free index that is not below `start`.
    #[inline]
    pub(crate) fn next_free(&self, start: u128) -> Option<u128> {
        match &self.0 {
            Form::Flat(flat) => flat.next_free(u32::try_from(start).ok()?).map(u128::from),
            Form::Tree(tree) => tree.next_free(start),
        }
    }

    /// The lowest index of a stretch of `len` free ones within `start..end`.
    pub(crate) fn free_run(&self, mut start: u128, end: u128, len: u128) -> Option<u128> {
        loop {
            let first = self.next_free(start)?;
            let last = first.checked_add(len)?;
            if last > end {
                return None;
            }
            let taken = match &self.0 {
                Form::Flat(flat) => flat.next_taken(small(first)).into(),
                Form::Tree(tree) => tree.next_taken(first),
            };
            if taken >= last {
                return Some(first);
            }
            start = taken;
        }
    }

    /// A free index, each with the same probability.
    ///
    /// Drawn until one is free while that takes few draws, otherwise by rank among the free. A
    /// space beyond 2^24 keeps no ranks: after 64 draws, which needs a pool fuller than such a
    /// pool can be in memory, it takes the first free one after the last draw.
    pub(crate) fn random_free<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Option<u128> {
        let vacant = self.vacant();
        if vacant == 0 {
            return None;
        }
        match &mut self.0 {
            Form::Flat(flat) => {
                let capacity = flat.capacity();
                if vacant >= u128::from(capacity >> 1) {
                    for _ in 0..8 {
                        let index = rng.random_range(0..capacity);
                        if matches!(flat.state(index), State::Fresh | State::Spent) {
                            return Some(index.into());
                        }
                    }
                }
                flat.nth_free(rng.random_range(0..small(vacant))).map(u128::from)
            }
            Form::Tree(tree) => {
                let mut index = 0;
                for _ in 0..64 {
                    index = rng.random_range(0..tree.capacity());
                    if matches!(tree.state(index), State::Fresh | State::Spent) {
                        return Some(index);
                    }
                }
                tree.next_free(index).or_else(|| tree.next_free(0))
            }
        }
    }

    /// The first word of 64 indexes, from word `number` on, with anything held in it: its number,
    /// its bits, and how many words in a row are the same.
    pub(crate) fn next_held(&self, number: u128) -> Option<(u128, u64, u128)> {
        match &self.0 {
            Form::Flat(flat) => {
                let (number, held) = flat.next_held(u32::try_from(number).ok()?)?;
                Some((number.into(), held, 1))
            }
            Form::Tree(tree) => tree.next_held(number),
        }
    }

    /// Every held index, ascending.
    pub(crate) fn held(&self) -> impl Iterator<Item = u128> + '_ {
        let mut words = self.next_held(0);
        core::iter::from_fn(move || {
            let (number, held, repeat) = words?;
            let index = (number << 6) | u128::from(held.trailing_zeros());
            let rest = held & held.wrapping_sub(1);
            let next = number.wrapping_add(1);
            words = match (rest, repeat) {
                (0, 1) => self.next_held(next),
                (0, _) => Some((next, u64::MAX, repeat.wrapping_sub(1))),
                _ => Some((number, rest, repeat)),
            };
            Some(index)
        })
    }

    /// Every free index, ascending.
    pub(crate) fn free(&self) -> impl Iterator<Item = u128> + '_ {
        let mut next = self.first_free();
        core::iter::from_fn(move || {
            let index = next?;
            next = index.checked_add(1).and_then(|start| self.next_free(start));
            Some(index)
        })
    }
}

/// Indexes of a flat space fit.
#[expect(clippy::cast_possible_truncation, reason = "a flat space ends at 2^24")]
const fn small(index: u128) -> u32 {
    index as u32
}

#[cfg(test)]
mod tests {
    use super::super::leaf::bit;
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    /// Both forms, whatever the capacity, beside a plain list.
    struct Both {
        plain: Vec<State>,
        forms: [Bits; 2],
    }

    impl Both {
        fn new(capacity: u32) -> Self {
            let mut tree = Tree::new(capacity.into());
            tree.remember();
            Self {
                plain: vec![State::Fresh; capacity as usize],
                forms: [Bits(Form::Flat(Flat::new(capacity))), Bits(Form::Tree(tree))],
            }
        }

        /// Moves one index on: free, held, cooling, free.
        fn advance(&mut self, index: u32) {
            let state = &mut self.plain[index as usize];
            let change: fn(&mut Bits, u128) = match state {
                State::Fresh | State::Spent => Bits::hold,
                State::Held => Bits::rest,
                State::Cooling => Bits::vacate,
            };
            *state = match state {
                State::Fresh | State::Spent => State::Held,
                State::Held => State::Cooling,
                State::Cooling => State::Spent,
            };
            self.forms.iter_mut().for_each(|bits| change(bits, index.into()));
        }

        fn check(&mut self) {
            let plain = &self.plain;
            let is_free = |&index: &usize| matches!(plain[index], State::Fresh | State::Spent);
            let free: Vec<usize> = (0..plain.len()).filter(is_free).collect();
            let held: Vec<usize> =
                (0..plain.len()).filter(|&index| plain[index] == State::Held).collect();
            for bits in &mut self.forms {
                assert_eq!(bits.vacant(), free.len() as u128);
                assert!(bits.free().eq(free.iter().map(|&index| index as u128)));
                assert!(bits.held().eq(held.iter().map(|&index| index as u128)));
                for (start, state) in plain.iter().enumerate() {
                    assert_eq!(bits.state(start as u128), *state);
                    let next = free.get(free.partition_point(|&index| index < start));
                    assert_eq!(bits.next_free(start as u128), next.map(|&index| index as u128));
                }
                assert_eq!(bits.next_free(plain.len() as u128), None);
                for len in [1, 2, 63, 64, 65, 130] {
                    let run = free
                        .windows(len)
                        .find(|run| run[len - 1] - run[0] == len - 1)
                        .map(|run| run[0] as u128);
                    assert_eq!(bits.free_run(0, plain.len() as u128, len as u128), run);
                }
                if let Form::Flat(flat) = &mut bits.0 {
                    for (rank, &index) in free.iter().enumerate().step_by(7) {
                        assert_eq!(flat.nth_free(rank as u32), Some(index as u32));
                    }
                }
            }
        }
    }

    #[test]
    fn both_forms_agree_with_a_plain_list() {
        for capacity in [1, 2, 63, 64, 65, 127, 128, 129, 640, 4095, 4096, 4097] {
            let mut both = Both::new(capacity);
            let mut seed = u64::from(capacity);
            for round in 0..40 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let start = (seed >> 33) as u32 % capacity;
                // Whole words and single bits, so that runs of full words form and break.
                let len = [1, 64, 200, 1, 640][round % 5];
                let end = (start + len).min(capacity);
                (start..end).for_each(|index| both.advance(index));
                if capacity < 1000 || round % 8 == 7 {
                    both.check();
                }
            }
        }
    }

    /// Fills from both ends up to one hole at every index of the last words.
    #[test]
    fn the_only_free_index_is_found_wherever_it_is() {
        for capacity in [63, 64, 65, 4095, 4096, 4097] {
            let mut both = Both::new(capacity);
            (0..capacity).for_each(|index| both.advance(index));
            for hole in (0..capacity).rev().step_by(13).chain(0..3.min(capacity)) {
                for bits in &mut both.forms {
                    bits.vacate(hole.into());
                    assert_eq!(bits.first_free(), Some(hole.into()));
                    assert_eq!(bits.next_free(0), Some(hole.into()));
                    assert_eq!(bits.next_free(hole.into()), Some(hole.into()));
                    assert_eq!(bits.next_free(u128::from(hole) + 1), None);
                    bits.hold(hole.into());
                    assert_eq!(bits.first_free(), None);
                }
            }
        }
    }

    #[test]
    fn neighbours_cost_nothing_in_a_tree() {
        let mut bits = Bits::new(1 << 64);
        (0..64 * 1000).for_each(|index| bits.hold(index));
        bits.vacate(64 * 500 + 7);
        let Form::Tree(tree) = &bits.0 else { panic!("2^64 indexes in one bitmap") };
        assert_eq!(tree.stored(), 1);
        assert_eq!(bits.next_held(0), Some((0, u64::MAX, 500)));
        assert_eq!(bits.next_held(500), Some((500, !bit(7), 1)));
        (0..64 * 1000).filter(|index| *index != 64 * 500 + 7).for_each(|index| bits.vacate(index));
        let Form::Tree(tree) = &bits.0 else { panic!("2^64 indexes in one bitmap") };
        assert_eq!((tree.stored(), tree.taken()), (0, 0));
    }
}
