use alloc::vec::Vec;
use core::num::NonZero;
use core::ops::Deref as _;
use std::sync::TryLockError;

use super::sync::{Mutex, MutexGuard, PoisonError};
use crate::owners::Owner;
use crate::pool::Pool;
use crate::space::Space;

/// A part of a pool, on cache lines of its own: two processors that write to the same line wait for
/// one another.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Stripe<S: Space, O: Owner>(Mutex<Pool<S, O>>);

impl<S: Space, O: Owner> Stripe<S, O> {
    #[cfg_attr(
        not(loom),
        expect(
            clippy::missing_const_for_fn,
            reason = "a modelled lock is not made at compile time"
        )
    )]
    pub(super) fn new(part: Pool<S, O>) -> Self {
        Self(Mutex::new(part))
    }

    /// A panic leaves the pool whole: it calls foreign code between its own changes. (An owner whose
    /// hash panics can leave an item held.)
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Pool<S, O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Pool<S, O>>> {
        match self.0.try_lock() {
            Ok(part) => Some(part),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn into_inner(self) -> Pool<S, O> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All parts of a pool, locked.
pub(super) struct Whole<'a, S: Space, O: Owner> {
    first: MutexGuard<'a, Pool<S, O>>,
    others: Vec<MutexGuard<'a, Pool<S, O>>>,
    len: NonZero<u128>,
    space: &'a S,
}

impl<'a, S: Space, O: Owner> Whole<'a, S, O> {
    pub(super) const fn new(
        first: MutexGuard<'a, Pool<S, O>>,
        others: Vec<MutexGuard<'a, Pool<S, O>>>,
        len: NonZero<u128>,
        space: &'a S,
    ) -> Self {
        Self { first, others, len, space }
    }

    /// Works with the parts put together; they are taken apart again also if the work panics.
    pub(super) fn with<R>(mut self, work: impl FnOnce(&mut Pool<S, O>) -> R) -> R {
        if self.others.is_empty() {
            return work(&mut self.first);
        }
        let pool = Pool::join(&self.first, self.others.iter().map(MutexGuard::deref));
        work(&mut Joined { pool, parts: self }.pool)
    }
}

struct Joined<'a, S: Space, O: Owner> {
    pool: Pool<S, O>,
    parts: Whole<'a, S, O>,
}

impl<S: Space, O: Owner> Drop for Joined<'_, S, O> {
    fn drop(&mut self) {
        let Whole { first, others, len, space } = &mut self.parts;
        if !self.pool.is_over(space) {
            return;
        }
        let mut parts = self.pool.split(*len).into_iter();
        if let Some(part) = parts.next() {
            **first = part.with_cursor_of(first);
        }
        for (old, new) in others.iter_mut().zip(parts) {
            **old = new.with_cursor_of(old);
        }
    }
}
