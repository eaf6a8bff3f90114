use core::fmt::Debug;
use core::hash::Hash;
use core::mem::size_of;

use super::dense::Dense;
use super::formers::Formers;
use super::sparse::Sparse;
use crate::bits;
use crate::space::Index;

/// A token that says who holds an item: a number, a uuid's bytes, an interned name.
///
/// A pool whose owner is of size zero, as [`()`](unit) is by default, records no owners at all:
/// every item then belongs to the one owner there is.
///
/// Memory, in a space of up to 2^24 items: for each held item the size of its owner and 8 bytes,
/// rounded up to the owner's alignment, in pages of 64 neighbours; and up to 11 bytes for each
/// owner, however much it holds. With `u64` that is 16 to 27 bytes an item. What was taken once
/// stays with the pool.
pub trait Owner: Copy + Ord + Hash + Debug {}

impl<O: Copy + Ord + Hash + Debug> Owner for O {}

/// Who holds what, both ways.
#[derive(Clone, Debug)]
pub(crate) struct Owners<I, O> {
    held: Held<I, O>,
    /// `None` if sticky allocation is off.
    formers: Option<Formers<I>>,
    /// The owner, where there can be only one.
    only: Option<O>,
}

/// Who holds an index or, as long as nobody does, who held it last: a former owner is looked up
/// here too.
#[derive(Clone, Debug)]
enum Held<I, O> {
    Dense(Dense<O>),
    Sparse(Sparse<I, O>),
}

impl<I: Index, O: Owner> Owners<I, O> {
    /// Whether there can be more than one owner.
    pub(crate) const TRACKED: bool = size_of::<O>() != 0;

    pub(crate) fn new(capacity: u128) -> Self {
        let held = if capacity <= Dense::<O>::MAX.into() {
            Held::Dense(Dense::new())
        } else {
            Held::Sparse(Sparse::new())
        };
        Self { held, formers: None, only: None }
    }

    pub(crate) fn remember_former(&mut self) {
        if Self::TRACKED && self.formers.is_none() {
            self.formers = Some(Formers::new());
        }
    }

    /// Whether an owner may have a claim on what it released.
    #[inline]
    pub(crate) const fn are_sticky(&self) -> bool {
        Self::TRACKED && self.formers.is_some()
    }

    /// Records the owner of an index that nobody holds.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an insertion")]
    pub(crate) fn insert(&mut self, index: I, owner: O) {
        if !Self::TRACKED {
            self.only = Some(owner);
            return;
        }
        if self.formers.is_some() {
            self.forget_former(index);
        }
        match &mut self.held {
            Held::Dense(dense) => dense.insert(bits::small(index), owner),
            Held::Sparse(sparse) => sparse.insert(index, owner),
        }
    }

    /// Removes the record of an index that `owner` holds; false, and no change, if it does not.
    #[inline]
    pub(crate) fn remove(&mut self, index: I, owner: O) -> bool {
        let removed = match &mut self.held {
            Held::Dense(dense) => dense.remove(bits::small(index), owner),
            Held::Sparse(sparse) => sparse.remove(index, owner),
        };
        if removed && self.formers.is_some() {
            self.set_former(index, owner);
        } else if removed {
            self.held.unset(index);
        }
        removed
    }

    /// The owner of a held index.
    #[inline]
    pub(crate) fn owner(&self, index: I) -> Option<O> {
        if Self::TRACKED { self.held.at(index) } else { self.only }
    }

    /// An index that the owner holds; always the same one while it does.
    pub(crate) fn first_of(&self, owner: O) -> Option<I> {
        match &self.held {
            Held::Dense(dense) => dense.first_of(owner).map(bits::wide),
            Held::Sparse(sparse) => sparse.first_of(owner),
        }
    }

    /// Every index the owner holds, in no order.
    pub(crate) fn all_of(&self, owner: O) -> impl Iterator<Item = I> + '_ {
        let (dense, sparse) = match &self.held {
            Held::Dense(dense) => (Some(dense), None),
            Held::Sparse(sparse) => (None, Some(sparse)),
        };
        let dense = dense.into_iter().flat_map(move |dense| dense.all_of(owner)).map(bits::wide);
        dense.chain(sparse.into_iter().flat_map(move |sparse| sparse.all_of(owner)))
    }

    /// The index the owner released last, if nobody held it since.
    #[inline]
    pub(crate) fn former_of(&self, owner: O) -> Option<I> {
        self.formers.as_ref()?.of(owner, |index| self.held.at(index))
    }

    /// Whether some former owner would get this index, which nobody holds, back.
    pub(crate) fn is_former(&self, index: I) -> bool {
        let owner = self.held.at(index);
        owner.is_some_and(|owner| self.former_of(owner) == Some(index))
    }

    /// Forgets what an owner released last.
    pub(crate) fn forget_owner(&mut self, owner: O) {
        if let Some(index) = self.former_of(owner) {
            self.forget_former(index);
            self.held.unset(index);
        }
    }

    /// Forgets who released what.
    pub(crate) fn forget_formers(&mut self) {
        if let Some(formers) = &mut self.formers {
            formers.drain().for_each(|index| self.held.unset(index));
        }
    }

    /// Every index that a former owner would get back.
    pub(crate) fn formers(&self) -> impl Iterator<Item = (I, O)> + '_ {
        let formers = self.formers.iter().flat_map(Formers::iter);
        formers.filter_map(|index| Some((index, self.held.at(index)?)))
    }

    /// Records that `owner` released a free index last.
    #[inline(never)]
    pub(crate) fn set_former(&mut self, index: I, owner: O) {
        let Some(formers) = &mut self.formers else {
            return;
        };
        self.held.set(index, owner);
        let earlier = formers.replace(index, owner, |index| self.held.at(index));
        if let Some(earlier) = earlier.filter(|&earlier| earlier != index) {
            self.held.unset(earlier);
        }
    }

    /// Drops the claim that somebody has on an index by having held it before.
    #[inline(never)]
    fn forget_former(&mut self, index: I) {
        if let Some(formers) = &mut self.formers
            && let Some(owner) = self.held.at(index)
        {
            formers.forget(index, owner);
        }
    }

    pub(crate) const fn only(&self) -> Option<O> {
        self.only
    }
}

impl<I: Index, O: Owner> Held<I, O> {
    #[inline]
    fn at(&self, index: I) -> Option<O> {
        match self {
            Self::Dense(dense) => dense.at(bits::small(index)),
            Self::Sparse(sparse) => sparse.at(index),
        }
    }

    /// Sets the owner of an index that nobody holds.
    fn set(&mut self, index: I, owner: O) {
        match self {
            Self::Dense(dense) => dense.set_last(bits::small(index), owner),
            Self::Sparse(sparse) => sparse.set_last(index, owner),
        }
    }

    /// Forgets who held an index last.
    #[inline]
    fn unset(&mut self, index: I) {
        match self {
            // There is an entry for every index of a page, used or not.
            Self::Dense(_) => {}
            Self::Sparse(sparse) => sparse.forget_last(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what an owner released before, nothing is kept but the last.
    #[test]
    fn a_sparse_space_keeps_one_former_index_for_each_owner() {
        let mut owners = Owners::<u128, u8>::new(1 << 64);
        owners.remember_former();
        for index in 0..100 {
            owners.insert(index, 1);
            assert!(owners.remove(index, 1));
        }
        let known = (0..100).filter(|&index| owners.held.at(index).is_some()).count();
        assert_eq!((known, owners.former_of(1)), (1, Some(99)));
        owners.insert(99, 2);
        assert_eq!(owners.former_of(1), None);
    }
}
