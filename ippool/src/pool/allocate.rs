use alloc::vec::Vec;
use core::num::NonZero;
use core::ops::RangeInclusive;
use core::time::Duration;

use rand::Rng;

use super::config::Pool;
use super::error::{AllocateError, ExactError};
use super::grant::{Grant, How};
use crate::bits;
use crate::owners::Owner;
use crate::policy::{Policy, Pressure};
use crate::space::{Number as _, Space};

impl<S: Space, O: Owner> Pool<S, O> {
    /// Hands out one item, chosen by the policy. An owner that calls twice gets two items;
    /// see [`Pool::allocate_once`].
    ///
    /// # Errors
    /// When nothing is free. That takes no longer to find out than an allocation.
    #[inline]
    pub fn allocate(&mut self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        match self.allocate_plain(owner) {
            Some(grant) => Ok(grant),
            None => self.allocate_any(owner, now),
        }
    }

    /// Returns the item that the owner holds, or hands out one if it holds none: calling again
    /// changes nothing. Of several, it is always the same one.
    ///
    /// # Errors
    /// When the owner holds none and nothing is free.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{How, PortPool, Ports};
    /// let mut pool: PortPool<u32> = PortPool::new(Ports::default());
    /// let port = pool.allocate_once(7, Duration::ZERO)?.item;
    /// let again = pool.allocate_once(7, Duration::ZERO)?;
    /// assert_eq!((again.item, again.how), (port, How::AlreadyHeld));
    /// # Ok::<(), ippool::AllocateError>(())
    /// ```
    pub fn allocate_once(
        &mut self,
        owner: O,
        now: Duration,
    ) -> Result<Grant<S::Item>, AllocateError> {
        self.expire(now);
        match self.first_held_by(owner) {
            Some(item) => Ok(Grant { item, how: How::AlreadyHeld }),
            None => self.allocate(owner, now),
        }
    }

    /// [`Pool::allocate_once`] with a condition on what is handed out, as in
    /// [`Pool::allocate_where`]; what the owner holds already is not asked about.
    ///
    /// # Errors
    /// When the owner holds none, and nothing is free or `usable` is true for none of what is.
    pub fn allocate_once_where(
        &mut self,
        owner: O,
        now: Duration,
        usable: impl FnMut(S::Item) -> bool,
    ) -> Result<Grant<S::Item>, AllocateError> {
        self.expire(now);
        match self.first_held_by(owner) {
            Some(item) => Ok(Grant { item, how: How::AlreadyHeld }),
            None => self.allocate_where(owner, now, usable),
        }
    }

    /// Hands out one item for which `usable` is true. Items are tried in the order of the policy,
    /// so every refusal costs one more step. Nothing else may be known about the refused ones;
    /// they stay free.
    ///
    /// # Errors
    /// When nothing is free, or `usable` is true for none of what is.
    pub fn allocate_where(
        &mut self,
        owner: O,
        now: Duration,
        mut usable: impl FnMut(S::Item) -> bool,
    ) -> Result<Grant<S::Item>, AllocateError> {
        self.expire(now);
        if let Some(grant) = self.returned(owner, &mut usable) {
            return Ok(grant);
        }
        if let Some(index) = self.choose(&mut usable) {
            return Ok(self.hand_out(index, owner));
        }
        self.under_pressure(owner, now, usable)
    }

    /// Hands out one item chosen at random, each free one with the same probability.
    ///
    /// Beyond 2^24 items that holds as long as some of 64 draws hits a free one, hence always in
    /// practice; then the first free one after the last draw is taken. Sticky owners get their
    /// item back as with [`Pool::allocate`].
    ///
    /// # Errors
    /// When nothing is free.
    pub fn allocate_random<R: Rng + ?Sized>(
        &mut self,
        owner: O,
        now: Duration,
        rng: &mut R,
    ) -> Result<Grant<S::Item>, AllocateError> {
        self.expire(now);
        if let Some(grant) = self.returned(owner, &mut |_| true) {
            return Ok(grant);
        }
        if let Some(index) = self.bits.random_free(rng) {
            return Ok(self.hand_out(index, owner));
        }
        self.under_pressure(owner, now, |_| true)
    }

    /// Hands out `count` items at once, chosen by the policy, or none.
    ///
    /// # Errors
    /// When fewer are free; with [`Pressure::ReuseOldest`], when fewer are free or cooling.
    pub fn allocate_many(
        &mut self,
        owner: O,
        count: usize,
        now: Duration,
    ) -> Result<Vec<Grant<S::Item>>, AllocateError> {
        self.expire(now);
        let counts = self.counts();
        let wanted = count as u128;
        let available = match self.pressure {
            Pressure::Refuse => counts.free,
            Pressure::ReuseOldest => counts.free.saturating_add(counts.cooling),
        };
        if wanted > available {
            return Err(AllocateError::TooFew { wanted, counts });
        }
        (0..count).map(|_| self.allocate(owner, now)).collect()
    }

    /// Hands out `count` consecutive items, the lowest there are, whatever the policy. A run never
    /// spans a reserved item.
    ///
    /// # Errors
    /// When no such run is free.
    pub fn allocate_run(
        &mut self,
        owner: O,
        count: NonZero<u32>,
        now: Duration,
    ) -> Result<RangeInclusive<S::Item>, AllocateError> {
        self.expire(now);
        let (counts, wanted) = (self.counts(), u128::from(count.get()));
        if wanted > counts.free {
            return Err(AllocateError::TooFew { wanted, counts });
        }
        let mut stretches = self.layout.stretches();
        let first = stretches.find_map(|(start, end)| self.bits.free_run(start, end, wanted));
        drop(stretches);
        let Some(first) = first else {
            return Err(AllocateError::NoRun { wanted, counts });
        };
        let mut last = first;
        for offset in 0..wanted {
            last = S::Index::narrow(first.into().wrapping_add(offset));
            self.take(last, owner);
        }
        Ok(self.item(first)..=self.item(last))
    }

    /// Hands out a certain item, if it is free. A sticky owner can also have the item back that it
    /// released last while that is still cooling.
    ///
    /// # Errors
    /// When the item is held, even by the same owner, or cooling, reserved, or not of this space.
    pub fn allocate_exact(
        &mut self,
        item: S::Item,
        owner: O,
        now: Duration,
    ) -> Result<(), ExactError<S::Item, O>> {
        self.expire(now);
        let index = match self.index_of(item) {
            Ok(index) => index,
            Err(Some(reason)) => return Err(ExactError::Reserved { item, reason }),
            Err(None) => return Err(ExactError::OutOfRange { item }),
        };
        match self.bits.state(index) {
            bits::State::Fresh | bits::State::Spent => {}
            bits::State::Held => {
                let owner = self.owners.owner(index).unwrap_or(owner);
                return Err(ExactError::Held { item, owner });
            }
            bits::State::Cooling => {
                if self.owners.former_of(owner) != Some(index) {
                    return Err(ExactError::Cooling { item });
                }
            }
        }
        self.take(index, owner);
        Ok(())
    }

    /// Makes an index held that was not, whatever queue it may be in.
    pub(super) fn take(&mut self, index: S::Index, owner: O) {
        match self.bits.state(index) {
            bits::State::Cooling => self.resting.remove(index),
            bits::State::Spent if self.policy == Policy::LongestIdle => self.idle.remove(index),
            bits::State::Fresh | bits::State::Spent | bits::State::Held => {}
        }
        self.bits.hold(index);
        self.owners.insert(index, owner);
    }

    /// An allocation from a pool that is only a bitmap, short enough to be compiled into the
    /// caller; nothing is decided about any other.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an allocation")]
    pub(super) fn allocate_plain(&mut self, owner: O) -> Option<Grant<S::Item>> {
        let (policy, cursor) = (self.policy, bits::small(self.cursor));
        let flat = self.plain()?;
        let index = if policy == Policy::Lowest {
            bits::wide(flat.take_first()?)
        } else {
            let index = bits::wide(flat.take_from(cursor)?);
            self.advance(index);
            index
        };
        self.owners.insert(index, owner);
        Some(Grant { item: self.item(index), how: How::Vacant })
    }

    #[inline(never)]
    fn allocate_any(&mut self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        if self.bits.is_full() && self.resting.is_empty() {
            return Err(self.exhausted());
        }
        self.allocate_by_policy(owner, now)
    }

    #[inline(never)]
    fn allocate_by_policy(
        &mut self,
        owner: O,
        now: Duration,
    ) -> Result<Grant<S::Item>, AllocateError> {
        if self.policy == Policy::LongestIdle || self.owners.are_sticky() {
            return self.allocate_where(owner, now, |_| true);
        }
        // Where as much is released as allocated, one item is due each time: no loop for that one.
        if self.resting.is_due(now) {
            self.free_oldest();
            self.expire(now);
            self.settle();
        }
        // What is free is in no queue and nobody else's: the first that is found will do.
        let index = match self.policy {
            Policy::Lowest => self.bits.take_first(),
            _ => self.bits.take_from(self.cursor),
        };
        let Some(index) = index else {
            return self.under_pressure(owner, now, |_| true);
        };
        self.advance(index);
        self.owners.insert(index, owner);
        Ok(Grant { item: self.item(index), how: How::Vacant })
    }

    fn exhausted(&self) -> AllocateError {
        let next_free = self.resting.front().map(|(until, _)| until);
        AllocateError::Exhausted { counts: self.counts(), next_free }
    }

    /// A next-fit search goes on after this index; after the last that there can be, it starts
    /// again at the lowest.
    #[inline]
    fn advance(&mut self, index: S::Index) {
        self.cursor = index.next().unwrap_or(S::Index::ZERO);
    }

    /// The item this owner released last, if that is to be had.
    fn returned(
        &mut self,
        owner: O,
        usable: &mut impl FnMut(S::Item) -> bool,
    ) -> Option<Grant<S::Item>> {
        let index = self.owners.former_of(owner)?;
        let item = self.item(index);
        usable(item).then(|| {
            self.take(index, owner);
            Grant { item, how: How::Returned }
        })
    }

    /// A free index by policy.
    fn choose(&mut self, usable: &mut impl FnMut(S::Item) -> bool) -> Option<S::Index> {
        match self.policy {
            Policy::Lowest => self.scan(self.bits.first_free(), None, usable),
            Policy::NextFit => {
                let found = self.scan(self.bits.next_free(self.cursor), None, usable);
                let found = found
                    .or_else(|| self.scan(self.bits.first_free(), Some(self.cursor), usable))?;
                self.advance(found);
                Some(found)
            }
            Policy::LongestIdle => self.choose_idle(usable),
        }
    }

    /// The first usable of the free indexes below `end`, of which `next` is the lowest candidate.
    fn scan(
        &self,
        mut next: Option<S::Index>,
        end: Option<S::Index>,
        usable: &mut impl FnMut(S::Item) -> bool,
    ) -> Option<S::Index> {
        loop {
            let index = next?;
            if end.is_some_and(|end| index >= end) {
                return None;
            }
            if usable(self.item(index)) {
                return Some(index);
            }
            next = self.bits.next_free(index.next()?);
        }
    }

    fn choose_idle(&mut self, usable: &mut impl FnMut(S::Item) -> bool) -> Option<S::Index> {
        // What is below the cursor has been held, so it moves up once and never back.
        while let Some(index) = self.bits.next_free(self.cursor) {
            self.cursor = index;
            let (false, Some(next)) = (self.bits.state(index) == bits::State::Fresh, index.next())
            else {
                break;
            };
            self.cursor = next;
        }
        let mut never_held = |item| {
            let index = self.index_of(item);
            index.is_ok_and(|index| self.bits.state(index) == bits::State::Fresh) && usable(item)
        };
        let fresh = self.scan(self.bits.next_free(self.cursor), None, &mut never_held);
        fresh.or_else(|| {
            let mut queue = self.idle.iter().map(|(_, index)| index);
            queue.find(|&index| usable(self.item(index)))
        })
    }

    fn hand_out(&mut self, index: S::Index, owner: O) -> Grant<S::Item> {
        self.take(index, owner);
        Grant { item: self.item(index), how: How::Vacant }
    }

    /// What to do when nothing usable is free.
    #[cold]
    fn under_pressure(
        &mut self,
        owner: O,
        now: Duration,
        mut usable: impl FnMut(S::Item) -> bool,
    ) -> Result<Grant<S::Item>, AllocateError> {
        let counts = self.counts();
        if self.pressure == Pressure::ReuseOldest {
            let mut queue = self.resting.iter();
            let oldest = queue.find(|&(_, index)| usable(self.item(index)));
            drop(queue);
            if let Some((until, index)) = oldest {
                self.take(index, owner);
                let remaining = until.saturating_sub(now);
                return Ok(Grant { item: self.item(index), how: How::Early { remaining } });
            }
        }
        if counts.free > 0 {
            return Err(AllocateError::AllRefused { counts });
        }
        Err(self.exhausted())
    }
}
