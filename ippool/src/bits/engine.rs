use alloc::boxed::Box;
use core::marker::PhantomData;

use rand::{Rng, RngExt as _};

use super::flat::Flat;
use super::leaf::State;
use super::tree::Tree;
use crate::space::Index;

/// The two planes over `0..capacity`. Indexes at or beyond the capacity must not be passed in.
#[derive(Clone, Debug)]
pub(crate) struct Bits<I> {
    form: Form,
    _index: PhantomData<I>,
}

#[derive(Clone, Debug)]
enum Form {
    Flat(Flat),
    /// For a space too large for one bitmap.
    Tree(Box<Tree>),
}

impl<I: Index> Bits<I> {
    pub(crate) fn new(capacity: u128) -> Self {
        let form = match u32::try_from(capacity) {
            Ok(small) if small <= Flat::MAX => Form::Flat(Flat::new(small)),
            _ => Form::Tree(Box::new(Tree::new(capacity))),
        };
        Self { form, _index: PhantomData }
    }

    /// Keeps [`State::Spent`] apart from [`State::Fresh`] for ever. A large space otherwise
    /// forgets the difference where 64 neighbours are free.
    pub(crate) const fn remember(&mut self) {
        if let Form::Tree(tree) = &mut self.form {
            tree.remember();
        }
    }

    /// Makes every [`State::Spent`] index [`State::Fresh`].
    pub(crate) fn forget(&mut self) {
        match &mut self.form {
            Form::Flat(flat) => flat.forget(),
            Form::Tree(tree) => tree.forget(),
        }
    }

    pub(crate) fn capacity(&self) -> u128 {
        match &self.form {
            Form::Flat(flat) => flat.capacity().into(),
            Form::Tree(tree) => tree.capacity(),
        }
    }

    /// How many are held or cooling.
    pub(crate) fn taken(&self) -> u128 {
        match &self.form {
            Form::Flat(flat) => flat.taken().into(),
            Form::Tree(tree) => tree.taken(),
        }
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        match &self.form {
            Form::Flat(flat) => flat.is_full(),
            Form::Tree(tree) => tree.taken() == tree.capacity(),
        }
    }

    pub(crate) fn vacant(&self) -> u128 {
        self.capacity().wrapping_sub(self.taken())
    }

    #[inline]
    pub(crate) fn state(&self, index: I) -> State {
        match &self.form {
            Form::Flat(flat) => flat.state(small(index)),
            Form::Tree(tree) => tree.state(index.into()),
        }
    }

    /// The one bitmap, unless the space is too large for one.
    #[inline]
    pub(crate) const fn as_flat(&mut self) -> Option<&mut Flat> {
        match &mut self.form {
            Form::Flat(flat) => Some(flat),
            Form::Tree(_) => None,
        }
    }

    /// Makes `index` held, whatever it was.
    #[inline]
    pub(crate) fn hold(&mut self, index: I) {
        match &mut self.form {
            Form::Flat(flat) => flat.hold(small(index)),
            Form::Tree(tree) => tree.hold(index.into()),
        }
    }

    /// Makes all indexes of `count` words held, from word `number` on, none of which was ever
    /// touched.
    pub(crate) fn hold_words(&mut self, number: u128, count: u128) {
        match &mut self.form {
            Form::Flat(flat) => {
                let first = number << 6;
                let last = first.saturating_add(count << 6);
                (first..last).for_each(|index| flat.hold(small(I::narrow(index))));
            }
            Form::Tree(tree) => tree.hold_words(number, count),
        }
    }

    /// Makes a held `index` cooling.
    #[inline]
    pub(crate) fn rest(&mut self, index: I) {
        match &mut self.form {
            Form::Flat(flat) => flat.rest(small(index)),
            Form::Tree(tree) => tree.rest(index.into()),
        }
    }

    /// Makes a held or cooling `index` free.
    #[inline]
    pub(crate) fn vacate(&mut self, index: I) {
        match &mut self.form {
            Form::Flat(flat) => flat.vacate(small(index)),
            Form::Tree(tree) => tree.vacate(index.into()),
        }
    }

    /// The lowest free index.
    #[inline]
    pub(crate) fn first_free(&self) -> Option<I> {
        match &self.form {
            Form::Flat(flat) => flat.first_free().map(wide),
            Form::Tree(tree) => tree.next_free(0).map(I::narrow),
        }
    }

    /// The lowest free index that is not below `start`, which may be the capacity.
    #[inline]
    pub(crate) fn next_free(&self, start: I) -> Option<I> {
        match &self.form {
            Form::Flat(flat) => flat.next_free(small(start)).map(wide),
            Form::Tree(tree) => tree.next_free(start.into()).map(I::narrow),
        }
    }

    /// Makes the lowest free index held, and returns it.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<I> {
        match &mut self.form {
            Form::Flat(flat) => flat.take_first().map(wide),
            Form::Tree(tree) => {
                let index = tree.next_free(0)?;
                tree.hold(index);
                Some(I::narrow(index))
            }
        }
    }

    /// Makes the next free index held, from `start` on and then from the lowest, and returns it.
    #[inline]
    pub(crate) fn take_from(&mut self, start: I) -> Option<I> {
        match &mut self.form {
            Form::Flat(flat) => flat.take_from(small(start)).map(wide),
            Form::Tree(tree) => {
                let index = tree.next_free(start.into()).or_else(|| tree.next_free(0))?;
                tree.hold(index);
                Some(I::narrow(index))
            }
        }
    }

    /// The free index that has `rank` free ones below it. In a large space this walks over every
    /// stored word below it.
    pub(crate) fn nth_free(&mut self, rank: u128) -> Option<I> {
        match &mut self.form {
            Form::Flat(flat) => flat.nth_free(u32::try_from(rank).ok()?).map(wide),
            Form::Tree(tree) => tree.nth_free(rank).map(I::narrow),
        }
    }

    /// The lowest index of a stretch of `len` free ones within `start..end`.
    pub(crate) fn free_run(&self, mut start: u128, end: u128, len: u128) -> Option<I> {
        loop {
            if start >= end {
                return None;
            }
            let first = self.next_free(I::narrow(start))?;
            let last = first.into().checked_add(len)?;
            if last > end {
                return None;
            }
            let taken = match &self.form {
                Form::Flat(flat) => flat.next_taken(small(first)).into(),
                Form::Tree(tree) => tree.next_taken(first.into()),
            };
            if taken >= last {
                return Some(first);
            }
            start = taken;
        }
    }

    /// A free index, each with the same probability.
    ///
    /// Drawn until one is free while that takes few draws, otherwise by rank among the free. Of a
    /// space beyond 2^24, 64 draws come first: its ranks are not kept but counted each time.
    pub(crate) fn random_free<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Option<I> {
        let vacant = self.vacant();
        if vacant == 0 {
            return None;
        }
        let draws = match &self.form {
            Form::Flat(_) if vacant >= self.capacity() >> 1 => 8,
            Form::Flat(_) => 0,
            Form::Tree(_) => 64,
        };
        for _ in 0..draws {
            let index = I::narrow(below(self.capacity(), rng));
            if matches!(self.state(index), State::Fresh | State::Spent) {
                return Some(index);
            }
        }
        self.nth_free(below(vacant, rng))
    }

    /// The first word of 64 indexes, from word `number` on, with anything held in it: its number,
    /// its bits, and how many words in a row are the same.
    pub(crate) fn next_held(&self, number: u128) -> Option<(u128, u64, u128)> {
        match &self.form {
            Form::Flat(flat) => {
                let (number, held) = flat.next_held(u32::try_from(number).ok()?)?;
                Some((number.into(), held, 1))
            }
            Form::Tree(tree) => tree.next_held(number),
        }
    }

    /// Every held index, ascending.
    pub(crate) fn held(&self) -> impl Iterator<Item = I> + '_ {
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
            Some(I::narrow(index))
        })
    }

    /// Every free index, ascending.
    pub(crate) fn free(&self) -> impl Iterator<Item = I> + '_ {
        let mut next = self.first_free();
        core::iter::from_fn(move || {
            let index = next?;
            next = index.next().and_then(|start| self.next_free(start));
            Some(index)
        })
    }
}

/// Indexes of a flat space fit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a flat space ends at 2^24")]
pub(crate) fn small<I: Index>(index: I) -> u32 {
    index.into() as u32
}

#[inline]
pub(crate) fn wide<I: Index>(index: u32) -> I {
    I::narrow(index.into())
}

/// A number below `bound`, each with the same probability; 64 bits are drawn where they suffice.
fn below<R: Rng + ?Sized>(bound: u128, rng: &mut R) -> u128 {
    match u64::try_from(bound) {
        Ok(bound) => rng.random_range(0..bound).into(),
        Err(_) => rng.random_range(0..bound),
    }
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
        forms: [Bits<u128>; 2],
    }

    impl Both {
        fn new(capacity: u32) -> Self {
            let mut tree = Tree::new(capacity.into());
            tree.remember();
            Self {
                plain: vec![State::Fresh; capacity as usize],
                forms: [Form::Flat(Flat::new(capacity)), Form::Tree(Box::new(tree))]
                    .map(|form| Bits { form, _index: PhantomData }),
            }
        }

        /// Moves one index on: free, held, cooling, free.
        fn advance(&mut self, index: u32) {
            let state = &mut self.plain[index as usize];
            let change: fn(&mut Bits<u128>, u128) = match state {
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
                for (rank, &index) in free.iter().enumerate().step_by(7) {
                    assert_eq!(bits.nth_free(rank as u128), Some(index as u128));
                }
                assert_eq!(bits.nth_free(free.len() as u128), None);
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
        let mut bits = Bits::<u128>::new(1 << 64);
        (0..64 * 1000).for_each(|index| bits.hold(index));
        bits.vacate(64 * 500 + 7);
        let Form::Tree(tree) = &bits.form else { panic!("2^64 indexes in one bitmap") };
        assert_eq!(tree.stored(), 1);
        assert_eq!(bits.next_held(0), Some((0, u64::MAX, 500)));
        assert_eq!(bits.next_held(500), Some((500, !bit(7), 1)));
        (0..64 * 1000).filter(|index| *index != 64 * 500 + 7).for_each(|index| bits.vacate(index));
        let Form::Tree(tree) = &bits.form else { panic!("2^64 indexes in one bitmap") };
        assert_eq!((tree.stored(), tree.taken()), (0, 0));
    }
}
