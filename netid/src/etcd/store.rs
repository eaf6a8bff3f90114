use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use super::connection::Connection;
use super::error::EtcdError;
use super::fence::Operations;
use super::layout::{Layout, Slot};
use super::options::EtcdOptions;
use super::proto::{RangeRequest, RangeResponse, ResponseOp, TxnRequest, TxnResponse};
use super::txn::{self, RANGE, TXN};
use super::watch::EtcdWatch;
use crate::claim::{
    BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, Owner, Proof, ReleaseOutcome,
    WatchClaims,
};

/// A [`ClaimStore`] in etcd (3.4 or later), for hosts that share their claims.
///
/// A batch is one transaction, and so is almost every operation. What a batch finds in its way costs a second one:
/// a cooldown that has passed, or a claim that somebody makes at the same time. Generations are revisions of etcd.
///
/// # Failures
///
/// An endpoint that does not answer within [`with_attempt`](EtcdOptions::with_attempt) is left for the next one, and
/// the operation is repeated until [`with_deadline`](EtcdOptions::with_deadline). Repeating is safe: the transaction
/// itself asks whether the owner has what it wants, and an answer is final: no earlier attempt that a cut network held
/// back is carried out after it. [`ClaimError::Unknown`] means that the time was up and one of the attempts may have
/// been carried out, now or within the seconds that etcd or the network still works on it: claim the same for the same
/// owner, or read back what it holds. A release that was repeated may say
/// [`NotHeld`](ReleaseOutcome::NotHeld) of what its first attempt released.
///
/// # Runtime
///
/// Operations need a tokio runtime with time and I/O, and the runtime in which the store was first used to keep
/// running. Clones share one connection per endpoint.
///
/// ```no_run
/// use core::time::Duration;
/// use netid::{ClaimKey, ClaimStore, EtcdOptions, EtcdStore, Owner};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Duration::from_secs(1_700_000_000);
/// let endpoints = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"];
/// let store = EtcdStore::connect(&EtcdOptions::new(endpoints)).await?;
/// let owner = Owner::new("vm", "web", "u1")?;
/// let claims = store.claim(&owner, &[ClaimKey::name("web")?], now).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EtcdStore {
    pub(super) connection: Arc<Connection>,
    pub(super) layout: Arc<Layout>,
    operations: Arc<Operations>,
    /// Whether the claims under the root are known to be in the format of this version.
    is_checked: Arc<AtomicBool>,
}

impl EtcdStore {
    /// The most different keys that can be claimed, bound or renewed at once: a transaction of etcd takes 128
    /// operations, unless it is told otherwise, and a key needs up to three. Two are left for what keeps attempts
    /// from coming late.
    pub const MAX_BATCH: usize = 42;
    /// How many keys are read at once.
    pub(super) const PAGE: usize = 1000;
    /// How often an operation looks again at keys that others change under its hands.
    pub(super) const ROUNDS: usize = 100;

    /// Reaches etcd, and makes sure that the claims under the root are in the format of this version.
    ///
    /// # Errors
    /// When the options do not fit together, etcd does not answer before the deadline, it refuses the user, or the
    /// claims under the root have another format.
    pub async fn connect(options: &EtcdOptions) -> Result<Self, EtcdError> {
        let store = Self::connect_lazy(options).await?;
        store.check_format().await?;
        Ok(store)
    }

    /// As [`connect`](Self::connect), but etcd is not asked yet, so that a host can start while it is away: what was
    /// leased by [`Blocks`](crate::Blocks) is handed out all the same.
    ///
    /// The first operation makes sure of the format, and has the errors of [`connect`](Self::connect). Where etcd does
    /// not answer, that takes up to one [deadline](EtcdOptions::with_deadline), and the operation is not begun.
    ///
    /// ```
    /// use core::time::Duration;
    /// use netid::{BlockSpace, Blocks, EtcdOptions, EtcdStore, KeyRange, MemoryStore, NetId, Owner};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Nobody listens there.
    /// let shared = EtcdStore::connect_lazy(&EtcdOptions::new(["http://127.0.0.1:1"])).await?;
    /// let local = MemoryStore::new(); // a `RedbStore`, where it is to last
    /// let space = BlockSpace::new(KeyRange::ids(NetId::new(0), NetId::new(u32::MAX))?)?;
    /// let blocks = Blocks::open(shared, local, Owner::new("host", "rack-7-3", "4c4c4544")?, space).await?;
    /// assert!(blocks.leased().is_empty(), "or what was leased before the restart");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the options do not fit together.
    #[expect(clippy::unused_async, reason = "connections belong to the runtime that polls this")]
    pub async fn connect_lazy(options: &EtcdOptions) -> Result<Self, EtcdError> {
        Ok(Self {
            connection: Arc::new(Connection::new(options)?),
            layout: Arc::new(Layout::new(&options.root)),
            operations: Arc::new(Operations::new()),
            is_checked: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Makes sure, once, that the claims under the root are in the format of this version.
    pub(super) async fn check_format(&self) -> Result<(), EtcdError> {
        if self.is_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = self.layout.format();
        let txn = TxnRequest {
            compare: [txn::is_absent(key.clone(), Vec::new())].into(),
            success: [txn::put(key.clone(), Layout::FORMAT.into())].into(),
            failure: [txn::read(txn::range(key, Vec::new(), 1))].into(),
        };
        let answer = self.connection.call(TXN, txn).await;
        let answer: TxnResponse = answer.map_err(EtcdError::before_the_operation)?;
        if !answer.succeeded {
            let found = txn::found(txn::first(&answer)?)?.first().map(|kv| &*kv.value);
            if found != Some(Layout::FORMAT.as_bytes()) {
                let found = String::from_utf8_lossy(found.unwrap_or_default());
                return Err(EtcdError::Format { found: found.into(), expected: Layout::FORMAT });
            }
        }
        self.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn txn(&self, txn: TxnRequest) -> Result<TxnResponse, EtcdError> {
        self.check_format().await?;
        self.connection.call(TXN, txn).await
    }

    /// Sends a transaction that claims. Once there is an answer, it is what happened: no attempt is carried out late.
    pub(super) async fn claiming(&self, txn: TxnRequest) -> Result<TxnResponse, EtcdError> {
        self.check_format().await?;
        let fenced = self.operations.fenced(&self.layout, txn);
        self.connection.attempt(TXN, fenced).await
    }

    pub(super) async fn range(&self, range: RangeRequest) -> Result<RangeResponse, EtcdError> {
        self.check_format().await?;
        self.connection.call(RANGE, range).await
    }

    /// The two keys of a claim key.
    pub(super) fn slot_range(&self, key: &ClaimKey) -> RangeRequest {
        txn::range(self.layout.claim(key.as_str()), self.layout.slot_end(key), 0)
    }

    /// What there is about each key, as the ranges of a transaction have found it.
    pub(super) fn slots(
        &self,
        count: usize,
        responses: &[ResponseOp],
    ) -> Result<Vec<Slot>, EtcdError> {
        if responses.len() != count {
            return Err(EtcdError::Protocol { what: "a range for each key" });
        }
        responses.iter().map(|response| self.layout.slot(txn::found(response)?)).collect()
    }
}

impl ClaimStore for EtcdStore {
    type Error = EtcdError;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<EtcdError>> {
        self.claim_batch(owner, keys, now).await
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<EtcdError>> {
        self.claim_unless_held(owner, prefix, key, now).await
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<EtcdError>> {
        let renew = |mut claim: Claim| {
            if claim.state == ClaimState::Pending {
                claim.since = now;
            }
            claim
        };
        self.update(claims, renew).await
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<EtcdError>> {
        self.update(claims, |claim| claim.with_state(ClaimState::Bound)).await.map(drop)
    }

    async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, EtcdError>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.release_proven(claims, Proof::Generation, cooldown, now).await
    }

    async fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, EtcdError>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.release_proven(claims, Proof::Unchanged, cooldown, now).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, EtcdError> {
        self.claim_on(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, EtcdError> {
        self.claims_with(prefix, after, limit).await
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, EtcdError> {
        self.claims_held_by(owner).await
    }

    /// Reads everything under the root to find them.
    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, EtcdError> {
        self.forget_passed(now).await
    }
}

impl WatchClaims for EtcdStore {
    type Watch = EtcdWatch;

    async fn watch(&self, prefix: &str) -> Result<EtcdWatch, EtcdError> {
        EtcdWatch::start(self.clone(), prefix).await
    }
}

/// Refuses a batch that does not fit into one transaction.
pub(super) const fn check_batch(len: usize) -> Result<(), EtcdError> {
    let max = EtcdStore::MAX_BATCH;
    if len > max { Err(EtcdError::BatchTooLarge { len, max }) } else { Ok(()) }
}

/// The revision in which the key of a claim was created. What is no revision is one that no key has.
pub(super) fn generation(claim: &Claim) -> i64 {
    i64::try_from(claim.generation.number()).ok().filter(|number| *number > 0).unwrap_or(i64::MAX)
}
