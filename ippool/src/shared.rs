use alloc::vec::Vec;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::counts::Counts;
use crate::owners::Owner;
use crate::pool::{AllocateError, ExactError, Grant, Pool, ReleaseError, Released};
use crate::space::Space;

/// A pool for several threads, who can also wait for an item.
///
/// One lock around the pool: every operation is atomic, and what holds for [`Pool`] holds here.
/// The lock is held for tens of nanoseconds, so it is contended only where threads do little else
/// than allocate.
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
    pool: Mutex<Pool<S, O>>,
    /// Notified whenever something was released.
    released: Condvar,
}

impl<S: Space, O: Owner> Shared<S, O> {
    /// A front for a pool.
    #[must_use]
    pub const fn new(pool: Pool<S, O>) -> Self {
        Self { pool: Mutex::new(pool), released: Condvar::new() }
    }

    /// See [`Pool::allocate`].
    ///
    /// # Errors
    /// When nothing is free.
    pub fn allocate(&self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        self.lock().allocate(owner, now)
    }

    /// See [`Pool::allocate_once`].
    ///
    /// # Errors
    /// When the owner holds none and nothing is free.
    pub fn allocate_once(&self, owner: O, now: Duration) -> Result<Grant<S::Item>, AllocateError> {
        self.lock().allocate_once(owner, now)
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
        self.lock().allocate_exact(item, owner, now)
    }

    /// Allocates, and while nothing is free waits for a release or the end of a cooldown, for at
    /// most `timeout`. `clock` tells the time since the Unix epoch. Who waited longest is not
    /// favoured.
    ///
    /// # Errors
    /// When nothing became free in time.
    pub fn allocate_or_wait(
        &self,
        owner: O,
        timeout: Duration,
        clock: impl Fn() -> Duration,
    ) -> Result<Grant<S::Item>, AllocateError> {
        let started = Instant::now();
        let mut pool = self.lock();
        loop {
            let now = clock();
            let error = match pool.allocate(owner, now) {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(error);
            }
            let wait = match &error {
                AllocateError::Exhausted { next_free: Some(next), .. } => {
                    left.min(next.saturating_sub(now))
                }
                _ => left,
            };
            let woken = self.released.wait_timeout(pool, wait);
            pool = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
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
        let released = self.lock().release(item, owner, now)?;
        self.released.notify_one();
        Ok(released)
    }

    /// See [`Pool::release_all`].
    pub fn release_all(&self, owner: O, now: Duration) -> Vec<S::Item> {
        let items = self.lock().release_all(owner, now);
        self.released.notify_all();
        items
    }

    /// See [`Pool::counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// Does anything else with the pool, as one step for all other threads. It must not use this
    /// front, which would wait for itself.
    pub fn with<R>(&self, work: impl FnOnce(&mut Pool<S, O>) -> R) -> R {
        let result = work(&mut self.lock());
        self.released.notify_all();
        result
    }

    /// The pool.
    #[must_use]
    pub fn into_inner(self) -> Pool<S, O> {
        self.pool.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pool calls foreign code only between its own changes, so that a panic in it leaves the
    /// pool whole.
    fn lock(&self) -> MutexGuard<'_, Pool<S, O>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
