use alloc::vec::Vec;
use core::time::Duration;

use super::config::Pool;
use super::error::ReleaseError;
use super::grant::Released;
use crate::bits;
use crate::owners::{Owner, Owners};
use crate::policy::Policy;
use crate::space::{Number as _, Space};

impl<S: Space, O: Owner> Pool<S, O> {
    /// Takes an item back from the owner that holds it.
    ///
    /// Every mistake has its own error and changes nothing. A pool can tell an item that was
    /// released before from one that was never held; it forgets the difference in
    /// [`Pool::snapshot`] and, in a space of more than 2^24 items, where 64 neighbours are free.
    ///
    /// # Errors
    /// When the owner does not hold the item.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports, ReleaseError};
    /// # let now = Duration::ZERO;
    /// let mut pool: PortPool<u32> = PortPool::new(Ports::default());
    /// let item = pool.allocate(7, now)?.item;
    /// assert_eq!(pool.release(item, 8, now), Err(ReleaseError::HeldByOther { item, owner: 7 }));
    /// pool.release(item, 7, now)?;
    /// assert_eq!(pool.release(item, 7, now), Err(ReleaseError::AlreadyReleased { item }));
    /// assert_eq!(pool.release(80, 7, now), Err(ReleaseError::OutOfRange { item: 80 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn release(
        &mut self,
        item: S::Item,
        owner: O,
        now: Duration,
    ) -> Result<Released, ReleaseError<S::Item, O>> {
        if self.release_plain(item) {
            return Ok(Released::Free);
        }
        self.release_any(item, owner, now)
    }

    /// A release into a pool that is only a bitmap, short enough to be compiled into the caller;
    /// nothing is decided about any other, nor about an item that is not held.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a fifth of an allocation")]
    fn release_plain(&mut self, item: S::Item) -> bool {
        let ordinal = self.space.ordinal(item);
        match ordinal.and_then(|ordinal| self.layout.head_index(ordinal)) {
            Some(index) => match self.plain() {
                Some(flat) => flat.vacate_held(bits::small(S::Index::narrow(index))),
                None => false,
            },
            None => false,
        }
    }

    #[inline(never)]
    fn release_any(
        &mut self,
        item: S::Item,
        owner: O,
        now: Duration,
    ) -> Result<Released, ReleaseError<S::Item, O>> {
        self.expire(now);
        let index = match self.index_of(item) {
            Ok(index) => index,
            Err(Some(reason)) => return Err(ReleaseError::Reserved { item, reason }),
            Err(None) => return Err(ReleaseError::OutOfRange { item }),
        };
        if self.disown(index, owner) {
            Ok(self.put_back(index, now))
        } else {
            Err(self.refusal(item, index, owner))
        }
    }

    /// Takes everything back that an owner holds, and returns it in ascending order.
    pub fn release_all(&mut self, owner: O, now: Duration) -> Vec<S::Item> {
        self.expire(now);
        let items = self.held_by(owner);
        for &item in &items {
            if let Ok(index) = self.index_of(item)
                && self.disown(index, owner)
            {
                self.put_back(index, now);
            }
        }
        items
    }

    /// Ends the claim that a sticky owner has on what it released last: for an owner that is gone
    /// for good, and whose token may stand for somebody else one day.
    pub fn forget_owner(&mut self, owner: O) {
        self.owners.forget_owner(owner);
    }

    /// Ends that an owner holds an index; false, and no change, if it does not.
    #[inline]
    fn disown(&mut self, index: S::Index, owner: O) -> bool {
        if Owners::<S::Index, O>::TRACKED {
            self.owners.remove(index, owner)
        } else {
            self.bits.state(index) == bits::State::Held
        }
    }

    /// What becomes of a held index that has no owner any more.
    #[inline]
    fn put_back(&mut self, index: S::Index, now: Duration) -> Released {
        if self.cooldown.is_zero() {
            self.bits.vacate(index);
            if self.policy == Policy::LongestIdle {
                self.idle.append(now, index);
            }
            return Released::Free;
        }
        self.bits.rest(index);
        let until = now.saturating_add(self.cooldown);
        self.resting.push(until, index);
        Released::Cooling { until }
    }

    /// Why a release is refused by an owner that does not hold the item.
    #[cold]
    fn refusal(&self, item: S::Item, index: S::Index, owner: O) -> ReleaseError<S::Item, O> {
        match self.bits.state(index) {
            bits::State::Fresh => ReleaseError::NeverHeld { item },
            bits::State::Spent | bits::State::Cooling => ReleaseError::AlreadyReleased { item },
            bits::State::Held => {
                let owner = self.owners.owner(index).unwrap_or(owner);
                ReleaseError::HeldByOther { item, owner }
            }
        }
    }
}
