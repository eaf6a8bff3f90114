use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::num::NonZero;
use core::time::Duration;

use super::stripe::{Stripe, Whole};
use super::sync::{MutexGuard, home};
use crate::counts::Counts;
use crate::owners::Owner;
use crate::pool::{AllocateError, ExactError, Grant, Pool, ReleaseError, Released, State};
use crate::snapshot::Snapshot;
use crate::space::{Place, Space};

/// A pool for several threads.
///
/// At first it is one lock around the pool, held for some tens of nanoseconds: every operation is
/// atomic, and what holds for [`Pool`] holds here. Where threads do little else than allocate and
/// release, [`Shared::with_stripes`] gives each of them a part of the pool to itself.
///
/// ```
/// use core::time::Duration;
/// use ippool::{PortPool, Ports, Shared};
///
/// let pool = Shared::new(PortPool::<u32>::new(Ports::default()));
/// std::thread::scope(|scope| {
///     for owner in 0..4 {
///         let pool = &pool;
///         scope.spawn(move || pool.allocate(owner, Duration::ZERO));
///     }
/// });
/// assert_eq!(pool.counts().held, 4);
/// ```
#[derive(Debug)]
pub struct Shared<S: Space, O: Owner = ()> {
    /// The pool, or the first part of it.
    first: Stripe<S, O>,
    /// The other parts, in the order of their items.
    others: Box<[Stripe<S, O>]>,
    /// How many indexes each part has; the last one may have fewer.
    len: NonZero<u128>,
    space: Arc<S>,
    #[cfg(feature = "notify")]
    pub(super) released: super::waiting::Releases,
}

/// Parts end where a word of the engine does.
const WORD: NonZero<u128> = NonZero::new(64).unwrap();

/// Nobody has more threads than this allocate at a time.
const MAX_STRIPES: usize = 1024;

impl<S: Space, O: Owner> Shared<S, O> {
    /// A front for a pool, with one lock.
    #[must_use]
    pub fn new(pool: Pool<S, O>) -> Self {
        Self {
            space: pool.shared_space(),
            first: Stripe::new(pool),
            others: Box::default(),
            len: WORD,
            #[cfg(feature = "notify")]
            released: super::waiting::Releases::default(),
        }
    }

    /// Splits the pool into so many parts of the same size, with a lock each; as many as threads
    /// use it at a time is a good number. A thread allocates from one part until nothing is free
    /// there, and leaves it to others if it meets them there often.
    ///
    /// - The policy holds within a part: the lowest item is the lowest of its part, and next fit
    ///   goes round in it. Nothing is refused as long as anything is free in any part.
    /// - [`allocate_once`](Self::allocate_once), [`release_all`](Self::release_all) and
    ///   [`counts`](Self::counts) take all locks. [`with`](Self::with) and
    ///   [`into_inner`](Self::into_inner) put the parts together, which takes time in proportion to
    ///   what is held and cooling, and forgets which of the free items were held before.
    /// - A part of up to 2^24 items takes a quarter of a byte for each of them, also where the whole
    ///   pool is too large for that.
    /// - A pool with sticky owners stays in one part, and so does one of 64 items or fewer; a count
    ///   of more than 1,024 counts as that.
    ///
    /// ```
    /// use core::num::NonZero;
    /// use core::time::Duration;
    /// use ippool::{AddressPool, Shared};
    ///
    /// let pool: AddressPool = AddressPool::new("172.16.0.0/16".parse()?);
    /// let pool = Shared::new(pool).with_stripes(NonZero::new(4).unwrap());
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| pool.allocate((), Duration::ZERO));
    ///     }
    /// });
    /// assert_eq!(pool.into_inner().counts().held, 4);
    /// # Ok::<(), ippool::PrefixError>(())
    /// ```
    #[must_use]
    pub fn with_stripes(self, count: NonZero<usize>) -> Self {
        let pool = self.into_inner();
        let count = count.get().min(MAX_STRIPES);
        if count == 1 || pool.has_sticky_owners() {
            return Self::new(pool);
        }
        let words = pool.counts().capacity.div_ceil(count as u128).div_ceil(WORD.get());
        let len = NonZero::new(words).map_or(WORD, |words| words.saturating_mul(WORD));
        let mut parts = pool.split(len).into_iter();
        let Some(first) = parts.next() else {
            return Self::new(pool);
        };
        Self { others: parts.map(Stripe::new).collect(), len, ..Self::new(first) }
    }

    /// How many parts, each with a lock of its own, the pool is split into.
    #[must_use]
    pub const fn stripes(&self) -> usize {
        self.others.len().saturating_add(1)
    }

    /// See [`Pool::allocate`].
    ///
    /// # Errors
    /// When nothing is free.
    pub fn allocate(&self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        if self.others.is_empty() {
            return self.first.lock().allocate(owner, now);
        }
        match self.allocate_nearby(owner, now) {
            Some(grant) => Ok(grant),
            None => self.allocate_anywhere(&mut self.lock_all(), owner, now),
        }
    }

    /// See [`Pool::allocate_once`].
    ///
    /// # Errors
    /// When the owner holds none and nothing is free.
    pub fn allocate_once(&self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        if self.others.is_empty() {
            return self.first.lock().allocate_once(owner, now);
        }
        let mut parts = self.lock_all();
        match parts.iter_mut().find(|part| part.holds_any(owner)) {
            Some(part) => part.allocate_once(owner, now),
            None => self.allocate_anywhere(&mut parts, owner, now),
        }
    }

    /// See [`Pool::allocate_exact`].
    ///
    /// # Errors
    /// When the item is held, even by the same owner, or cooling, reserved, or not of this space.
    pub fn allocate_exact(
        &self,
        item: S::Item,
        owner: O,
        now: Duration,
    ) -> Result<(), ExactError<S::Item, O>> {
        self.part_of(item).lock().allocate_exact(item, owner, now)
    }

    /// See [`Pool::release`].
    ///
    /// # Errors
    /// When the owner does not hold the item.
    pub fn release(
        &self,
        item: S::Item,
        owner: O,
        now: Duration,
    ) -> Result<Released, ReleaseError<S::Item, O>> {
        let released = self.part_of(item).lock().release(item, owner, now)?;
        self.notify(match released {
            Released::Free => 1,
            // All have to know when it becomes free: whoever alone knew might give up before.
            Released::Cooling { .. } => usize::MAX,
        });
        Ok(released)
    }

    /// See [`Pool::release_all`].
    pub fn release_all(&self, owner: O, now: Duration) -> Vec<S::Item> {
        let mut parts = self.lock_all();
        let released = parts.iter_mut().flat_map(|part| part.release_all(owner, now));
        let items: Vec<S::Item> = released.collect();
        let cools = parts.iter().any(|part| !part.cooldown().is_zero());
        drop(parts);
        self.notify(if cools { usize::MAX } else { items.len() });
        items
    }

    /// See [`Pool::state`].
    #[must_use]
    pub fn state(&self, item: S::Item) -> State<O> {
        self.part_of(item).lock().state(item)
    }

    /// See [`Pool::counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        if self.others.is_empty() {
            return self.first.lock().counts();
        }
        self.counts_of(&self.lock_all())
    }

    /// See [`Pool::snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<O> {
        let first = self.first.lock();
        if self.others.is_empty() {
            return first.snapshot();
        }
        let others: Vec<_> = self.others.iter().map(Stripe::lock).collect();
        Pool::join(&first, others.iter().map(|part| &**part)).snapshot()
    }

    /// Does anything else with the pool, as one step for all other threads. It must not use this
    /// front, which would wait for itself. Wakes all who wait for an item.
    ///
    /// Another pool can be put in its place. With stripes it has to be of the same range, or it is
    /// dropped, and its owners do not become sticky.
    ///
    /// ```
    /// # use core::num::NonZero;
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports, Shared};
    /// let pool = Shared::new(PortPool::<u32>::new(Ports::default()));
    /// let four = NonZero::new(4).unwrap();
    /// let range = pool.with(|pool| pool.allocate_run(7, four, Duration::ZERO))?;
    /// assert_eq!(range, 22001..=22004);
    /// assert_eq!(pool.counts().held, 4);
    /// # Ok::<(), ippool::AllocateError>(())
    /// ```
    pub fn with<R>(&self, work: impl FnOnce(&mut Pool<S, O>) -> R) -> R {
        // What the work has done stays, and is told, even if it panics.
        let _told = Told(self);
        let first = self.first.lock();
        let others = self.others.iter().map(Stripe::lock).collect();
        Whole::new(first, others, self.len, &self.space).with(work)
    }

    /// The pool.
    #[must_use]
    pub fn into_inner(self) -> Pool<S, O> {
        let first = self.first.into_inner();
        if self.others.is_empty() {
            return first;
        }
        let others: Vec<_> = self.others.into_iter().map(Stripe::into_inner).collect();
        Pool::join(&first, others.iter())
    }

    /// Allocates from the thread's own part, or if nothing is free there, from the next that has
    /// something, which is then its own. When it returns none, something may be free by now.
    fn allocate_nearby(&self, owner: O, now: Duration) -> Option<Grant<S::Item>> {
        let home = home::get();
        let own = self.stripe(home);
        let mut part = if let Some(part) = own.try_lock() {
            home::was_free();
            part
        } else {
            home::was_busy();
            own.lock()
        };
        if let Some(grant) = part.allocate_vacant(owner, now) {
            return Some(grant);
        }
        drop(part);
        (1..self.stripes()).map(|step| home.wrapping_add(step)).find_map(|number| {
            let grant = self.stripe(number).lock().allocate_vacant(owner, now)?;
            home::move_to(number);
            Some(grant)
        })
    }

    /// Allocates while nothing can change: something free, or else what has cooled for longest.
    fn allocate_anywhere(
        &self,
        parts: &mut [MutexGuard<'_, Pool<S, O>>],
        owner: O,
        now: Duration,
    ) -> Result<Grant<S::Item>, AllocateError> {
        if let Some(grant) = parts.iter_mut().find_map(|part| part.allocate_vacant(owner, now)) {
            return Ok(grant);
        }
        let counts = self.counts_of(parts);
        let cooling = parts.iter_mut().filter_map(|part| Some((part.next_free()?, part)));
        match cooling.min_by_key(|(next, _)| *next) {
            None => Err(AllocateError::Exhausted { counts, next_free: None }),
            Some((next, part)) => part
                .allocate(owner, now)
                .map_err(|_of_a_part| AllocateError::Exhausted { counts, next_free: Some(next) }),
        }
    }

    fn counts_of(&self, parts: &[MutexGuard<'_, Pool<S, O>>]) -> Counts {
        let reserved = self.space.layout().reserved();
        let none = Counts { capacity: 0, held: 0, cooling: 0, free: 0, reserved };
        parts.iter().map(|part| part.counts()).fold(none, |sum, part| Counts {
            capacity: sum.capacity.saturating_add(part.capacity),
            held: sum.held.saturating_add(part.held),
            cooling: sum.cooling.saturating_add(part.cooling),
            free: sum.free.saturating_add(part.free),
            reserved,
        })
    }

    /// The part that an item is in; any, if it is in none.
    fn part_of(&self, item: S::Item) -> &Stripe<S, O> {
        if self.others.is_empty() {
            return &self.first;
        }
        match self.space.ordinal(item).map(|ordinal| self.space.layout().place(ordinal)) {
            Some(Place::Index(index)) => {
                // Mostly 64 bits are enough, and faster to divide.
                let number = match (u64::try_from(index), u64::try_from(self.len.get())) {
                    (Ok(index), Ok(len)) => index.checked_div(len).unwrap_or_default().into(),
                    _ => index / self.len,
                };
                self.stripe(usize::try_from(number).unwrap_or_default())
            }
            Some(Place::Reserved(_) | Place::Outside) | None => &self.first,
        }
    }

    /// The part of this number, counted around.
    fn stripe(&self, number: usize) -> &Stripe<S, O> {
        let number = if number < self.stripes() {
            number
        } else {
            number.checked_rem(self.stripes()).unwrap_or_default()
        };
        number.checked_sub(1).and_then(|number| self.others.get(number)).unwrap_or(&self.first)
    }

    /// All locks, taken in the same order by everybody.
    fn lock_all(&self) -> Vec<MutexGuard<'_, Pool<S, O>>> {
        iter::once(&self.first).chain(&self.others).map(Stripe::lock).collect()
    }

    #[cfg(feature = "notify")]
    fn notify(&self, count: usize) {
        self.released.notify(count);
    }

    #[cfg(not(feature = "notify"))]
    #[expect(clippy::unused_self, reason = "nobody waits without the feature")]
    const fn notify(&self, _count: usize) {}
}

/// Wakes all who wait, at the end.
struct Told<'a, S: Space, O: Owner>(&'a Shared<S, O>);

impl<S: Space, O: Owner> Drop for Told<'_, S, O> {
    fn drop(&mut self) {
        self.0.notify(usize::MAX);
    }
}
