use alloc::vec::Vec;
use core::time::Duration;

use super::config::Pool;
use crate::bits;
use crate::owners::{Owner, Owners};
use crate::space::{Number as _, Place, Reason, Reservation, Space};

/// The state of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State<O> {
    /// It can be handed out.
    Free,
    /// Somebody holds it.
    Held(O),
    /// It was released a short time ago.
    Cooling,
    /// It is never handed out.
    Reserved(Reason),
    /// It is not of this space.
    OutOfRange,
}

impl<S: Space, O: Owner> Pool<S, O> {
    /// The state of an item, as of the last call that took the time.
    #[must_use]
    pub fn state(&self, item: S::Item) -> State<O> {
        let index = match self.index_of(item) {
            Ok(index) => index,
            Err(Some(reason)) => return State::Reserved(reason),
            Err(None) => return State::OutOfRange,
        };
        match self.bits.state(index) {
            bits::State::Fresh | bits::State::Spent => State::Free,
            bits::State::Cooling => State::Cooling,
            bits::State::Held => match self.owners.owner(index) {
                Some(owner) => State::Held(owner),
                None => unreachable!("an owner is recorded with every held index"),
            },
        }
    }

    /// Who holds an item.
    #[must_use]
    pub fn owner(&self, item: S::Item) -> Option<O> {
        match self.state(item) {
            State::Held(owner) => Some(owner),
            State::Free | State::Cooling | State::Reserved(_) | State::OutOfRange => None,
        }
    }

    /// What an owner holds, in ascending order.
    #[must_use]
    pub fn held_by(&self, owner: O) -> Vec<S::Item> {
        if !Owners::<S::Index, O>::TRACKED {
            return self.held().map(|(item, _)| item).collect();
        }
        let mut indexes: Vec<S::Index> = self.owners.all_of(owner).collect();
        indexes.sort_unstable();
        indexes.into_iter().map(|index| self.item(index)).collect()
    }

    /// Every held item with its owner, in ascending order.
    pub fn held(&self) -> impl Iterator<Item = (S::Item, O)> + '_ {
        self.bits.held().filter_map(|index| Some((self.item(index), self.owners.owner(index)?)))
    }

    /// Every cooling item with the time when it becomes free, a duration since the Unix epoch;
    /// that time never decreases.
    pub fn cooling(&self) -> impl Iterator<Item = (S::Item, Duration)> + '_ {
        self.resting.iter().map(|(until, index)| (self.item(index), until))
    }

    /// Every free item, in ascending order. In an IPv6 prefix that may be more than anybody can
    /// count.
    pub fn free(&self) -> impl Iterator<Item = S::Item> + '_ {
        self.bits.free().map(|index| self.item(index))
    }

    /// The free item that has `rank` free ones below it, counted from 0: for a choice of one's own,
    /// such as by a hash of the owner, followed by [`Pool::allocate_exact`].
    ///
    /// The first call of a pool of up to 2^24 items counts what is free, and from then on the pool
    /// keeps the counts, at 1/128 byte for each item; a larger one looks at all that is held.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports};
    /// let mut pool: PortPool = PortPool::new(Ports::default());
    /// pool.allocate_exact(22003, (), Duration::ZERO)?;
    /// assert_eq!(pool.nth_free(2), Some(22004));
    /// assert_eq!(pool.nth_free(9_999), None);
    /// # Ok::<(), ippool::ExactError<u16, ()>>(())
    /// ```
    pub fn nth_free(&mut self, rank: u128) -> Option<S::Item> {
        self.bits.nth_free(rank).map(|index| self.item(index))
    }

    /// What the pool never hands out, ascending; one reservation may overlap another.
    pub fn reserved(&self) -> impl Iterator<Item = Reservation<S::Item>> + '_ {
        self.space.layout().reservations().iter().map(|block| Reservation {
            first: self.space.item(block.first),
            last: self.space.item(block.last),
            reason: block.reason,
        })
    }

    /// The index of an item, or why it has none: the reservation, or that it is not of this space.
    #[inline]
    pub(super) fn index_of(&self, item: S::Item) -> Result<S::Index, Option<Reason>> {
        match self.space.ordinal(item).map(|ordinal| self.layout.place(ordinal)) {
            Some(Place::Index(index)) => Ok(S::Index::narrow(index)),
            Some(Place::Reserved(reason)) => Err(Some(reason)),
            Some(Place::Outside) | None => Err(None),
        }
    }

    #[inline]
    pub(super) fn item(&self, index: S::Index) -> S::Item {
        self.space.item(self.layout.ordinal(index.into()))
    }

    pub(super) fn first_held_by(&self, owner: O) -> Option<S::Item> {
        if Owners::<S::Index, O>::TRACKED {
            self.owners.first_of(owner).map(|index| self.item(index))
        } else {
            self.bits.held().next().map(|index| self.item(index))
        }
    }
}
