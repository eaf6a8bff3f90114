use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::error::EtcdError;
use super::layout::{write_claim, write_cooling};
use super::proto::TxnRequest;
use super::store::{EtcdStore, generation};
use super::txn;
use crate::claim::{Claim, ClaimKey, Proof, ReleaseOutcome};

/// How claims are released: a transaction for each in one transaction for all.
impl EtcdStore {
    /// How many claims are released in one transaction.
    const RELEASES: usize = 30;

    /// Releases claims, each on its own proof, and as many as fit in one transaction.
    pub(super) async fn release_proven(
        &self,
        claims: &[Claim],
        proof: Proof,
        cooldown: impl Fn(&ClaimKey) -> Duration,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, EtcdError> {
        // The caller's function runs before anything is asked: it may panic or use the store.
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
            let outcomes = self.release_each(&batch, proof, now).await?;
            let keys = now_released.iter().map(|claim| claim.key.clone());
            released.extend(keys.zip(outcomes));
            left = later;
        }
        Ok(released)
    }

    /// Releases claims on different keys.
    async fn release_each(
        &self,
        claims: &[(&Claim, Duration)],
        proof: Proof,
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
            let mut compare = Vec::from([
                txn::was_created(held.clone(), generation(claim)),
                txn::was_created(owned, generation(claim)),
            ]);
            if let Proof::Unchanged = proof {
                compare.push(txn::has_value(held, write_claim(owner, claim.state, claim.since)));
            }
            txn::nested(TxnRequest {
                compare,
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
            Ok(match self.layout.slot(txn::found(txn::first(inner)?)?)?.held {
                Some(held) => ReleaseOutcome::HeldByOther(held.claim),
                None => ReleaseOutcome::NotHeld,
            })
        });
        outcomes.collect()
    }
}
