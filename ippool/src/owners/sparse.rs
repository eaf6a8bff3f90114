use alloc::collections::BTreeSet;
use core::hash::BuildHasher as _;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::record::Owner;
use crate::space::Index;

/// Who holds what of a space too large for a table.
///
/// The way back is a hash table of bare indexes, hashed by the owner found in the map; only what
/// an owner holds beyond its first item is stored in full.
#[derive(Clone, Debug)]
pub(super) struct Sparse<I, O> {
    by_index: HashMap<I, O>,
    /// One index of every owner that holds any.
    first: HashTable<I>,
    /// Every other held index.
    more: BTreeSet<(O, I)>,
    hasher: DefaultHashBuilder,
}

impl<I: Index, O: Owner> Sparse<I, O> {
    pub(super) fn new() -> Self {
        Self {
            by_index: HashMap::new(),
            first: HashTable::new(),
            more: BTreeSet::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Who holds an index or held it last.
    pub(super) fn at(&self, index: I) -> Option<O> {
        self.by_index.get(&index).copied()
    }

    /// Records the owner of an index that nobody holds.
    #[inline(never)]
    pub(super) fn insert(&mut self, index: I, owner: O) {
        let Self { by_index, first, more, hasher } = self;
        by_index.insert(index, owner);
        let is_its = |other: &I| by_index.get(other) == Some(&owner);
        let rehash = |index: &I| by_index.get(index).map_or(0, |owner| hasher.hash_one(owner));
        match first.entry(hasher.hash_one(owner), is_its, rehash) {
            Entry::Vacant(entry) => {
                entry.insert(index);
            }
            Entry::Occupied(_) => {
                more.insert((owner, index));
            }
        }
    }

    /// Removes an index from what `owner` holds, who is then still known to have held it last;
    /// false, and no change, if the owner does not hold it.
    #[inline(never)]
    pub(super) fn remove(&mut self, index: I, owner: O) -> bool {
        let Self { by_index, first, more, hasher } = self;
        if by_index.get(&index) != Some(&owner) {
            return false;
        }
        let Ok(entry) = first.find_entry(hasher.hash_one(owner), |&other| other == index) else {
            return more.remove(&(owner, index));
        };
        let (_, vacant) = entry.remove();
        let heir = more.range((owner, I::ZERO)..).next().copied();
        if let Some((_, heir)) = heir.filter(|&(other, _)| other == owner) {
            more.remove(&(owner, heir));
            vacant.insert(heir);
        }
        true
    }

    /// Records who held an index last that nobody holds.
    pub(super) fn set_last(&mut self, index: I, owner: O) {
        self.by_index.insert(index, owner);
    }

    /// Forgets who held an index last that nobody holds.
    #[inline(never)]
    pub(super) fn forget_last(&mut self, index: I) {
        self.by_index.remove(&index);
    }

    pub(super) fn first_of(&self, owner: O) -> Option<I> {
        let is_its = |index: &I| self.by_index.get(index) == Some(&owner);
        self.first.find(self.hasher.hash_one(owner), is_its).copied()
    }

    pub(super) fn all_of(&self, owner: O) -> impl Iterator<Item = I> + '_ {
        let more = self.more.range((owner, I::ZERO)..);
        let more = more.take_while(move |(other, _)| *other == owner).map(|(_, index)| *index);
        self.first_of(owner).into_iter().chain(more)
    }
}
