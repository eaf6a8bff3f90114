use alloc::vec;
use alloc::vec::Vec;
use core::hash::{BuildHasher as _, Hasher as _};
use core::iter;
use core::mem;

use hashbrown::DefaultHashBuilder;

use super::record::Owner;
use super::table::{Entry, Link, Table};

/// Who holds what of a space of up to 2^24 indexes: a table of owners by index, through which the
/// indexes of each owner run as a list.
///
/// The heads of these lists are in a hash table with chains, and the chains run through the same
/// entries, as a head has none before it in its list. So an index costs its owner and two links,
/// 8 bytes, and an owner one and a third to two and two thirds buckets of 4 bytes.
///
/// Nothing depends on how much an owner holds. To insert takes a hash and a look at each head in
/// one chain, on average fewer than one; to remove a head takes as much, and to remove any other
/// index no hash. The buckets double when three quarters as many owners are there: that takes a
/// hash of every owner, which as many insertions of new owners have paid for. They never become
/// fewer.
#[derive(Clone, Debug)]
pub(super) struct Dense<O> {
    table: Table<O>,
    /// A link to the first head of each chain; as many as a power of two, or none.
    buckets: Vec<Link>,
    /// How many owners hold anything, which is the number of heads.
    owners: usize,
    hasher: DefaultHashBuilder,
}

impl<O: Owner> Dense<O> {
    /// How many indexes there can be.
    pub(super) const MAX: u32 = 1 << 24;

    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { table: Table::new(), buckets: Vec::new(), owners: 0, hasher }
    }

    /// Who holds an index or held it last.
    #[inline]
    pub(super) fn at(&self, index: u32) -> Option<O> {
        self.table.get(index).map(|entry| entry.owner)
    }

    /// Records the owner of an index that nobody holds.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an insertion")]
    pub(super) fn insert(&mut self, index: u32, owner: O) {
        if self.owners >= (self.buckets.len() / 4).wrapping_mul(3) {
            self.grow();
        }
        let bucket = self.bucket(owner);
        let Self { table, buckets, .. } = self;
        let Some(chain) = buckets.get_mut(bucket) else {
            return;
        };
        let Some(head) = find(table, *chain, owner) else {
            let back = mem::replace(chain, Link::to_head(index));
            self.owners = self.owners.wrapping_add(1);
            table.set(index, Entry { owner, next: Link::END, back });
            return;
        };
        // Behind the head, which stays the first.
        let next = match table.get_mut(head) {
            Some(entry) => mem::replace(&mut entry.next, Link::to(index)),
            None => Link::END,
        };
        if let Some(entry) = table.at_mut(next) {
            entry.back = Link::to(index);
        }
        table.set(index, Entry { owner, next, back: Link::to(head) });
    }

    /// Removes an index from what `owner` holds, who is then still known to have held it last;
    /// false, and no change, if the owner does not hold it.
    #[inline]
    pub(super) fn remove(&mut self, index: u32, owner: O) -> bool {
        let Some(entry) = self.table.get_mut(index).filter(|entry| entry.is_held_by(owner)) else {
            return false;
        };
        let Entry { next, back, .. } = mem::replace(entry, Entry::vacant(owner));
        // The next index takes the place of this one, also in the chain.
        if let Some(entry) = self.table.at_mut(next) {
            entry.back = back;
        }
        if back.is_chain() {
            let heir = if let Some(heir) = next.index() {
                Link::to_head(heir)
            } else {
                self.owners = self.owners.wrapping_sub(1);
                back
            };
            self.replace_head(index, owner, heir);
        } else if let Some(entry) = self.table.at_mut(back) {
            entry.next = next;
        }
        true
    }

    /// Records who held an index last that nobody holds.
    pub(super) fn set_last(&mut self, index: u32, owner: O) {
        self.table.set(index, Entry::vacant(owner));
    }

    /// An index that the owner holds; always the same one while it does.
    pub(super) fn first_of(&self, owner: O) -> Option<u32> {
        find(&self.table, *self.buckets.get(self.bucket(owner))?, owner)
    }

    /// Every index that the owner holds, in no order.
    pub(super) fn all_of(&self, owner: O) -> impl Iterator<Item = u32> + '_ {
        iter::successors(self.first_of(owner), |&index| self.table.get(index)?.next.index())
    }

    /// The chain that the head of an owner belongs to.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "only low bits count")]
    #[expect(clippy::manual_hash_one, reason = "`hash_one` is a call for what is ten instructions")]
    fn bucket(&self, owner: O) -> usize {
        let mut hasher = self.hasher.build_hasher();
        owner.hash(&mut hasher);
        hasher.finish() as usize & self.buckets.len().wrapping_sub(1)
    }

    /// Makes the link that leads to an owner's head lead somewhere else.
    #[inline]
    fn replace_head(&mut self, head: u32, owner: O, heir: Link) {
        let bucket = self.bucket(owner);
        let Some(mut link) = self.buckets.get_mut(bucket) else {
            return;
        };
        while let Some(before) = link.index().filter(|&index| index != head) {
            let Some(entry) = self.table.get_mut(before) else {
                return;
            };
            link = &mut entry.back;
        }
        *link = heir;
    }

    /// Doubles the buckets.
    #[cold]
    fn grow(&mut self) {
        let len = self.buckets.len().saturating_mul(2).max(4);
        let chains = mem::replace(&mut self.buckets, vec![Link::END_OF_CHAIN; len]);
        for mut link in chains {
            while let Some((head, Entry { owner, back, .. })) =
                link.index().and_then(|head| Some((head, *self.table.get(head)?)))
            {
                let bucket = self.bucket(owner);
                if let Some(chain) = self.buckets.get_mut(bucket)
                    && let Some(entry) = self.table.get_mut(head)
                {
                    entry.back = mem::replace(chain, link);
                }
                link = back;
            }
        }
    }
}

/// The head of an owner's list, in its chain.
#[inline]
fn find<O: Owner>(table: &Table<O>, chain: Link, owner: O) -> Option<u32> {
    let mut link = chain;
    loop {
        let head = link.index()?;
        let entry = table.get(head)?;
        if entry.owner == owner {
            return Some(head);
        }
        link = entry.back;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::{BTreeMap, BTreeSet};
    use core::hash::{Hash, Hasher};

    /// An owner whose hash is that of every other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Alike(u32);

    impl Hash for Alike {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    /// Every head is in the chain of its owner and nothing else is; lists are the same both ways.
    fn check<O: Owner>(dense: &Dense<O>, expected: &BTreeMap<u32, O>) {
        let mut found = BTreeMap::new();
        let mut owners = BTreeSet::new();
        for (bucket, mut chain) in dense.buckets.iter().copied().enumerate() {
            while let Some(head) = chain.index() {
                let owner = dense.at(head).unwrap();
                assert!(chain.is_chain() && owners.insert(owner), "{owner:?} has two heads");
                assert_eq!((dense.bucket(owner), dense.first_of(owner)), (bucket, Some(head)));
                chain = dense.table.get(head).unwrap().back;
                let mut before = None;
                for index in dense.all_of(owner) {
                    let entry = dense.table.get(index).unwrap();
                    assert_eq!((entry.owner, entry.back.is_chain()), (owner, before.is_none()));
                    assert!(before.is_none() || entry.back.index() == before);
                    assert_eq!(found.insert(index, owner), None);
                    before = Some(index);
                }
            }
            assert!(chain.is_chain());
        }
        assert_eq!((&found, dense.owners), (expected, owners.len()));
    }

    fn random<O: Owner>(owner: impl Fn(u32) -> O, owners: u32) {
        let (mut dense, mut plain) = (Dense::new(), BTreeMap::new());
        let mut seed = u64::from(owners);
        for step in 0..6_000u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Around the end of the last page there can be.
            let index = (seed >> 40) as u32 % 300 + (Dense::<O>::MAX - 300);
            let (one, other) = (owner(seed as u32 % owners), owner(owners));
            if let Some(holder) = plain.remove(&index) {
                assert!(!dense.remove(index, other) && dense.remove(index, holder));
                assert!(!dense.remove(index, holder), "{index} is removed twice");
            } else {
                let first = dense.first_of(one);
                dense.insert(index, one);
                plain.insert(index, one);
                assert_eq!(dense.first_of(one), Some(first.unwrap_or(index)));
            }
            if step % 16 == 0 {
                check(&dense, &plain);
            }
        }
        assert!(plain.len() > 100);
    }

    #[test]
    fn agrees_with_a_plain_map() {
        for owners in [1, 2, 20, 1_000] {
            random(u64::from, owners);
            random(Alike, owners);
        }
    }

    /// In the same chain as one who holds a hundred thousand, another owner meets one head more.
    #[test]
    fn what_an_owner_holds_is_not_in_the_way_of_another() {
        let mut dense = Dense::new();
        (0..100_000).for_each(|index| dense.insert(index, Alike(1)));
        dense.insert(100_000, Alike(2));
        let first = dense.buckets[dense.bucket(Alike(1))];
        let back = |link: Link| dense.table.get(link.index().unwrap()).unwrap().back;
        assert_eq!((first.index(), back(first).index()), (Some(100_000), Some(0)));
        assert_eq!(back(back(first)), Link::END_OF_CHAIN);
        for index in (0..100_000).rev() {
            assert!(dense.remove(index, Alike(1)));
        }
        assert_eq!(dense.all_of(Alike(1)).next(), None);
        check(&dense, &[(100_000, Alike(2))].into());
    }
}
