use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;

use super::error::BlocksError;
use super::space::BlockSpace;
use super::stock::Stock;
use crate::claim::{
    Claim, ClaimError, ClaimKey, ClaimStore, ClaimWatch as _, KeyState, Obstacle, Owner,
    ReleaseOutcome, Taken, WatchClaims, WatchEvent,
};
use crate::collector::{Liveness, SweepOutcome};
use crate::vacancy::Claimer;

/// Hands out the numbers of a range on one host, from blocks that it leases in a store shared by all hosts.
///
/// One transaction of the shared store leases a block of 256 numbers. Which of them are handed out is a matter of the
/// host's own store: a claim there is as durable as that store, and needs nobody else. So a million hosts share one
/// etcd, and a host goes on while etcd is away, for as long as its blocks last.
///
/// | | shared store | local store |
/// |---|---|---|
/// | block leased | claimed by the host | claimed by the host |
/// | number handed out | | claimed by its owner |
///
/// A number is handed out only if the local store says that its block is leased, and a block is returned in the local
/// store first. A crash in between leaves a lease that is known to the shared store alone, which
/// [`verify`](Self::verify) finds: numbers are lost for a while, never handed out twice.
///
/// The local store is for one host and one `Blocks` at a time, in whichever process, and only this one claims and releases numbers of the
/// range in it. Binding and renewing claims, and other keys, are free.
///
/// # When a host is gone
///
/// Its blocks stay leased for as long as nobody proves that it is gone: a host that cannot be reached may go on handing
/// out numbers. [`take_over`](Self::take_over) asks for that proof. A host that was taken for gone and is not must be
/// stopped from using its numbers by other means; it finds out by [`verify`](Self::verify).
///
/// ```
/// use core::time::Duration;
/// use netid::{BlockSpace, Blocks, ClaimKey, KeyRange, MemoryStore, NetId, Owner};
/// use rand::{SeedableRng, rngs::StdRng};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Duration::from_secs(1_700_000_000);
/// # let mut rng = StdRng::seed_from_u64(1);
/// let space = BlockSpace::new(KeyRange::ids(NetId::new(0), NetId::new(u32::MAX))?)?
///     .with_permutation(*b"sixteen byte key");
/// // An `EtcdStore` and a `RedbStore`, where it is to last.
/// let (shared, local) = (MemoryStore::new(), MemoryStore::new());
/// let host = Owner::new("host", "rack-7-3", "4c4c4544")?;
/// let ids = Blocks::open(shared, local, host, space).await?;
///
/// let web = Owner::new("vm", "web", "u1")?;
/// let claim = ids.claim(&web, &mut rng, now).await?;
/// assert_eq!(claim.key.kind(), ClaimKey::ID);
/// assert_eq!(ids.claim(&web, &mut rng, now).await?, claim, "it has one");
/// ids.release(&[claim], |_| Duration::from_secs(60), now).await?;
/// # Ok(())
/// # }
/// ```
pub struct Blocks<S: WatchClaims, L: WatchClaims> {
    leases: Claimer<S>,
    local: L,
    host: Owner,
    space: BlockSpace,
    stock: Mutex<Stock>,
    /// One change of what is leased at a time; whether the shared store was asked about it.
    leasing: tokio::sync::Mutex<Verified>,
}

/// Whether the leases here have been compared with those in the shared store.
#[derive(Clone, Copy, PartialEq)]
enum Verified {
    Yes,
    NotYet,
}

/// The errors of both stores.
type Error<S, L> = BlocksError<<S as ClaimStore>::Error, <L as ClaimStore>::Error>;

impl<S: WatchClaims, L: WatchClaims> Blocks<S, L> {
    /// Takes up what the local store knows. The shared store is not asked yet, so a host starts without it.
    ///
    /// # Errors
    /// [`BlocksError::Local`] and [`BlocksError::LocalClaim`] when the local store fails, and
    /// [`BlocksError::Disagreement`] when it holds blocks of another size or permutation.
    pub async fn open(
        shared: S,
        local: L,
        host: Owner,
        space: BlockSpace,
    ) -> Result<Self, Error<S, L>> {
        if let Some(found) = agree(&local, &space).await.map_err(BlocksError::LocalClaim)? {
            return Err(BlocksError::Disagreement { found, expected: space.agreed() });
        }
        let (held, cooling) = numbers(&local, &space).await.map_err(BlocksError::Local)?;
        let mut stock = Stock::default();
        for lease in leases(&local, &host, &space).await.map_err(BlocksError::Local)? {
            if let Some(block) = space.leases().number(&lease.key) {
                stock.add(&space, block, lease, &held, &cooling);
            }
        }
        Ok(Self {
            leases: Claimer::new(shared, space.leases().clone()),
            local,
            host,
            space,
            stock: Mutex::new(stock),
            leasing: tokio::sync::Mutex::new(Verified::NotYet),
        })
    }

    /// How the range is cut.
    pub const fn space(&self) -> &BlockSpace {
        &self.space
    }

    /// The local store, for binding and renewing claims.
    pub const fn local(&self) -> &L {
        &self.local
    }

    /// The blocks that are leased, as far as is known here.
    #[must_use]
    pub fn leased(&self) -> Vec<u32> {
        self.lock().blocks.keys().copied().collect()
    }

    /// Hands out a number to an owner: the one it has, or the one of the leased blocks that has been vacant for the
    /// longest time. A block is leased if there is none.
    ///
    /// # Errors
    /// [`BlocksError::Lease`], [`BlocksError::Shared`] and [`BlocksError::Disagreement`] only when a block had to be
    /// leased; [`BlocksError::Local`] and [`BlocksError::LocalClaim`] when the local store fails;
    /// [`BlocksError::NotLeased`] when the number that the owner has is of a block that was lost.
    pub async fn claim<R: Rng + Send + ?Sized>(
        &self,
        owner: &Owner,
        rng: &mut R,
        now: Duration,
    ) -> Result<Claim, Error<S, L>> {
        let prefix = self.space.range().prefix();
        loop {
            let taken = self.lock().take(now);
            let Some(number) = taken else {
                let held = self.local.claims_of(owner).await.map_err(BlocksError::Local)?;
                let ours = |claim: &Claim| claim.key.as_str().starts_with(prefix);
                if let Some(claim) = held.into_iter().find(ours) {
                    return self.if_leased(claim).await;
                }
                self.lease(rng, now).await?;
                continue;
            };
            let aside = Aside { blocks: self, number };
            let Some(key) = self.space.range().key(number) else { continue };
            match self.local.claim_one(owner, prefix, &key, now).await {
                Ok(claim) => {
                    if claim.key == key {
                        aside.settle(None);
                    }
                    // The block may have been lost while the local store was asked.
                    return self.if_leased(claim).await;
                }
                // Somebody else writes to the local store, or the block was leased, lost and leased again.
                Err(ClaimError::Taken(Taken { obstacle: Obstacle::Held(_), .. })) => {
                    aside.settle(None);
                }
                Err(ClaimError::Taken(Taken { obstacle: Obstacle::Cooling { until }, .. })) => {
                    aside.settle(Some(until));
                }
                Err(error) => return Err(BlocksError::LocalClaim(error)),
            }
        }
    }

    /// Releases numbers, as [`ClaimStore::release`] does.
    ///
    /// # Errors
    /// [`BlocksError::Local`] when the local store fails. Releasing again is safe.
    pub async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Error<S, L>>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        let cooldowns: BTreeMap<_, _> =
            claims.iter().map(|claim| (claim.key.clone(), cooldown(&claim.key))).collect();
        drop(cooldown);
        let cooldown = |key: &ClaimKey| cooldowns.get(key).copied().unwrap_or_default();
        let doubt = Doubt(self);
        let outcomes = self.local.release(claims, cooldown, now).await;
        let outcomes = outcomes.map_err(BlocksError::Local)?;
        mem::forget(doubt);
        let mut stock = self.lock();
        for (key, outcome) in &outcomes {
            if let (true, Some(number)) = (outcome.is_released(), self.space.range().number(key)) {
                stock.release(&self.space, number, cooldown(key), now);
            }
        }
        drop(stock);
        Ok(outcomes)
    }

    /// Gives back blocks of which no number is held or cooling, except for so many, and says how many went.
    ///
    /// # Errors
    /// When a store fails. What the local store has given up by then is not handed out any more, and is found by
    /// [`verify`](Self::verify) if it is leased still.
    pub async fn return_unused(&self, keep: usize, now: Duration) -> Result<usize, Error<S, L>> {
        let mut verified = self.leasing.lock().await;
        self.refresh().await?;
        let mut unused: Vec<_> = {
            let mut stock = self.lock();
            let unused: Vec<_> = stock.unused(&self.space).into_iter().skip(keep).collect();
            let remove = |block| Some((block, stock.remove(&self.space, block)?));
            unused.into_iter().filter_map(remove).collect()
        };
        if unused.is_empty() {
            return Ok(0);
        }
        // What is not returned to its end is found by the comparison before the next lease.
        let before = mem::replace(&mut *verified, Verified::NotYet);
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
        let shared = self.shared_leases().await?;
        let given: BTreeSet<_> = unused.iter().map(|lease| &lease.key).collect();
        let returned: Vec<_> =
            shared.into_iter().filter(|lease| given.contains(&lease.key)).collect();
        let released = self.leases.store().release(&returned, |_| Duration::ZERO, now).await;
        let released = released.map_err(BlocksError::Shared)?;
        *verified = before;
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
    async fn lease<R: Rng + Send + ?Sized>(
        &self,
        rng: &mut R,
        now: Duration,
    ) -> Result<(), Error<S, L>> {
        let mut verified = self.leasing.lock().await;
        if *verified == Verified::NotYet {
            self.compare(&mut verified, now).await?;
        }
        self.refresh().await?;
        {
            let mut stock = self.lock();
            if let Some(number) = stock.take(now) {
                stock.put_back(number);
                return Ok(());
            }
        }
        // Should the answer be lost, the comparison before the next lease finds what was leased.
        *verified = Verified::NotYet;
        let lease = self.leases.claim_any(&self.host, rng, now).await;
        let lease = lease.map_err(BlocksError::Lease)?;
        self.take_up(&[lease], now).await?;
        *verified = Verified::Yes;
        Ok(())
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
        let (held, cooling) =
            numbers(&self.local, &self.space).await.map_err(BlocksError::Local)?;
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
    async fn if_leased(&self, claim: Claim) -> Result<Claim, Error<S, L>> {
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

    /// The steps under the lock do not panic, and each leaves the stock whole.
    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: WatchClaims, L: WatchClaims> fmt::Debug for Blocks<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("host", &self.host)
            .field("leased", &self.leased())
            .finish_non_exhaustive()
    }
}

/// A number that is being handed out. Dropping it, as when a claim is not waited for, takes it back: should the local
/// store have claimed it all the same, it refuses the next one.
struct Aside<'a, S: WatchClaims, L: WatchClaims> {
    blocks: &'a Blocks<S, L>,
    number: u32,
}

impl<S: WatchClaims, L: WatchClaims> Aside<'_, S, L> {
    /// Does not take it back: it is held, or rests.
    fn settle(self, rest: Option<Duration>) {
        self.blocks.lock().settle(self.number, rest);
    }
}

impl<S: WatchClaims, L: WatchClaims> Drop for Aside<'_, S, L> {
    fn drop(&mut self) {
        // Nothing happens here if it was settled.
        self.blocks.lock().put_back(self.number);
    }
}

/// Numbers that are being released. Dropping it, as when the release is not waited for, makes sure that the local store
/// is asked about them.
struct Doubt<'a, S: WatchClaims, L: WatchClaims>(&'a Blocks<S, L>);

impl<S: WatchClaims, L: WatchClaims> Drop for Doubt<'_, S, L> {
    fn drop(&mut self) {
        self.0.lock().doubtful = true;
    }
}

/// Makes sure that a range is cut in one way in a store, and gives who says otherwise.
async fn agree<C: ClaimStore>(
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
async fn leases<C: ClaimStore>(
    store: &C,
    host: &Owner,
    space: &BlockSpace,
) -> Result<Vec<Claim>, C::Error> {
    let mut claims = store.claims_of(host).await?;
    claims.retain(|claim| space.leases().number(&claim.key).is_some());
    Ok(claims)
}

/// The numbers of a range that are held, and those that are cooling.
async fn numbers<C: WatchClaims>(
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
