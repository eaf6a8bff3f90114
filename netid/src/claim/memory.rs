use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::num::NonZeroUsize;
use core::ops::Bound;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::error::{BindError, ClaimError, Obstacle, Taken};
use super::key::ClaimKey;
use super::owner::Owner;
use super::record::{Claim, ClaimState, Generation, Proof, ReleaseOutcome};
use super::store::ClaimStore;
use super::subscribers::Subscribers;
use super::watch::{ClaimWatch, KeyState, WatchClaims, WatchEvent};

/// A [`ClaimStore`] in memory: for one process, for tests, and as the reference for the others.
///
/// Clones share their claims. Nothing outlives the last of them.
///
/// ```
/// use core::time::Duration;
/// use netid::{ClaimError, ClaimKey, ClaimStore, MemoryStore, Owner};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let (web, db) = (Owner::new("vm", "web", "u1")?, Owner::new("vm", "db", "u2")?);
/// let key = ClaimKey::address([172, 16, 0, 2].into());
/// let now = Duration::from_secs(1_700_000_000);
///
/// store.claim(&web, &[key.clone()], now).await?;
/// match store.claim(&db, &[key], now).await {
///     Err(ClaimError::Taken(taken)) => assert_eq!(
///         taken.to_string(),
///         "address/172.16.0.2 is held by vm web (uid u1); claim another",
///     ),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    slots: BTreeMap<ClaimKey, Slot>,
    /// The keys of held slots by the uid of their owner. No set is empty.
    by_uid: BTreeMap<Box<str>, BTreeSet<ClaimKey>>,
    /// The keys of cooling slots by their deadline.
    deadlines: BTreeSet<(Duration, ClaimKey)>,
    /// The generation of the last batch.
    last: u64,
    subscribers: Subscribers,
}

enum Slot {
    Held(Claim),
    Cooling { until: Duration, last: Owner },
}

impl MemoryStore {
    /// A store without claims.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn release_proven(
        &self,
        claims: &[Claim],
        proof: Proof,
        cooldown: impl Fn(&ClaimKey) -> Duration,
        now: Duration,
    ) -> Vec<(ClaimKey, ReleaseOutcome)> {
        // The caller's function runs before the lock is taken: it may panic or use the store.
        let cooldowns: Vec<_> = claims.iter().map(|claim| cooldown(&claim.key)).collect();
        let mut state = self.lock();
        state.forget_deadlines(now);
        let mut changes = Vec::new();
        let outcomes = claims.iter().zip(cooldowns).map(|(claim, cooldown)| {
            let outcome = match state.held(&claim.key) {
                None => ReleaseOutcome::NotHeld,
                Some(held) if !proof.accepts(held, claim) => {
                    ReleaseOutcome::HeldByOther(held.clone())
                }
                Some(_) => {
                    changes.push(state.release(claim, cooldown, now));
                    ReleaseOutcome::Released
                }
            };
            (claim.key.clone(), outcome)
        });
        let outcomes = outcomes.collect();
        state.subscribers.tell(&changes);
        outcomes
    }

    /// Every change is checked before the first of its steps is made, and the steps do not panic, so a
    /// panic elsewhere while the lock was held left the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimStore for MemoryStore {
    type Error = Infallible;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<Infallible>> {
        let mut state = self.lock();
        state.forget_deadlines(now);
        for key in keys {
            if let Some(obstacle) = state.obstacle(owner, key) {
                let key = key.clone();
                return Err(ClaimError::Taken(Taken { key, obstacle }));
            }
        }
        let generation = state.next_generation();
        let mut made = Vec::new();
        let claims = keys.iter().map(|key| {
            let is_new = state.held(key).is_none();
            let claim = state.claim(owner, key, generation, now);
            if is_new {
                made.push(KeyState::Held(claim.clone()));
            }
            claim
        });
        let claims = claims.collect();
        state.subscribers.tell(&made);
        Ok(claims)
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<Infallible>> {
        let mut state = self.lock();
        state.forget_deadlines(now);
        if let Some(held) = state.first_of(owner, prefix) {
            return Ok(held.clone());
        }
        if let Some(obstacle) = state.obstacle(owner, key) {
            return Err(ClaimError::Taken(Taken { key: key.clone(), obstacle }));
        }
        let generation = state.next_generation();
        let claim = state.claim(owner, key, generation, now);
        state.subscribers.tell(&[KeyState::Held(claim.clone())]);
        Ok(claim)
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<Infallible>> {
        self.lock().update(claims, |held| {
            if held.state == ClaimState::Pending {
                held.since = now;
            }
        })
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<Infallible>> {
        self.lock().update(claims, |held| held.state = ClaimState::Bound).map(drop)
    }

    async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Infallible>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        Ok(self.release_proven(claims, Proof::Generation, cooldown, now))
    }

    async fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Infallible>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        Ok(self.release_proven(claims, Proof::Unchanged, cooldown, now))
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, Infallible> {
        Ok(self.lock().held(key).cloned())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, Infallible> {
        let start = match after {
            Some(key) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
            _ => Bound::Included(prefix),
        };
        let state = self.lock();
        let slots = state.slots.range::<str, _>((start, Bound::Unbounded));
        Ok(slots
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .filter_map(|(_, slot)| slot.held().cloned())
            .take(limit.get())
            .collect())
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, Infallible> {
        let state = self.lock();
        let keys = state.by_uid.get(owner.uid()).into_iter().flatten();
        Ok(keys.filter_map(|key| state.held(key).cloned()).collect())
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, Infallible> {
        Ok(self.lock().forget_deadlines(now))
    }
}

impl WatchClaims for MemoryStore {
    type Watch = MemoryWatch;

    async fn watch(&self, prefix: &str) -> Result<MemoryWatch, Infallible> {
        let events = self.lock().subscribe(prefix);
        Ok(MemoryWatch { store: self.clone(), prefix: prefix.into(), events })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryStore")
            .field("held", &state.by_uid.values().map(BTreeSet::len).sum::<usize>())
            .field("cooling", &state.deadlines.len())
            .finish()
    }
}

/// The [`ClaimWatch`] of a [`MemoryStore`].
pub struct MemoryWatch {
    store: MemoryStore,
    prefix: Box<str>,
    events: mpsc::Receiver<WatchEvent>,
}

impl ClaimWatch for MemoryWatch {
    type Error = Infallible;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, Infallible>> {
        loop {
            if let Some(event) = ready!(self.events.poll_recv(context)) {
                return Poll::Ready(Ok(event));
            }
            // Too much has happened meanwhile; what there is now is the first event of the new channel.
            self.events = self.store.lock().subscribe(&self.prefix);
        }
    }
}

impl fmt::Debug for MemoryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWatch").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl State {
    fn held(&self, key: &ClaimKey) -> Option<&Claim> {
        self.slots.get(key).and_then(Slot::held)
    }

    /// What keeps an owner from claiming a key.
    fn obstacle(&self, owner: &Owner, key: &ClaimKey) -> Option<Obstacle> {
        match self.slots.get(key)? {
            Slot::Held(claim) if !claim.owner.is_same(owner) => Some(Obstacle::Held(claim.clone())),
            Slot::Cooling { until, last } if !last.is_same(owner) => {
                Some(Obstacle::Cooling { until: *until })
            }
            Slot::Held(_) | Slot::Cooling { .. } => None,
        }
    }

    /// The first claim of an owner whose key starts with a text.
    fn first_of(&self, owner: &Owner, prefix: &str) -> Option<&Claim> {
        let keys = self.by_uid.get(owner.uid())?;
        let first = keys.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).next()?;
        first.as_str().starts_with(prefix).then(|| self.held(first))?
    }

    const fn next_generation(&mut self) -> Generation {
        // At one batch a nanosecond the counter lasts five centuries.
        self.last = self.last.saturating_add(1);
        Generation::new(self.last)
    }

    /// Claims a key that nothing stands against.
    fn claim(
        &mut self,
        owner: &Owner,
        key: &ClaimKey,
        generation: Generation,
        now: Duration,
    ) -> Claim {
        if let Some(held) = self.held(key) {
            return held.clone();
        }
        let claim = Claim::new(key.clone(), owner.clone(), generation, now);
        let slot = Slot::Held(claim.clone());
        if let Some(Slot::Cooling { until, .. }) = self.slots.insert(key.clone(), slot) {
            self.deadlines.remove(&(until, key.clone()));
        }
        self.by_uid.entry(owner.uid().into()).or_default().insert(key.clone());
        claim
    }

    /// Changes claims if all of them are held as proven, and gives them as they are then.
    fn update(
        &mut self,
        claims: &[Claim],
        change: impl Fn(&mut Claim),
    ) -> Result<Vec<Claim>, BindError<Infallible>> {
        for claim in claims {
            let holder = self.held(&claim.key);
            if !holder.is_some_and(|holder| holder.is_same(claim)) {
                return Err(BindError::Lost { key: claim.key.clone(), holder: holder.cloned() });
            }
        }
        let mut updated = Vec::with_capacity(claims.len());
        let mut changes = Vec::new();
        for claim in claims {
            if let Some(Slot::Held(held)) = self.slots.get_mut(&claim.key) {
                let before = held.clone();
                change(held);
                if *held != before {
                    changes.push(KeyState::Held(held.clone()));
                }
                updated.push(held.clone());
            }
        }
        self.subscribers.tell(&changes);
        Ok(updated)
    }

    /// Releases a claim that is held, and says what has become of its key.
    fn release(&mut self, claim: &Claim, cooldown: Duration, now: Duration) -> KeyState {
        let Claim { key, owner, .. } = claim;
        if let Some(keys) = self.by_uid.get_mut(owner.uid()) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_uid.remove(owner.uid());
            }
        }
        if cooldown.is_zero() {
            self.slots.remove(key);
            KeyState::Vacant { key: key.clone() }
        } else {
            let (until, last) = (now.saturating_add(cooldown), owner.clone());
            self.deadlines.insert((until, key.clone()));
            self.slots.insert(key.clone(), Slot::Cooling { until, last });
            KeyState::Cooling { key: key.clone(), until }
        }
    }

    /// Makes the keys vacant whose cooldown has passed, and says how many. Those who watch know the time.
    fn forget_deadlines(&mut self, now: Duration) -> usize {
        let mut forgotten = 0_usize;
        while self.deadlines.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.deadlines.pop_first() {
                self.slots.remove(&key);
                forgotten = forgotten.saturating_add(1);
            }
        }
        forgotten
    }

    /// Everything whose key starts with a text, and what changes of it.
    fn subscribe(&mut self, prefix: &str) -> mpsc::Receiver<WatchEvent> {
        let slots = self.slots.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let snapshot = slots
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, slot)| match slot {
                Slot::Held(claim) => KeyState::Held(claim.clone()),
                Slot::Cooling { until, .. } => {
                    KeyState::Cooling { key: key.clone(), until: *until }
                }
            })
            .collect();
        self.subscribers.add(prefix, snapshot)
    }
}

impl Slot {
    const fn held(&self) -> Option<&Claim> {
        match self {
            Self::Held(claim) => Some(claim),
            Self::Cooling { .. } => None,
        }
    }
}
