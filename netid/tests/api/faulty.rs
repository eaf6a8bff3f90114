//! A memory store of which single answers fail, get lost or take their time.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore, ClaimWatch, MemoryStore, MemoryWatch,
    Owner, ReleaseOutcome, WatchClaims, WatchEvent,
};
use thiserror::Error;
use tokio::task::yield_now;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Done,
    /// It fails and is not carried out.
    Fails,
    /// It is carried out, and the answer is lost.
    Lost,
    /// It waits for one turn before it is carried out.
    Waits,
    /// The answer waits for one turn.
    Answered,
}

#[derive(Clone, Debug, Error, PartialEq)]
#[error("out of order")]
pub(crate) struct Broken;

#[derive(Clone, Default)]
pub(crate) struct Faulty {
    pub(crate) store: MemoryStore,
    fates: Arc<Mutex<VecDeque<Fate>>>,
}

impl Faulty {
    /// What becomes of the next requests; all later ones are done.
    pub(crate) fn plan(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.iter().copied().collect();
    }

    async fn serve<T>(&self, request: impl Future<Output = T>) -> (Fate, Option<T>) {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Done);
        if fate == Fate::Fails {
            return (fate, None);
        }
        if fate == Fate::Waits {
            yield_now().await;
        }
        let answer = request.await;
        if fate == Fate::Answered {
            yield_now().await;
        }
        (fate, Some(answer))
    }

    async fn read<T, E>(&self, request: impl Future<Output = Result<T, E>>) -> Result<T, Broken> {
        match self.serve(request).await {
            (Fate::Fails | Fate::Lost, _) | (_, None) => Err(Broken),
            (_, Some(answer)) => Ok(answer.map_err(|_error| Broken)?),
        }
    }

    async fn claimed<T, E>(
        &self,
        request: impl Future<Output = Result<T, ClaimError<E>>>,
    ) -> Result<T, ClaimError<Broken>> {
        match self.serve(request).await {
            (Fate::Lost, _) => Err(ClaimError::Unknown(Broken)),
            (Fate::Fails, _) | (_, None) => Err(ClaimError::Store(Broken)),
            (_, Some(Err(ClaimError::Taken(taken)))) => Err(ClaimError::Taken(taken)),
            (_, Some(answer)) => answer.map_err(|_error| ClaimError::Store(Broken)),
        }
    }

    async fn updated<T, E>(
        &self,
        request: impl Future<Output = Result<T, BindError<E>>>,
    ) -> Result<T, BindError<Broken>> {
        match self.serve(request).await {
            (Fate::Fails | Fate::Lost, _) | (_, None) => Err(BindError::Store(Broken)),
            (_, Some(Err(BindError::Lost { key, holder }))) => Err(BindError::Lost { key, holder }),
            (_, Some(answer)) => answer.map_err(|_error| BindError::Store(Broken)),
        }
    }
}

impl ClaimStore for Faulty {
    type Error = Broken;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<Broken>> {
        self.claimed(self.store.claim(owner, keys, now)).await
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<Broken>> {
        self.claimed(self.store.claim_one(owner, prefix, key, now)).await
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<Broken>> {
        self.updated(self.store.renew(claims, now)).await
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<Broken>> {
        self.updated(self.store.bind(claims)).await
    }

    async fn release<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Broken> {
        self.read(self.store.release(claims, cooldown, now)).await
    }

    async fn release_unchanged<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Broken> {
        self.read(self.store.release_unchanged(claims, cooldown, now)).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, Broken> {
        self.read(self.store.get(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, Broken> {
        self.read(self.store.list(prefix, after, limit)).await
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, Broken> {
        self.read(self.store.claims_of(owner)).await
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, Broken> {
        self.read(self.store.forget_cooldowns(now)).await
    }
}

impl WatchClaims for Faulty {
    type Watch = FaultyWatch;

    async fn watch(&self, prefix: &str) -> Result<FaultyWatch, Broken> {
        self.read(self.store.watch(prefix)).await.map(FaultyWatch)
    }
}

pub(crate) struct FaultyWatch(MemoryWatch);

impl ClaimWatch for FaultyWatch {
    type Error = Broken;

    fn poll_next(
        &mut self,
        context: &mut core::task::Context<'_>,
    ) -> core::task::Poll<Result<WatchEvent, Broken>> {
        self.0.poll_next(context).map_err(|_error| Broken)
    }
}
