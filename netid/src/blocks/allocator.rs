use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;

use super::error::BlocksError;
use super::leasing::{agree, leases, numbers};
use super::space::BlockSpace;
use super::stock::Stock;
use crate::claim::{
    Claim, ClaimError, ClaimKey, ClaimStore, Obstacle, Owner, ReleaseOutcome, Taken, WatchClaims,
};
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
/// The local store is for one host and one `Blocks` at a time, in whichever process, and only this one claims and
/// releases numbers of the range in it. Binding and renewing claims, and other keys, are free.
///
/// # What nobody releases
///
/// A [`Collector`](crate::Collector) looks at the local store. Its sweep would release numbers behind the back of
/// `Blocks`, so what is due is released here instead, by [`release_unchanged`](Self::release_unchanged):
///
/// ```
/// use core::convert::Infallible;
/// use core::time::Duration;
/// use netid::{BlockSpace, Blocks, Collector, KeyRange, LiveOwners, MemoryStore, NetId, Owner};
/// # use rand::{SeedableRng, rngs::StdRng};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let start = Duration::from_secs(1_700_000_000);
/// # let mut rng = StdRng::seed_from_u64(1);
/// # let space = BlockSpace::new(KeyRange::ids(NetId::new(0), NetId::new(u32::MAX))?)?;
/// # let host = Owner::new("host", "rack-7-3", "4c4c4544")?;
/// # let machines = async || Ok::<_, Infallible>(LiveOwners::none());
/// # let is_gone = async |_: &Owner| true;
/// # let blocks = Blocks::open(MemoryStore::new(), MemoryStore::new(), host, space).await?;
/// blocks.claim(&Owner::new("vm", "web", "u1")?, &mut rng, start).await?; // and then a crash
///
/// let mut collector = Collector::new("vm");
/// for minutes in [5, 10] {
///     let now = start + Duration::from_secs(60 * minutes);
///     let report = collector.look(blocks.local(), machines, || now).await?;
///     for suspect in report.due() {
///         if is_gone(&suspect.owner).await {
///             blocks.release_unchanged(&suspect.claims, |_| Duration::ZERO, now).await?;
///         }
///     }
/// }
/// assert_eq!(blocks.return_unused(0, start).await?, 1);
/// # Ok(())
/// # }
/// ```
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
/// let id = NetId::new(ids.number(&claim).unwrap());
/// assert_eq!(claim.key, ClaimKey::id(id));
/// assert_eq!(ids.claim(&web, &mut rng, now).await?, claim, "it has one");
/// ids.release(&[claim], |_| Duration::from_secs(60), now).await?;
/// # Ok(())
/// # }
/// ```
pub struct Blocks<S: WatchClaims, L: WatchClaims> {
    pub(super) leases: Claimer<S>,
    pub(super) local: L,
    pub(super) host: Owner,
    pub(super) space: BlockSpace,
    pub(super) stock: Mutex<Stock>,
    /// One change of what is leased at a time; whether the shared store was asked about it.
    pub(super) leasing: tokio::sync::Mutex<Verified>,
    /// How many attempts to lease a block have failed.
    pub(super) failures: AtomicU64,
}

/// Whether the leases here have been compared with those in the shared store.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verified {
    Yes,
    NotYet,
}

/// The errors of both stores.
pub(super) type Error<S, L> = BlocksError<<S as ClaimStore>::Error, <L as ClaimStore>::Error>;

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
        let leased = |number: &u32| {
            space.block_of(*number).is_some_and(|block| stock.blocks.contains_key(&block))
        };
        if !held.iter().chain(cooling.keys()).all(leased) {
            stock.has_strays = true;
        }
        Ok(Self {
            leases: Claimer::new(shared, space.leases().clone()),
            local,
            host,
            space,
            stock: Mutex::new(stock),
            leasing: tokio::sync::Mutex::new(Verified::NotYet),
            failures: AtomicU64::new(0),
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

    /// The number of a claim that was handed out here.
    #[must_use]
    pub fn number(&self, claim: &Claim) -> Option<u32> {
        self.space.range().number(&claim.key)
    }

    /// Hands out a number to an owner: the one it has, or the one of the leased blocks that has been vacant for the
    /// longest time. A block is leased if there is none, chosen by `rng` ([`Claimer::claim`] says which sources fit).
    ///
    /// Blocks are leased one after another. Whoever has waited while that failed for somebody else fails with it
    /// ([`BlocksError::Waited`]), so a shared store that does not answer holds everybody up once.
    ///
    /// # Errors
    /// [`BlocksError::Lease`], [`BlocksError::Waited`], [`BlocksError::Shared`], [`BlocksError::SharedClaim`] and
    /// [`BlocksError::Disagreement`] only when a block had to be leased; [`BlocksError::Local`] and
    /// [`BlocksError::LocalClaim`] when the local store fails; [`BlocksError::NotLeased`] when the number that the
    /// owner has is of a block that was lost.
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

    /// Releases numbers, as [`ClaimStore::release`] does. Other claims of the local store may be among them, so what
    /// [`claims_of`](ClaimStore::claims_of) an owner gives can be released as it is.
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
        let cooldowns = cooldowns(claims, cooldown);
        let cooldown = |key: &ClaimKey| cooldowns.get(key).copied().unwrap_or_default();
        self.take_back(self.local.release(claims, cooldown, now), cooldown, now).await
    }

    /// Releases numbers whose claims are exactly as given, as [`ClaimStore::release_unchanged`] does: what was bound or
    /// renewed since is not touched.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Error<S, L>>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        let cooldowns = cooldowns(claims, cooldown);
        let cooldown = |key: &ClaimKey| cooldowns.get(key).copied().unwrap_or_default();
        self.take_back(self.local.release_unchanged(claims, cooldown, now), cooldown, now).await
    }

    /// Takes back the numbers that the local store releases.
    async fn take_back(
        &self,
        release: impl Future<Output = Result<Vec<(ClaimKey, ReleaseOutcome)>, L::Error>>,
        cooldown: impl Fn(&ClaimKey) -> Duration,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Error<S, L>> {
        let doubt = Doubt(self);
        let outcomes = release.await.map_err(BlocksError::Local)?;
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

    /// The steps under the lock do not panic, and each leaves the stock whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, Stock> {
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
pub(super) struct Doubt<'a, S: WatchClaims, L: WatchClaims>(pub(super) &'a Blocks<S, L>);

impl<S: WatchClaims, L: WatchClaims> Drop for Doubt<'_, S, L> {
    fn drop(&mut self) {
        self.0.lock().doubtful = true;
    }
}

/// For how long each key is to rest. It is asked once, as it counts in the store and here.
fn cooldowns(
    claims: &[Claim],
    cooldown: impl Fn(&ClaimKey) -> Duration,
) -> BTreeMap<ClaimKey, Duration> {
    claims.iter().map(|claim| (claim.key.clone(), cooldown(&claim.key))).collect()
}
