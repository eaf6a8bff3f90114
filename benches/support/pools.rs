//! The same work for a pool and for whatever it is compared with: items released and allocated in turn.

use core::iter;
use core::time::Duration;

use ippool::{Policy, Pool, Space};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Some time, a duration since the Unix epoch.
pub const NOW: Duration = Duration::from_secs(1_700_000_000);

/// What hands out items and takes them back.
pub trait Allocator {
    /// What it hands out.
    type Item: Copy;

    /// Hands out one; none if there is none.
    fn allocate(&mut self) -> Option<Self::Item>;

    /// Takes one back.
    ///
    /// # Panics
    /// When it was not handed out.
    fn release(&mut self, item: Self::Item);
}

/// An allocator, and what of it is held.
#[derive(Debug)]
pub struct Churn<A: Allocator> {
    /// The allocator.
    pub allocator: A,
    /// Every item that is held.
    pub held: Vec<A::Item>,
}

impl<A: Allocator> Churn<A> {
    /// Takes so many, or as many as there are.
    #[must_use]
    pub fn new(mut allocator: A, count: usize) -> Self {
        let held = iter::from_fn(|| allocator.allocate()).take(count).collect();
        Self { allocator, held }
    }

    /// Releases random ones until so many are held.
    pub fn shrink(&mut self, count: usize, rng: &mut SmallRng) {
        while self.held.len() > count {
            let item = self.held.swap_remove(rng.random_range(0..self.held.len()));
            self.allocator.release(item);
        }
    }

    /// For each pick releases what stands there in the list of held items, and allocates what takes its place.
    ///
    /// # Panics
    /// When there is none.
    pub fn pairs(&mut self, picks: &[u32]) {
        for &pick in picks {
            let slot = &mut self.held[pick as usize];
            self.allocator.release(*slot);
            *slot = self.allocator.allocate().expect("what was released");
        }
    }
}

/// So many random places in a list of held items.
///
/// # Panics
/// When nothing is held.
#[must_use]
pub fn picks(count: usize, held: usize, rng: &mut SmallRng) -> Vec<u32> {
    let end = u32::try_from(held).expect("a list that fits into memory");
    (0..count).map(|_| rng.random_range(0..end)).collect()
}

/// A pool without owners and without cooldown, as a bare bitmap has none.
#[derive(Debug)]
pub struct Plain<S: Space> {
    /// The pool.
    pub pool: Pool<S>,
    now: Duration,
}

impl<S: Space> Plain<S> {
    /// A pool of everything in a space.
    #[must_use]
    pub fn new(space: S, policy: Policy) -> Self {
        let pool = Pool::new(space).with_policy(policy).with_cooldown(Duration::ZERO);
        Self { pool, now: NOW }
    }
}

impl<S: Space> Allocator for Plain<S> {
    type Item = S::Item;

    #[inline]
    fn allocate(&mut self) -> Option<S::Item> {
        self.pool.allocate((), self.now).ok().map(|grant| grant.item)
    }

    #[inline]
    fn release(&mut self, item: S::Item) {
        assert!(self.pool.release(item, (), self.now).is_ok());
    }
}

/// A pool that is asked for any item, each with the same probability.
#[derive(Debug)]
pub struct Random<S: Space> {
    /// The pool.
    pub pool: Pool<S>,
    rng: SmallRng,
}

impl<S: Space> Random<S> {
    /// A pool of everything in a space.
    #[must_use]
    pub fn new(space: S) -> Self {
        let pool = Pool::new(space).with_cooldown(Duration::ZERO);
        Self { pool, rng: SmallRng::seed_from_u64(7) }
    }
}

impl<S: Space> Allocator for Random<S> {
    type Item = S::Item;

    #[inline]
    fn allocate(&mut self) -> Option<S::Item> {
        self.pool.allocate_random((), NOW, &mut self.rng).ok().map(|grant| grant.item)
    }

    #[inline]
    fn release(&mut self, item: S::Item) {
        assert!(self.pool.release(item, (), NOW).is_ok());
    }
}
