use alloc::vec::Vec;
use core::error::Error;
use core::num::NonZeroUsize;
use core::time::Duration;

use tracing::{Instrument as _, debug, debug_span, warn};

use super::error::{BindError, ClaimError, Obstacle, Taken};
use super::key::ClaimKey;
use super::owner::Owner;
use super::record::{Claim, ReleaseOutcome};
use super::store::ClaimStore;
use super::watch::WatchClaims;

/// A [`ClaimStore`] that tells of every operation what it was and what came of it, as [`tracing`] spans and events.
///
/// Each operation is a span of level `DEBUG` with the name of the method, such as `claim` or `release`, in which the
/// store's own spans are. Its fields say who (`owner.kind`, `owner.uid`), how many keys (`keys`) and the first of them
/// (`first`), or what was asked for. An event in it says what came of it: `DEBUG` where the store did or refused what
/// it was asked for, such as `claimed` or `taken` with the `holder`, and `WARN` where a claim was `lost`, the outcome
/// is `unknown`, or the store `failed` with an `error`.
///
/// What a [watch](WatchClaims::watch) tells later has no spans.
///
/// ```
/// use core::time::Duration;
/// use netid::{ClaimKey, ClaimStore, MemoryStore, Owner, TracedStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Duration::from_secs(1_700_000_000);
/// let store = TracedStore::new(MemoryStore::new());
/// let owner = Owner::new("vm", "web", "u1")?;
/// // claim{owner.kind="vm" owner.uid="u1" keys=1 first="name/web"}: claimed claims=1
/// let claims = store.claim(&owner, &[ClaimKey::name("web")?], now).await?;
/// # assert_eq!(claims.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TracedStore<S> {
    store: S,
}

impl<S> TracedStore<S> {
    /// Tells of everything that a store is asked through this.
    #[must_use]
    pub const fn new(store: S) -> Self {
        Self { store }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

/// The span of an operation on claims.
macro_rules! claims_span {
    ($name:literal, $claims:ident) => {
        debug_span!(
            $name,
            owner.kind = $claims.first().map(|claim| claim.owner.kind()),
            owner.uid = $claims.first().map(|claim| claim.owner.uid()),
            keys = $claims.len(),
            first = $claims.first().map(|claim| claim.key.as_str()),
        )
    };
}

impl<S: ClaimStore> ClaimStore for TracedStore<S> {
    type Error = S::Error;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<S::Error>> {
        let span = debug_span!(
            "claim",
            owner.kind = owner.kind(),
            owner.uid = owner.uid(),
            keys = keys.len(),
            first = keys.first().map(ClaimKey::as_str),
        );
        let outcome = async {
            let outcome = self.store.claim(owner, keys, now).await;
            match &outcome {
                Ok(claims) => debug!(claims = claims.len(), "claimed"),
                Err(error) => not_claimed(error),
            }
            outcome
        };
        outcome.instrument(span).await
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<S::Error>> {
        let span = debug_span!(
            "claim_one",
            owner.kind = owner.kind(),
            owner.uid = owner.uid(),
            prefix,
            key = key.as_str(),
        );
        let outcome = async {
            let outcome = self.store.claim_one(owner, prefix, key, now).await;
            match &outcome {
                Ok(claim) if claim.key == *key => debug!("claimed"),
                Ok(claim) => debug!(held = claim.key.as_str(), "has one"),
                Err(error) => not_claimed(error),
            }
            outcome
        };
        outcome.instrument(span).await
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<S::Error>> {
        let span = claims_span!("renew", claims);
        let outcome = async {
            let outcome = self.store.renew(claims, now).await;
            match &outcome {
                Ok(claims) => debug!(claims = claims.len(), "renewed"),
                Err(error) => not_bound(error),
            }
            outcome
        };
        outcome.instrument(span).await
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<S::Error>> {
        let span = claims_span!("bind", claims);
        let outcome = async {
            let outcome = self.store.bind(claims).await;
            match &outcome {
                Ok(()) => debug!("bound"),
                Err(error) => not_bound(error),
            }
            outcome
        };
        outcome.instrument(span).await
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
        let span = claims_span!("release", claims);
        let outcome = async {
            let outcome = self.store.release(claims, cooldown, now).await;
            told(&outcome, |outcomes| released(outcomes));
            outcome
        };
        outcome.instrument(span).await
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
        let span = claims_span!("release_unchanged", claims);
        let outcome = async {
            let outcome = self.store.release_unchanged(claims, cooldown, now).await;
            told(&outcome, |outcomes| released(outcomes));
            outcome
        };
        outcome.instrument(span).await
    }

    async fn release_all<F>(
        &self,
        owner: &Owner,
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, S::Error>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        let (kind, uid) = (owner.kind(), owner.uid());
        let span = debug_span!("release_all", owner.kind = kind, owner.uid = uid);
        let outcome = async {
            let outcome = self.store.release_all(owner, cooldown, now).await;
            told(&outcome, |outcomes| released(outcomes));
            outcome
        };
        outcome.instrument(span).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, S::Error> {
        let outcome = async {
            let outcome = self.store.get(key).await;
            let holder = |claim: &Claim| tracing::field::display(claim.owner.clone());
            told(&outcome, |claim| debug!(holder = claim.as_ref().map(holder), "got"));
            outcome
        };
        outcome.instrument(debug_span!("get", key = key.as_str())).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, S::Error> {
        let span = debug_span!("list", prefix, after = after.map(ClaimKey::as_str), limit);
        let outcome = async {
            let outcome = self.store.list(prefix, after, limit).await;
            told(&outcome, |claims| debug!(claims = claims.len(), "listed"));
            outcome
        };
        outcome.instrument(span).await
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, S::Error> {
        let (kind, uid) = (owner.kind(), owner.uid());
        let span = debug_span!("claims_of", owner.kind = kind, owner.uid = uid);
        let outcome = async {
            let outcome = self.store.claims_of(owner).await;
            told(&outcome, |claims| debug!(claims = claims.len(), "listed"));
            outcome
        };
        outcome.instrument(span).await
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, S::Error> {
        let outcome = async {
            let outcome = self.store.forget_cooldowns(now).await;
            told(&outcome, |forgotten| debug!(forgotten, "forgot"));
            outcome
        };
        outcome.instrument(debug_span!("forget_cooldowns")).await
    }
}

impl<S: WatchClaims> WatchClaims for TracedStore<S> {
    type Watch = S::Watch;

    async fn watch(&self, prefix: &str) -> Result<S::Watch, S::Error> {
        let outcome = async {
            let outcome = self.store.watch(prefix).await;
            told(&outcome, |_| debug!("watching"));
            outcome
        };
        outcome.instrument(debug_span!("watch", prefix)).await
    }
}

/// What came of an operation that only the store itself can fail at.
fn told<T, E: Error>(outcome: &Result<T, E>, done: impl FnOnce(&T)) {
    match outcome {
        Ok(value) => done(value),
        Err(error) => warn!(%error, "failed"),
    }
}

fn released(outcomes: &[(ClaimKey, ReleaseOutcome)]) {
    let count = |is: fn(&ReleaseOutcome) -> bool| {
        outcomes.iter().filter(|(_, outcome)| is(outcome)).count()
    };
    debug!(
        released = count(ReleaseOutcome::is_released),
        not_held = count(|outcome| matches!(outcome, ReleaseOutcome::NotHeld)),
        held_by_other = count(|outcome| matches!(outcome, ReleaseOutcome::HeldByOther(_))),
        "released"
    );
}

fn not_claimed<E: Error>(error: &ClaimError<E>) {
    match error {
        ClaimError::Taken(Taken { key, obstacle: Obstacle::Held(claim) }) => {
            debug!(key = key.as_str(), holder = %claim.owner, "taken");
        }
        ClaimError::Taken(Taken { key, obstacle: Obstacle::Cooling { until } }) => {
            debug!(key = key.as_str(), ?until, "cooling");
        }
        ClaimError::Unknown(error) => warn!(%error, "unknown"),
        ClaimError::Store(error) => warn!(%error, "failed"),
    }
}

fn not_bound<E: Error>(error: &BindError<E>) {
    match error {
        BindError::Lost { key, holder } => {
            let holder = holder.as_ref().map(|claim| tracing::field::display(&claim.owner));
            warn!(key = key.as_str(), holder, "lost");
        }
        BindError::Store(error) => warn!(%error, "failed"),
    }
}
