use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::{BuildHasher as _, Hash};
use core::mem::size_of;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::space::Index;

/// A token that says who holds an item: a number, a uuid's bytes, an interned name.
///
/// A pool whose owner is of size zero, as [`()`](unit) is by default, records no owners at all:
/// every item then belongs to the one owner there is.
pub trait Owner: Copy + Ord + Hash + Debug {}

impl<O: Copy + Ord + Hash + Debug> Owner for O {}

/// Who holds what, both ways.
///
/// The owner of an index stands in a table by index. The way back is a hash table of bare indexes,
/// hashed by the owner found in that table, which is 4 bytes an entry for most spaces; only what an
/// owner holds beyond its first item is stored in full.
#[derive(Clone, Debug)]
pub(crate) struct Owners<I, O> {
    by_index: Store<I, O>,
    /// One index of every owner that holds any.
    first: HashTable<I>,
    /// Every other held index.
    more: BTreeSet<(O, I)>,
    /// The index that an owner released last, as long as nobody else took it; `None` if sticky
    /// allocation is off.
    former: Option<HashTable<I>>,
    hasher: DefaultHashBuilder,
    /// The owner, where there can be only one.
    only: Option<O>,
}

#[derive(Clone, Debug)]
enum Store<I, O> {
    /// For dense spaces: a page of owners for each 64 neighbours. An entry whose index was never
    /// held repeats some other owner and is never looked at.
    Pages(Vec<Option<Box<[O; 64]>>>),
    Map(HashMap<I, O>),
}

impl<I: Index, O: Owner> Owners<I, O> {
    /// Whether there can be more than one owner.
    pub(crate) const TRACKED: bool = size_of::<O>() != 0;

    pub(crate) fn new(capacity: u128) -> Self {
        let by_index =
            if capacity <= 1 << 24 { Store::Pages(Vec::new()) } else { Store::Map(HashMap::new()) };
        Self {
            by_index,
            first: HashTable::new(),
            more: BTreeSet::new(),
            former: None,
            hasher: DefaultHashBuilder::default(),
            only: None,
        }
    }

    pub(crate) fn remember_former(&mut self) {
        if Self::TRACKED && self.former.is_none() {
            self.former = Some(HashTable::new());
        }
    }

    /// Whether an owner may have a claim on what it released.
    #[inline]
    pub(crate) const fn are_sticky(&self) -> bool {
        Self::TRACKED && self.former.is_some()
    }

    /// Records the owner of an index that nobody holds.
    #[inline]
    pub(crate) fn insert(&mut self, index: I, owner: O) {
        if !Self::TRACKED {
            self.only = Some(owner);
            return;
        }
        if self.former.is_some() {
            self.forget_former(index);
        }
        self.by_index.set(index, owner);
        let Self { by_index, first, more, hasher, .. } = self;
        let is_its = |&other: &I| by_index.at(other) == Some(owner);
        let rehash = |&index: &I| by_index.at(index).map_or(0, |owner| hasher.hash_one(owner));
        match first.entry(hasher.hash_one(owner), is_its, rehash) {
            Entry::Vacant(entry) => {
                entry.insert(index);
            }
            Entry::Occupied(_) => {
                more.insert((owner, index));
            }
        }
    }

    /// Removes the record of an index that `owner` holds.
    #[inline]
    pub(crate) fn remove(&mut self, index: I, owner: O) {
        if !Self::TRACKED {
            return;
        }
        let Self { by_index, first, more, hasher, .. } = self;
        let hash = hasher.hash_one(owner);
        match first.find_entry(hash, |&other| other == index) {
            Ok(entry) => {
                let (_, vacant) = entry.remove();
                let next = if more.is_empty() {
                    None
                } else {
                    more.range((owner, I::ZERO)..).next().copied()
                };
                if let Some((heir, index)) = next.filter(|(heir, _)| *heir == owner) {
                    more.remove(&(heir, index));
                    vacant.insert(index);
                }
            }
            Err(_) => {
                more.remove(&(owner, index));
            }
        }
        if self.former.is_some() {
            self.set_former(index, owner);
        } else {
            by_index.unset(index);
        }
    }

    /// The owner of a held index.
    #[inline]
    pub(crate) fn owner(&self, index: I) -> Option<O> {
        if Self::TRACKED { self.by_index.at(index) } else { self.only }
    }

    /// An index that the owner holds; always the same one while it does.
    pub(crate) fn first_of(&self, owner: O) -> Option<I> {
        let hash = self.hasher.hash_one(owner);
        self.first.find(hash, |&index| self.by_index.at(index) == Some(owner)).copied()
    }

    /// Every index the owner holds, in no order.
    pub(crate) fn all_of(&self, owner: O) -> impl Iterator<Item = I> + '_ {
        let more = self.more.range((owner, I::ZERO)..);
        let more = more.take_while(move |(other, _)| *other == owner).map(|(_, index)| *index);
        self.first_of(owner).into_iter().chain(more)
    }

    /// The index the owner released last, if nobody held it since.
    #[inline]
    pub(crate) fn former_of(&self, owner: O) -> Option<I> {
        let former = self.former.as_ref()?;
        let is_its = |&index: &I| self.by_index.at(index) == Some(owner);
        former.find(self.hasher.hash_one(owner), is_its).copied()
    }

    /// Whether some former owner would get this index, which nobody holds, back.
    pub(crate) fn is_former(&self, index: I) -> bool {
        let owner = self.by_index.at(index);
        owner.is_some_and(|owner| self.former_of(owner) == Some(index))
    }

    /// Forgets who released what.
    pub(crate) fn forget_formers(&mut self) {
        let Some(former) = &mut self.former else {
            return;
        };
        for index in former.drain() {
            self.by_index.unset(index);
        }
    }

    /// Every index that a former owner would get back.
    pub(crate) fn formers(&self) -> impl Iterator<Item = (I, O)> + '_ {
        let formers = self.former.iter().flatten();
        formers.filter_map(|&index| Some((index, self.by_index.at(index)?)))
    }

    /// Records that `owner` released a free index last.
    pub(crate) fn set_former(&mut self, index: I, owner: O) {
        let Some(former) = &mut self.former else {
            return;
        };
        self.by_index.set(index, owner);
        let Self { by_index, hasher, .. } = self;
        let hash = hasher.hash_one(owner);
        let is_its = |&other: &I| by_index.at(other) == Some(owner);
        if let Ok(entry) = former.find_entry(hash, is_its) {
            let (earlier, vacant) = entry.remove();
            vacant.insert(index);
            if earlier != index {
                by_index.unset(earlier);
            }
        } else {
            let rehash = |&index: &I| by_index.at(index).map_or(0, |owner| hasher.hash_one(owner));
            former.insert_unique(hash, index, rehash);
        }
    }

    /// Drops the claim that somebody has on an index by having held it before.
    fn forget_former(&mut self, index: I) {
        let Some(former) = &mut self.former else {
            return;
        };
        let Some(owner) = self.by_index.at(index) else {
            return;
        };
        let hash = self.hasher.hash_one(owner);
        if let Ok(entry) = former.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
    }

    pub(crate) const fn only(&self) -> Option<O> {
        self.only
    }
}

impl<I: Index, O: Owner> Store<I, O> {
    #[inline]
    fn at(&self, index: I) -> Option<O> {
        match self {
            Self::Pages(pages) => {
                let (page, slot) = position(index.into());
                pages.get(page)?.as_ref()?.get(slot).copied()
            }
            Self::Map(map) => map.get(&index).copied(),
        }
    }

    #[inline]
    fn set(&mut self, index: I, owner: O) {
        match self {
            Self::Pages(pages) => {
                let (page, slot) = position(index.into());
                if page >= pages.len() {
                    pages.resize(page.saturating_add(1), None);
                }
                let Some(page) = pages.get_mut(page) else {
                    return;
                };
                let page = page.get_or_insert_with(|| Box::new([owner; 64]));
                if let Some(slot) = page.get_mut(slot) {
                    *slot = owner;
                }
            }
            Self::Map(map) => {
                map.insert(index, owner);
            }
        }
    }

    #[inline]
    fn unset(&mut self, index: I) {
        match self {
            Self::Pages(_) => {}
            Self::Map(map) => {
                map.remove(&index);
            }
        }
    }
}

/// Page and slot of an index below 2^24.
const fn position(index: u128) -> (usize, usize) {
    ((index >> 6) as usize, (index & 63) as usize)
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
            owners.remove(index, 1);
        }
        let Store::Map(map) = &owners.by_index else { panic!("2^64 owners in pages") };
        assert_eq!((map.len(), owners.former_of(1)), (1, Some(99)));
        owners.insert(99, 2);
        assert_eq!(owners.former_of(1), None);
    }
}
