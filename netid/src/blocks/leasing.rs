use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::sync::atomic::Ordering;
use core::time::Duration;

use rand::Rng;

use super::allocator::{Blocks, Doubt, Error, Verified};
use super::error::BlocksError;
use super::space::BlockSpace;
use crate::claim::{
    Claim, ClaimError, ClaimStore, ClaimWatch as _, KeyState, Obstacle, Owner, Taken, WatchClaims,
    WatchEvent,
};
use crate::collector::{Liveness, SweepOutcome};

/// What is leased: asked for, compared, given back and taken over.
impl<S: WatchClaims, L: WatchClaims> Blocks<S, L> {
    /// Gives back blocks of which no number is held or cooling, except for so many, and says how many went.
    ///
    /// # Errors
    /// When a store fails, or [`BlocksError::Disagreement`]. Nothing is given up while the shared store does not
    /// answer. What the local store has given up before a later failure is not handed out any more; the next call
    /// gives it back.
    pub async fn return_unused(&self, keep: usize, now: Duration) -> Result<usize, Error<S, L>> {
        let mut verified = self.leasing.lock().await;
        if *verified == Verified::NotYet {
            self.compare(&mut verified, now).await?;
        }
        self.refresh().await?;
        if self.lock().unused(&self.space).len() <= keep {
            return Ok(0);
        }
        // A host that cannot give them back may well need them.
        let shared = self.shared_leases().await?;
        *verified = Verified::NotYet;
        let mut unused: Vec<_> = {
            let mut stock = self.lock();
            let unused: Vec<_> = stock.unused(&self.space).into_iter().skip(keep).collect();
            let remove = |block| Some((block, stock.remove(&self.space, block)?));
            unused.into_iter().filter_map(remove).collect()
        };
        // A claim that nobody waited for may have been made all the same.
        let (held, cooling) =
            numbers(&self.local, &self.space).await.map_err(BlocksError::Local)?;
        let is_used = |block| {
            let used = |number| held.contains(&number) || cooling.contains_key(&number);
            self.space.numbers(block).any(used)
        };
        for (block, lease) in unused.extract_if(.., |(block, _)| is_used(*block)) {
            self.lock().add(&self.space, block, lease, &held, &cooling);
        }
        let unused: Vec<_> = unused.into_iter().map(|(_, lease)| lease).collect();
        let released = self.local.release(&unused, |_| Duration::ZERO, now).await;
        released.map_err(BlocksError::Local)?;
        let given: BTreeSet<_> = unused.iter().map(|lease| &lease.key).collect();
        let returned: Vec<_> =
            shared.into_iter().filter(|lease| given.contains(&lease.key)).collect();
        let released = self.leases.store().release(&returned, |_| Duration::ZERO, now).await;
        let released = released.map_err(BlocksError::Shared)?;
        *verified = Verified::Yes;
        Ok(released.iter().filter(|(_, outcome)| outcome.is_released()).count())
    }

    /// Compares the leases here with those in the shared store. What is leased to this host and not known here is
    /// taken up; what is not leased to it any more is given up, and nothing of it is handed out again.
    ///
    /// Gives the claims on numbers of blocks that are not leased: whoever holds them must stop using them, as another
    /// host may hand them out.
    ///
    /// The first block that is leased is preceded by this. Call it when a host was cut off for long.
    ///
    /// # Errors
    /// When a store fails, or [`BlocksError::Disagreement`].
    pub async fn verify(&self, now: Duration) -> Result<Vec<Claim>, Error<S, L>> {
        let mut verified = self.leasing.lock().await;
        self.compare(&mut verified, now).await?;
        let prefix = self.space.range().prefix();
        let held = self.local.list(prefix, None, NonZeroUsize::MAX).await;
        let mut held = held.map_err(BlocksError::Local)?;
        let stock = self.lock();
        held.retain(|claim| {
            let number = self.space.range().number(&claim.key);
            let block = number.and_then(|number| self.space.block_of(number));
            block.is_some_and(|block| !stock.blocks.contains_key(&block))
        });
        drop(stock);
        Ok(held)
    }

    /// Releases the blocks of another host in the shared store, if it is gone, so that anybody can lease them after
    /// a cooldown.
    ///
    /// `alive` is asked right before the release, and must answer from whoever decides about hosts: only
    /// [`Gone`](Liveness::Gone) releases. That nobody hears from a host is no proof.
    ///
    /// # Errors
    /// None: the outcome says what became of it.
    pub async fn take_over<A, F, E>(
        &self,
        host: &Owner,
        alive: A,
        cooldown: Duration,
        now: Duration,
    ) -> SweepOutcome<S::Error, E>
    where
        A: FnOnce(Owner) -> F,
        F: Future<Output = Result<Liveness, E>>,
    {
        let shared = self.leases.store();
        let leased = match leases(shared, host, &self.space).await {
            Ok(leased) => leased,
            Err(error) => return SweepOutcome::Store(error),
        };
        match alive(host.clone()).await {
            Err(error) => SweepOutcome::Unknown(error),
            Ok(Liveness::Alive) => SweepOutcome::Alive,
            Ok(Liveness::Gone) => match shared.release(&leased, |_| cooldown, now).await {
                Ok(outcomes) => SweepOutcome::Released(outcomes),
                Err(error) => SweepOutcome::Store(error),
            },
        }
    }

    /// Leases a block, unless somebody else has made a number vacant meanwhile.
    pub(super) async fn lease<R: Rng + Send + ?Sized>(
        &self,
        rng: &mut R,
        now: Duration,
    ) -> Result<(), Error<S, L>> {
        let failures = || self.failures.load(Ordering::Relaxed);
        let before = failures();
        let mut verified = self.leasing.lock().await;
        if self.has_vacant(now) {
            return Ok(());
        }
        // It was for this claim, too, that somebody has waited in vain.
        if failures() != before {
            return Err(BlocksError::Waited);
        }
        let leased = self.lease_one(&mut verified, rng, now).await;
        if leased.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        leased
    }

    async fn lease_one<R: Rng + Send + ?Sized>(
        &self,
        verified: &mut Verified,
        rng: &mut R,
        now: Duration,
    ) -> Result<(), Error<S, L>> {
        if *verified == Verified::NotYet {
            self.compare(verified, now).await?;
        }
        self.refresh().await?;
        if self.has_vacant(now) {
            return Ok(());
        }
        // Should the answer be lost, the comparison before the next lease finds what was leased.
        *verified = Verified::NotYet;
        let lease = self.leases.claim_any(&self.host, rng, now).await;
        let lease = lease.map_err(BlocksError::Lease)?;
        self.take_up(&[lease], now).await?;
        *verified = Verified::Yes;
        Ok(())
    }

    fn has_vacant(&self, now: Duration) -> bool {
        let mut stock = self.lock();
        let number = stock.take(now);
        number.map(|number| stock.put_back(number)).is_some()
    }

    /// Makes the leases here those of the shared store.
    async fn compare(&self, verified: &mut Verified, now: Duration) -> Result<(), Error<S, L>> {
        let agreed = agree(self.leases.store(), &self.space).await;
        let agreed = agreed.map_err(BlocksError::SharedClaim)?;
        if let Some(found) = agreed {
            return Err(BlocksError::Disagreement { found, expected: self.space.agreed() });
        }
        let shared = self.shared_leases().await?;
        let ours: BTreeSet<_> = shared.iter().map(|lease| &lease.key).collect();
        {
            let mut stock = self.lock();
            let lost = stock.blocks.iter().filter(|(_, lease)| !ours.contains(&lease.key));
            let lost: Vec<_> = lost.map(|(block, _)| *block).collect();
            for block in lost {
                stock.remove(&self.space, block);
            }
        }
        // Not only what was lost just now: an earlier loss may not have been recorded.
        let local = leases(&self.local, &self.host, &self.space).await;
        let mut lost = local.map_err(BlocksError::Local)?;
        lost.retain(|lease| !ours.contains(&lease.key));
        let released = self.local.release(&lost, |_| Duration::ZERO, now).await;
        released.map_err(BlocksError::Local)?;
        self.take_up(&shared, now).await?;
        *verified = Verified::Yes;
        Ok(())
    }

    /// Records leases locally, and adds their numbers to what can be handed out.
    async fn take_up(&self, shared: &[Claim], now: Duration) -> Result<(), Error<S, L>> {
        let unknown = |lease: &&Claim| {
            let block = self.space.leases().number(&lease.key);
            block.is_some_and(|block| !self.lock().blocks.contains_key(&block))
        };
        let keys: Vec<_> = shared.iter().filter(unknown).map(|lease| lease.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let leases = self.local.claim(&self.host, &keys, now).await;
        let leases = leases.map_err(BlocksError::LocalClaim)?;
        // What a host holds is read only if there may be something in the way: it may be a lot.
        let has_strays = self.lock().has_strays;
        let (held, cooling) = if has_strays {
            numbers(&self.local, &self.space).await.map_err(BlocksError::Local)?
        } else {
            Default::default()
        };
        let mut stock = self.lock();
        for lease in leases {
            if let Some(block) = self.space.leases().number(&lease.key) {
                stock.add(&self.space, block, lease, &held, &cooling);
            }
        }
        drop(stock);
        Ok(())
    }

    /// Finds what was released without anybody being told, if there may be such.
    async fn refresh(&self) -> Result<(), Error<S, L>> {
        if !mem::take(&mut self.lock().doubtful) {
            return Ok(());
        }
        let doubt = Doubt(self);
        let (held, cooling) =
            numbers(&self.local, &self.space).await.map_err(BlocksError::Local)?;
        mem::forget(doubt);
        self.lock().refresh(&self.space, &held, &cooling);
        Ok(())
    }

    /// Gives a claim on a number of a block that is leased, and refuses any other.
    pub(super) async fn if_leased(&self, claim: Claim) -> Result<Claim, Error<S, L>> {
        let number = self.space.range().number(&claim.key);
        let is_leased = || number.is_some_and(|number| self.lock().has(&self.space, number));
        if is_leased() {
            return Ok(claim);
        }
        // A block that is about to be returned is kept if it turns out to be used.
        drop(self.leasing.lock().await);
        if is_leased() { Ok(claim) } else { Err(BlocksError::NotLeased(claim)) }
    }

    async fn shared_leases(&self) -> Result<Vec<Claim>, Error<S, L>> {
        let leased = leases(self.leases.store(), &self.host, &self.space).await;
        leased.map_err(BlocksError::Shared)
    }
}

/// Makes sure that a range is cut in one way in a store, and gives who says otherwise.
pub(super) async fn agree<C: ClaimStore>(
    store: &C,
    space: &BlockSpace,
) -> Result<Option<Owner>, ClaimError<C::Error>> {
    // The claim is never released, so its time does not matter.
    match store.claim(&space.agreed(), from_ref(space.agreement()), Duration::ZERO).await {
        Ok(_) => Ok(None),
        Err(ClaimError::Taken(Taken { obstacle: Obstacle::Held(claim), .. })) => {
            Ok(Some(claim.owner))
        }
        Err(error) => Err(error),
    }
}

/// What a host has leased.
pub(super) async fn leases<C: ClaimStore>(
    store: &C,
    host: &Owner,
    space: &BlockSpace,
) -> Result<Vec<Claim>, C::Error> {
    let mut claims = store.claims_of(host).await?;
    claims.retain(|claim| space.leases().number(&claim.key).is_some());
    Ok(claims)
}

/// The numbers of a range that are held, and those that are cooling.
pub(super) async fn numbers<C: WatchClaims>(
    store: &C,
    space: &BlockSpace,
) -> Result<(BTreeSet<u32>, BTreeMap<u32, Duration>), C::Error> {
    let mut watch = store.watch(space.range().prefix()).await?;
    let (WatchEvent::Snapshot(states) | WatchEvent::Changes(states)) = watch.next().await?;
    let (mut held, mut cooling) = (BTreeSet::new(), BTreeMap::new());
    for state in states {
        let Some(number) = space.range().number(state.key()) else { continue };
        match state {
            KeyState::Held(_) => {
                held.insert(number);
            }
            KeyState::Cooling { until, .. } => {
                cooling.insert(number, until);
            }
            KeyState::Vacant { .. } => {}
        }
    }
    Ok((held, cooling))
}
