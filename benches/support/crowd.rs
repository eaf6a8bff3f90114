//! A store in which almost every number of a range is held.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore, ClaimWatch, Generation, KeyRange, KeyState,
    Obstacle, Owner, ReleaseOutcome, Taken, WatchClaims, WatchEvent,
};

/// Who holds what in a range, but for some numbers that look random.
#[derive(Debug, Clone)]
pub struct Crowd {
    range: KeyRange,
    holder: Owner,
    /// Of 2^32 numbers, so many are vacant.
    vacant: u64,
}

impl Crowd {
    /// Leaves about so many numbers of a range vacant.
    ///
    /// # Panics
    /// When they are more than the range has.
    #[must_use]
    pub fn new(range: KeyRange, vacant: u64) -> Self {
        assert!(vacant <= range.capacity());
        let vacant = (vacant << 32) / range.capacity();
        let holder = Owner::new("network", "of the crowd", "crowd").expect("an owner");
        Self { range, holder, vacant }
    }

    /// The range.
    #[must_use]
    pub const fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Whether the crowd holds a number.
    #[must_use]
    pub fn holds(&self, number: u32) -> bool {
        // The finaliser of MurmurHash3: each bit of the number matters to each bit of the result.
        let mut mixed = number;
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35), (16, 1)] {
            mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
        }
        u64::from(mixed) >= self.vacant
    }

    fn claim(&self, key: ClaimKey) -> Claim {
        Claim::new(key, self.holder.clone(), Generation::new(1), Duration::ZERO)
    }

    /// The claims on the numbers of a part of the range.
    fn states(&self, numbers: impl Iterator<Item = u32>) -> Vec<KeyState> {
        let held = numbers.filter(|&number| self.holds(number));
        let keys = held.filter_map(|number| self.range.key(number));
        keys.map(|key| KeyState::Held(self.claim(key))).collect()
    }
}

/// A store, and a crowd that was there before.
#[derive(Debug, Clone)]
pub struct Crowded<S> {
    store: S,
    crowd: Crowd,
    refused: Arc<AtomicU64>,
}

impl<S> Crowded<S> {
    /// Puts a crowd before a store. Nothing but the store knows of one another's claims.
    #[must_use]
    pub fn new(store: S, crowd: Crowd) -> Self {
        Self { store, crowd, refused: Arc::default() }
    }

    /// How many claims ran into the crowd. Each would have been a transaction.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refuses what the crowd holds.
    fn pass<E>(&self, key: &ClaimKey) -> Result<(), ClaimError<E>> {
        if !self.crowd.range.number(key).is_some_and(|number| self.crowd.holds(number)) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let obstacle = Obstacle::Held(self.crowd.claim(key.clone()));
        Err(ClaimError::Taken(Taken { key: key.clone(), obstacle }))
    }
}

impl<S: ClaimStore> ClaimStore for Crowded<S> {
    type Error = S::Error;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<S::Error>> {
        keys.iter().try_for_each(|key| self.pass(key))?;
        self.store.claim(owner, keys, now).await
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<S::Error>> {
        self.pass(key)?;
        self.store.claim_one(owner, prefix, key, now).await
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<S::Error>> {
        self.store.renew(claims, now).await
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<S::Error>> {
        self.store.bind(claims).await
    }

    async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, S::Error>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.store.release(claims, cooldown, now).await
    }

    async fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, S::Error>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.store.release_unchanged(claims, cooldown, now).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, S::Error> {
        self.store.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, S::Error> {
        self.store.list(prefix, after, limit).await
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, S::Error> {
        self.store.claims_of(owner).await
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, S::Error> {
        self.store.forget_cooldowns(now).await
    }
}

impl<S: WatchClaims> WatchClaims for Crowded<S> {
    type Watch = CrowdedWatch<S::Watch>;

    async fn watch(&self, prefix: &str) -> Result<Self::Watch, S::Error> {
        let next = Some(self.crowd.range.min());
        Ok(CrowdedWatch { watch: self.store.watch(prefix).await?, crowd: self.crowd.clone(), next })
    }
}

/// Tells of the crowd first, in pieces, so that it is never in memory as a whole.
#[derive(Debug)]
pub struct CrowdedWatch<W> {
    watch: W,
    crowd: Crowd,
    /// The lowest number that was not told yet.
    next: Option<u32>,
}

impl<W> CrowdedWatch<W> {
    const PIECE: u32 = 4096;
}

impl<W: ClaimWatch> ClaimWatch for CrowdedWatch<W> {
    type Error = W::Error;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, W::Error>> {
        if let Some(first) = self.next {
            let last = self.crowd.range.max().min(first.saturating_add(Self::PIECE - 1));
            self.next = (last < self.crowd.range.max()).then(|| last + 1);
            let states = self.crowd.states(first..=last);
            return Poll::Ready(Ok(if first == self.crowd.range.min() {
                WatchEvent::Snapshot(states)
            } else {
                WatchEvent::Changes(states)
            }));
        }
        self.watch.poll_next(context).map_ok(|event| {
            // A snapshot of the store alone would make the crowd vacant.
            let (WatchEvent::Snapshot(states) | WatchEvent::Changes(states)) = event;
            WatchEvent::Changes(states)
        })
    }
}
