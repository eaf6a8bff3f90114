use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::error::EtcdError;
use super::layout::{Held, Slot, end_of, write_claim};
use super::proto::TxnRequest;
use super::store::{EtcdStore, check_batch, generation};
use super::txn;
use crate::claim::{
    Claim, ClaimError, ClaimKey, ClaimState, ClaimStore as _, Generation, Obstacle, Owner, Taken,
};

/// How claims are made: at first as if nothing were in the way, and where something was and has passed, once more.
impl EtcdStore {
    pub(super) async fn claim_batch(
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

    /// Claims a key unless the owner holds one with that prefix.
    pub(super) async fn claim_unless_held(
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
                // It may have been claimed just now.
                if let Some(claim) = self.get(&held).await.map_err(ClaimError::Unknown)?
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
            if let Some(held) = found.held {
                // Its own, which does not start with the prefix.
                return Ok(held.claim);
            }
            slot = Some([found]);
        }
        Err(EtcdError::Contended.into())
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
