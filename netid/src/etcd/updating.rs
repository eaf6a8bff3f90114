use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::error::EtcdError;
use super::layout::{Held, write_claim};
use super::proto::TxnRequest;
use super::store::{EtcdStore, check_batch};
use super::txn;
use crate::claim::{BindError, Claim};

/// How claims are bound and renewed: read, and written if they are still as they were read.
impl EtcdStore {
    /// Changes claims if all of them are held as proven.
    pub(super) async fn update(
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
        let mut responses = self.txn(txn::always(reads.clone())).await?.responses;
        for _ in 0..Self::ROUNDS {
            let slots = self.slots(keys.len(), &responses)?;
            let held: BTreeMap<_, _> = keys.iter().copied().zip(slots).collect();
            let held = |key| held.get(key).and_then(|slot| slot.held.as_ref());
            for claim in claims {
                let holder = held(&claim.key).map(|held| &held.claim);
                if !holder.is_some_and(|holder| holder.is_same(claim)) {
                    let (key, holder) = (claim.key.clone(), holder.cloned());
                    return Err(BindError::Lost { key, holder });
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
}
