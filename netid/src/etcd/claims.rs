use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::connection::Connection;
use super::error::{EtcdError, lost};
use super::fence::Operations;
use super::layout::{Held, Layout, Slot, end_of, write_claim, write_cooling};
use super::options::EtcdOptions;
use super::proto::{RangeRequest, RangeResponse, ResponseOp, TxnRequest, TxnResponse};
use super::txn::{self, RANGE, TXN};
use super::watch::EtcdWatch;
use crate::claim::{
    BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, Generation, Obstacle, Owner,
    ReleaseOutcome, Taken, WatchClaims,
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
}

impl EtcdStore {
    /// The most different keys a batch can have: a transaction of etcd takes 128 operations, unless it is told
    /// otherwise, and a key needs up to three. Two are left for what keeps attempts from coming late.
    pub const MAX_BATCH: usize = 42;
    /// How many keys are read at once.
    pub(super) const PAGE: usize = 1000;
    /// How often an operation looks again at keys that others change under its hands.
    const ROUNDS: usize = 100;
    /// How many claims are released in one transaction.
    const RELEASES: usize = 30;
    /// How many claims are read in one transaction.
    const READS: usize = 100;

    /// Reaches etcd, and makes sure that the claims under the root are in the format of this version.
    ///
    /// # Errors
    /// When the options do not fit together, etcd does not answer before the deadline, it refuses the user, or the
    /// claims under the root have another format.
    pub async fn connect(options: &EtcdOptions) -> Result<Self, EtcdError> {
        let connection = Arc::new(Connection::new(options)?);
        let layout = Arc::new(Layout::new(&options.root));
        let store = Self { connection, layout, operations: Arc::new(Operations::new()) };
        let key = store.layout.format();
        let txn = TxnRequest {
            compare: [txn::is_absent(key.clone(), Vec::new())].into(),
            success: [txn::put(key.clone(), Layout::FORMAT.into())].into(),
            failure: [txn::read(txn::range(key, Vec::new(), 1))].into(),
        };
        let answer = store.txn(txn).await?;
        if !answer.succeeded {
            let found = txn::found(first(&answer)?)?.first().map(|kv| &*kv.value);
            if found != Some(Layout::FORMAT.as_bytes()) {
                let found = alloc::string::String::from_utf8_lossy(found.unwrap_or_default());
                return Err(EtcdError::Format { found: found.into(), expected: Layout::FORMAT });
            }
        }
        Ok(store)
    }

    pub(super) async fn txn(&self, txn: TxnRequest) -> Result<TxnResponse, EtcdError> {
        self.connection.call(TXN, txn).await
    }

    /// Sends a transaction that claims. Once there is an answer, it is what happened: no attempt is carried out late.
    async fn claiming(&self, txn: TxnRequest) -> Result<TxnResponse, EtcdError> {
        let fenced = self.operations.fenced(&self.layout, txn);
        self.connection.attempt(TXN, fenced).await
    }

    pub(super) async fn range(&self, range: RangeRequest) -> Result<RangeResponse, EtcdError> {
        self.connection.call(RANGE, range).await
    }

    /// The two keys of a claim key.
    fn slot_range(&self, key: &ClaimKey) -> RangeRequest {
        txn::range(self.layout.claim(key.as_str()), self.layout.slot_end(key), 0)
    }

    /// What there is about each key, as the ranges of a transaction have found it.
    fn slots(&self, count: usize, responses: &[ResponseOp]) -> Result<Vec<Slot>, EtcdError> {
        if responses.len() != count {
            return Err(EtcdError::Protocol { what: "a range for each key" });
        }
        responses.iter().map(|response| self.layout.slot(txn::found(response)?)).collect()
    }

    /// The transaction that claims, if everything is as it is thought to be: for keys that were not looked at, vacant.
    fn claim_txn(
        &self,
        owner: &Owner,
        keys: &[&ClaimKey],
        slots: Option<&[Slot]>,
        now: Duration,
    ) -> TxnRequest {
        let value = write_claim(owner, ClaimState::Pending, now);
        let mut txn = TxnRequest::default();
        for (at, key) in keys.iter().enumerate() {
            let claim = self.layout.claim(key.as_str());
            match slots.and_then(|slots| slots.get(at)) {
                Some(Slot { held: Some(held), .. }) => {
                    txn.compare.push(txn::was_created(claim, generation(&held.claim)));
                    continue;
                }
                Some(Slot { cooling: Some(cooling), .. }) => {
                    let key = self.layout.cooling(key);
                    txn.compare.push(txn::was_created(claim.clone(), 0));
                    txn.compare.push(txn::was_written(key.clone(), cooling.revision));
                    txn.success.push(txn::delete(key));
                }
                Some(_) | None => {
                    let end = self.layout.slot_end(key);
                    txn.compare.push(txn::is_absent(claim.clone(), end));
                }
            }
            txn.success.push(txn::put(claim, value.clone()));
            txn.success.push(txn::put(self.layout.owned(owner, key.as_str()), Vec::new()));
        }
        txn
    }

    /// Claims different keys.
    async fn claim_each(
        &self,
        owner: &Owner,
        keys: &[&ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<EtcdError>> {
        let mut slots: Option<Vec<Slot>> = None;
        for _ in 0..Self::ROUNDS {
            let mut txn = self.claim_txn(owner, keys, slots.as_deref(), now);
            txn.failure = keys.iter().map(|key| txn::read(self.slot_range(key))).collect();
            let mut answer = self.claiming(txn).await?;
            if answer.succeeded {
                let generation = Generation::new(txn::revision(&answer)?.unsigned_abs());
                let mut slots = slots.unwrap_or_default().into_iter();
                let claims = keys.iter().map(|&key| match slots.next() {
                    Some(Slot { held: Some(held), .. }) => held.claim,
                    _ => Claim::new(key.clone(), owner.clone(), generation, now),
                });
                return Ok(claims.collect());
            }
            answer.responses.truncate(keys.len());
            let found = self.slots(keys.len(), &answer.responses)?;
            for (key, slot) in keys.iter().zip(&found) {
                if let Some(obstacle) = obstacle(slot, owner, now) {
                    return Err(ClaimError::Taken(Taken { key: (*key).clone(), obstacle }));
                }
            }
            if found.iter().all(|slot| slot.held.is_some()) {
                let claims = found.into_iter().filter_map(|slot| Some(slot.held?.claim));
                return Ok(claims.collect());
            }
            // Nothing is in the way: what was has passed or gone meanwhile.
            slots = Some(found);
        }
        Err(EtcdError::Contended.into())
    }

    /// Changes claims if all of them are held as proven.
    async fn update(
        &self,
        claims: &[Claim],
        change: impl Fn(Claim) -> Claim + Send,
    ) -> Result<Vec<Claim>, BindError<EtcdError>> {
        let keys: BTreeSet<_> = claims.iter().map(|claim| &claim.key).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        check_batch(keys.len())?;
        let keys: Vec<_> = keys.into_iter().collect();
        let reads: Vec<_> = keys.iter().map(|key| txn::read(self.slot_range(key))).collect();
        let mut responses = self.txn(reading(reads.clone())).await?.responses;
        for _ in 0..Self::ROUNDS {
            let slots = self.slots(keys.len(), &responses)?;
            let held: BTreeMap<_, _> = keys.iter().copied().zip(slots).collect();
            let held = |key| held.get(key).and_then(|slot| slot.held.as_ref());
            for claim in claims {
                let holder = held(&claim.key).map(|held| &held.claim);
                if !holder.is_some_and(|holder| holder.is_same(claim)) {
                    return Err(lost(&claim.key, holder.cloned()));
                }
            }
            let mut txn = TxnRequest { failure: reads.clone(), ..TxnRequest::default() };
            for Held { claim, revision } in keys.iter().filter_map(|&key| held(key)) {
                let key = self.layout.claim(claim.key.as_str());
                txn.compare.push(txn::was_written(key.clone(), *revision));
                let changed = change(claim.clone());
                if changed != *claim {
                    let value = write_claim(&changed.owner, changed.state, changed.since);
                    txn.success.push(txn::put(key, value));
                }
            }
            let updated = claims.iter().filter_map(|claim| held(&claim.key));
            let updated = updated.map(|held| change(held.claim.clone())).collect();
            if txn.success.is_empty() {
                return Ok(updated);
            }
            let answer = self.txn(txn).await?;
            if answer.succeeded {
                return Ok(updated);
            }
            responses = answer.responses;
        }
        Err(EtcdError::Contended.into())
    }

    /// Releases claims on different keys.
    async fn release_each(
        &self,
        claims: &[(&Claim, Duration)],
        now: Duration,
    ) -> Result<Vec<ReleaseOutcome>, EtcdError> {
        let releases = claims.iter().map(|(claim, cooldown)| {
            let Claim { key, owner, .. } = claim;
            let (held, owned) =
                (self.layout.claim(key.as_str()), self.layout.owned(owner, key.as_str()));
            let mut success = Vec::from([txn::delete(held.clone()), txn::delete(owned.clone())]);
            if !cooldown.is_zero() {
                let until = now.saturating_add(*cooldown);
                success.push(txn::put(self.layout.cooling(key), write_cooling(until, owner)));
            }
            txn::nested(TxnRequest {
                compare: [
                    txn::was_created(held, generation(claim)),
                    txn::was_created(owned, generation(claim)),
                ]
                .into(),
                success,
                failure: [txn::read(self.slot_range(key))].into(),
            })
        });
        let txn = TxnRequest { success: releases.collect(), ..TxnRequest::default() };
        let answer = self.txn(txn).await?;
        if answer.responses.len() != claims.len() {
            return Err(EtcdError::Protocol { what: "an outcome for each release" });
        }
        let outcomes = answer.responses.iter().map(|response| {
            let inner = txn::inner(response)?;
            if inner.succeeded {
                return Ok(ReleaseOutcome::Released);
            }
            Ok(match self.layout.slot(txn::found(first(inner)?)?)?.held {
                Some(held) => ReleaseOutcome::HeldByOther(held.claim),
                None => ReleaseOutcome::NotHeld,
            })
        });
        outcomes.collect()
    }

    /// The claims on keys that are held.
    async fn read(&self, keys: &[ClaimKey]) -> Result<Vec<Claim>, EtcdError> {
        let mut claims = Vec::with_capacity(keys.len());
        for keys in keys.chunks(Self::READS) {
            let reads = keys.iter().map(|key| txn::read(self.slot_range(key))).collect();
            let answer = self.txn(reading(reads)).await?;
            let slots = self.slots(keys.len(), &answer.responses)?;
            claims.extend(slots.into_iter().filter_map(|slot| Some(slot.held?.claim)));
        }
        Ok(claims)
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
        let mut seen = BTreeSet::new();
        let different: Vec<_> = keys.iter().filter(|key| seen.insert(*key)).collect();
        if different.is_empty() {
            return Ok(Vec::new());
        }
        check_batch(different.len())?;
        let claims = self.claim_each(owner, &different, now).await?;
        if different.len() == keys.len() {
            return Ok(claims);
        }
        let by_key: BTreeMap<_, _> = claims.iter().map(|claim| (&claim.key, claim)).collect();
        Ok(keys.iter().filter_map(|key| by_key.get(key).copied().cloned()).collect())
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<EtcdError>> {
        let mut slot: Option<[Slot; 1]> = None;
        let start = self.layout.owned(owner, prefix);
        let own = txn::range(start.clone(), end_of(&start), 1);
        for _ in 0..Self::ROUNDS {
            let slots = slot.as_ref().map(<[Slot; 1]>::as_slice);
            let mut txn = self.claim_txn(owner, &[key], slots, now);
            txn.compare.push(txn::is_absent(own.key.clone(), own.range_end.clone()));
            txn.failure = [txn::read(own.clone()), txn::read(self.slot_range(key))].into();
            let answer = self.claiming(txn).await?;
            if answer.succeeded {
                let generation = Generation::new(txn::revision(&answer)?.unsigned_abs());
                return Ok(Claim::new(key.clone(), owner.clone(), generation, now));
            }
            let [of_owner, of_key, ..] = &*answer.responses else {
                return Err(EtcdError::Protocol { what: "two ranges" }.into());
            };
            if let Some(kv) = txn::found(of_owner)?.first() {
                let held = self.layout.owned_key(owner, &kv.key)?;
                if let Some(claim) = self.get(&held).await?
                    && claim.owner.is_same(owner)
                {
                    return Ok(claim);
                }
                // It was released in between.
                slot = None;
                continue;
            }
            let found = self.layout.slot(txn::found(of_key)?)?;
            if let Some(obstacle) = obstacle(&found, owner, now) {
                return Err(ClaimError::Taken(Taken { key: key.clone(), obstacle }));
            }
            slot = Some([Slot { held: None, ..found }]);
        }
        Err(EtcdError::Contended.into())
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
        let cooldowns: Vec<_> = claims.iter().map(|claim| cooldown(&claim.key)).collect();
        drop(cooldown);
        let mut released = Vec::with_capacity(claims.len());
        let mut left: &[Claim] = claims;
        let mut cooldowns = cooldowns.into_iter();
        while !left.is_empty() {
            // A key can be named once in a transaction.
            let mut seen = BTreeSet::new();
            let distinct = left.iter().take_while(|claim| seen.insert(&claim.key)).count();
            let (now_released, later) = left.split_at(distinct.min(Self::RELEASES));
            let batch: Vec<_> = now_released.iter().zip(cooldowns.by_ref()).collect();
            let outcomes = self.release_each(&batch, now).await?;
            let keys = now_released.iter().map(|claim| claim.key.clone());
            released.extend(keys.zip(outcomes));
            left = later;
        }
        Ok(released)
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, EtcdError> {
        let answer = self.range(self.slot_range(key)).await?;
        Ok(self.layout.slot(&answer.kvs)?.held.map(|held| held.claim))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, EtcdError> {
        let start = self.layout.claim(prefix);
        let end = end_of(&start);
        let mut next = match after {
            Some(key) if key.as_str() >= prefix => self.layout.slot_end(key),
            _ => start,
        };
        let mut claims = Vec::new();
        loop {
            let missing = limit.get().saturating_sub(claims.len());
            if missing == 0 || next >= end {
                return Ok(claims);
            }
            // What is resting takes up room, too.
            let page = txn::range(next, end.clone(), missing.min(Self::PAGE));
            let answer = self.range(page).await?;
            for kv in &answer.kvs {
                claims.extend(self.layout.slot(core::slice::from_ref(kv))?.held.map(|h| h.claim));
            }
            match answer.kvs.into_iter().next_back() {
                Some(last) if answer.more => {
                    next = last.key;
                    next.push(0);
                }
                _ => return Ok(claims),
            }
        }
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, EtcdError> {
        let mut next = self.layout.owned(owner, "");
        let end = end_of(&next);
        let mut claims = Vec::new();
        loop {
            let mut page = txn::range(next, end.clone(), Self::PAGE);
            page.keys_only = true;
            let answer = self.range(page).await?;
            let keys = answer.kvs.iter().map(|kv| self.layout.owned_key(owner, &kv.key));
            let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
            let read = self.read(&keys).await?;
            claims.extend(read.into_iter().filter(|claim| claim.owner.is_same(owner)));
            match answer.kvs.into_iter().next_back() {
                Some(last) if answer.more => {
                    next = last.key;
                    next.push(0);
                }
                _ => return Ok(claims),
            }
        }
    }

    /// Reads everything under the root to find them.
    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, EtcdError> {
        let mut forgotten = 0_usize;
        let mut next = self.layout.claim("");
        let end = end_of(&next);
        loop {
            let answer = self.range(txn::range(next, end.clone(), Self::PAGE)).await?;
            let mut passed = Vec::new();
            for kv in &answer.kvs {
                if let Some(cooling) = self.layout.slot(core::slice::from_ref(kv))?.cooling
                    && cooling.until <= now
                {
                    let key = kv.key.clone();
                    passed.push(txn::nested(TxnRequest {
                        compare: [txn::was_written(key.clone(), cooling.revision)].into(),
                        success: [txn::delete(key)].into(),
                        failure: Vec::new(),
                    }));
                }
            }
            for passed in passed.chunks(Self::READS) {
                let txn = TxnRequest { success: passed.to_vec(), ..TxnRequest::default() };
                for response in &self.txn(txn).await?.responses {
                    let done = txn::inner(response)?.succeeded;
                    forgotten = forgotten.saturating_add(usize::from(done));
                }
            }
            match answer.kvs.into_iter().next_back() {
                Some(last) if answer.more => {
                    next = last.key;
                    next.push(0);
                }
                _ => return Ok(forgotten),
            }
        }
    }
}

impl WatchClaims for EtcdStore {
    type Watch = EtcdWatch;

    async fn watch(&self, prefix: &str) -> Result<EtcdWatch, EtcdError> {
        EtcdWatch::start(self.clone(), prefix).await
    }
}

/// What keeps an owner from claiming a key.
fn obstacle(slot: &Slot, owner: &Owner, now: Duration) -> Option<Obstacle> {
    if let Some(Held { claim, .. }) = &slot.held {
        return (!claim.owner.is_same(owner)).then(|| Obstacle::Held(claim.clone()));
    }
    let cooling = slot.cooling.as_ref()?;
    let rests = now < cooling.until && *cooling.uid != *owner.uid();
    rests.then_some(Obstacle::Cooling { until: cooling.until })
}

const fn check_batch(len: usize) -> Result<(), EtcdError> {
    let max = EtcdStore::MAX_BATCH;
    if len > max { Err(EtcdError::BatchTooLarge { len, max }) } else { Ok(()) }
}

/// The revision in which the key of a claim was created. What is no revision is one that no key has.
fn generation(claim: &Claim) -> i64 {
    i64::try_from(claim.generation.number()).ok().filter(|number| *number > 0).unwrap_or(i64::MAX)
}

/// A transaction that only reads.
fn reading(reads: Vec<super::proto::RequestOp>) -> TxnRequest {
    TxnRequest { success: reads, ..TxnRequest::default() }
}

fn first(answer: &TxnResponse) -> Result<&ResponseOp, EtcdError> {
    answer.responses.first().ok_or(EtcdError::Protocol { what: "a response" })
}
