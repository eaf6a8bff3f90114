use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::num::NonZero;
use core::time::Duration;

use super::config::Pool;
use super::grant::Grant;
use crate::bits;
use crate::owners::Owner;
use crate::policy::Policy;
use crate::queue::Queue;
use crate::space::{Layout, Number as _, Space};

/// Splitting a pool into parts that share nothing, and putting them together again.
///
/// Every part is a pool of consecutive indexes of the whole, with its settings. What is held, by
/// whom, what is cooling and what idles stays; which of the other free items were held before is
/// forgotten. Takes time in proportion to what is held, cooling and idle.
impl<S: Space, O: Owner> Pool<S, O> {
    /// Parts of so many indexes each, the last one of what is left.
    pub(crate) fn split(&self, len: NonZero<u128>) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = 0u128;
        while start < self.bits.capacity() {
            let end = start.saturating_add(len.get()).min(self.bits.capacity());
            parts.push(self.like(self.layout.part(start, end)));
            start = end;
        }
        if let Some((part, at)) = Self::part_of(&mut parts, self.cursor, len) {
            part.cursor = at;
        }
        for index in self.bits.held() {
            if let (Some((part, at)), Some(owner)) =
                (Self::part_of(&mut parts, index, len), self.owners.owner(index))
            {
                part.take(at, owner);
            }
        }
        for (until, index) in self.resting.iter() {
            if let Some((part, at)) = Self::part_of(&mut parts, index, len) {
                part.cool(at, until);
            }
        }
        for (since, index) in self.idle.iter() {
            if let Some((part, at)) = Self::part_of(&mut parts, index, len) {
                part.idle(at, since);
            }
        }
        parts.iter_mut().for_each(Self::settle);
        parts
    }

    /// The part that an index is in, and which it is there.
    fn part_of(
        parts: &mut [Self],
        index: S::Index,
        len: NonZero<u128>,
    ) -> Option<(&mut Self, S::Index)> {
        let number = usize::try_from(index.into() / len).ok()?;
        Some((parts.get_mut(number)?, S::Index::narrow(index.into() % len)))
    }

    /// The whole of the parts that [`split`](Self::split) made of a pool, in their order.
    pub(crate) fn join<'a>(first: &'a Self, others: impl Iterator<Item = &'a Self>) -> Self {
        let mut whole = first.like(first.space.layout().clone());
        let mut offset = 0u128;
        let (mut cooling, mut idle) = (Vec::new(), Vec::new());
        for part in iter::once(first).chain(others) {
            let at = |index: S::Index| S::Index::narrow(index.into().wrapping_add(offset));
            let moved = |queue: &Queue<S::Index>| {
                let entries = queue.iter().map(|(time, index)| (time, at(index)));
                entries.collect::<Vec<(Duration, S::Index)>>()
            };
            for index in part.bits.held() {
                if let Some(owner) = part.owners.owner(index) {
                    whole.take(at(index), owner);
                }
            }
            cooling.append(&mut moved(&part.resting));
            idle.append(&mut moved(&part.idle));
            if offset == 0 {
                whole.cursor = part.cursor;
            }
            offset = offset.wrapping_add(part.bits.capacity());
        }
        // Each part has its own in order of time.
        cooling.sort_by_key(|(until, _)| *until);
        idle.sort_by_key(|(since, _)| *since);
        for (until, index) in cooling {
            whole.cool(index, until);
        }
        for (since, index) in idle {
            whole.idle(index, since);
        }
        whole.settle();
        whole
    }

    /// A next-fit search goes on where it would in another pool of the same range.
    pub(crate) fn with_cursor_of(mut self, other: &Self) -> Self {
        if self.policy == Policy::NextFit && other.policy == Policy::NextFit {
            self.cursor = other.cursor;
        }
        self
    }

    /// Allocates what is free, or nothing. The pool has no sticky owners.
    #[inline]
    pub(crate) fn allocate_vacant(&mut self, owner: O, now: Duration) -> Option<Grant<S::Item>> {
        if let Some(grant) = self.allocate_plain(owner) {
            return Some(grant);
        }
        self.expire(now);
        if self.bits.is_full() { None } else { self.allocate(owner, now).ok() }
    }

    /// When the next cooling item becomes free.
    pub(crate) fn next_free(&self) -> Option<Duration> {
        self.resting.front().map(|(until, _)| until)
    }

    pub(crate) fn holds_any(&self, owner: O) -> bool {
        self.first_held_by(owner).is_some()
    }

    pub(crate) const fn has_sticky_owners(&self) -> bool {
        self.owners.are_sticky()
    }

    pub(crate) fn shared_space(&self) -> Arc<S> {
        Arc::clone(&self.space)
    }

    /// Whether an index means the same in both.
    pub(crate) fn is_over(&self, space: &S) -> bool {
        self.layout == *space.layout()
    }

    /// An empty pool with the same settings.
    fn like(&self, layout: Layout) -> Self {
        Self::over(Arc::clone(&self.space), layout)
            .with_policy(self.policy)
            .with_cooldown(self.cooldown)
            .with_pressure(self.pressure)
    }

    /// Makes an index idle that was never touched.
    fn idle(&mut self, index: S::Index, since: Duration) {
        if self.bits.state(index) == bits::State::Fresh {
            self.bits.hold(index);
            self.bits.vacate(index);
            self.idle.append(since, index);
        }
    }
}
