use core::hash::BuildHasher as _;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::record::Owner;
use crate::space::Index;

/// The index that each owner released last, as long as nobody else took it.
///
/// A hash table of bare indexes, hashed by the owner: who that is, `at` says wherever it is asked.
#[derive(Clone, Debug)]
pub(super) struct Formers<I> {
    indexes: HashTable<I>,
    hasher: DefaultHashBuilder,
}

impl<I: Index> Formers<I> {
    pub(super) fn new() -> Self {
        Self { indexes: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn of<O: Owner>(&self, owner: O, at: impl Fn(I) -> Option<O>) -> Option<I> {
        let is_its = |&index: &I| at(index) == Some(owner);
        self.indexes.find(self.hasher.hash_one(owner), is_its).copied()
    }

    /// Records the index that an owner released last, and returns the one that was so before.
    pub(super) fn replace<O: Owner>(
        &mut self,
        index: I,
        owner: O,
        at: impl Fn(I) -> Option<O>,
    ) -> Option<I> {
        let Self { indexes, hasher } = self;
        let is_its = |&other: &I| at(other) == Some(owner);
        let rehash = |&index: &I| at(index).map_or(0, |owner| hasher.hash_one(owner));
        match indexes.entry(hasher.hash_one(owner), is_its, rehash) {
            Entry::Occupied(mut entry) => Some(core::mem::replace(entry.get_mut(), index)),
            Entry::Vacant(entry) => {
                entry.insert(index);
                None
            }
        }
    }

    /// Drops the claim that `owner`, who held it last, may have on an index.
    pub(super) fn forget<O: Owner>(&mut self, index: I, owner: O) {
        let hash = self.hasher.hash_one(owner);
        if let Ok(entry) = self.indexes.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = I> + '_ {
        self.indexes.drain()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = I> + '_ {
        self.indexes.iter().copied()
    }
}
