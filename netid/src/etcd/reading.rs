use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;

use super::error::EtcdError;
use super::layout::end_of;
use super::proto::{KeyValue, RangeRequest, TxnRequest};
use super::store::EtcdStore;
use super::txn;
use crate::claim::{Claim, ClaimKey, Owner};

/// A range, read page by page.
pub(super) struct Pages<'a> {
    store: &'a EtcdStore,
    /// What the next page is, unless there is none.
    next: Option<RangeRequest>,
    /// The revision of the pages so far.
    pub(super) revision: i64,
}

impl<'a> Pages<'a> {
    /// The keys from one to before another.
    pub(super) fn new(store: &'a EtcdStore, start: Vec<u8>, end: Vec<u8>) -> Self {
        let next = (start < end).then(|| txn::range(start, end, EtcdStore::PAGE));
        Self { store, next, revision: 0 }
    }

    /// Without values.
    pub(super) const fn keys_only(mut self) -> Self {
        if let Some(next) = &mut self.next {
            next.keys_only = true;
        }
        self
    }

    /// At most so many keys more; nothing when there are none.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Vec<KeyValue>>, EtcdError> {
        let Some(mut page) = self.next.take() else { return Ok(None) };
        page.limit = i64::try_from(limit.min(EtcdStore::PAGE)).unwrap_or(i64::MAX);
        let answer = self.store.range(page.clone()).await?;
        if self.revision == 0 {
            let header = answer.header.ok_or(EtcdError::Protocol { what: "a header" })?;
            self.revision = header.revision;
        }
        if let (true, Some(last)) = (answer.more, answer.kvs.last()) {
            page.key.clone_from(&last.key);
            page.key.push(0);
            self.next = Some(page);
        }
        Ok(Some(answer.kvs))
    }

    /// Lets all further pages be of the revision of the first.
    pub(super) const fn of_one_revision(&mut self) {
        if let Some(next) = &mut self.next {
            next.revision = self.revision;
        }
    }
}

impl EtcdStore {
    /// How many claims are read in one transaction.
    const READS: usize = 100;

    pub(super) async fn claim_on(&self, key: &ClaimKey) -> Result<Option<Claim>, EtcdError> {
        let answer = self.range(self.slot_range(key)).await?;
        Ok(self.layout.slot(&answer.kvs)?.held.map(|held| held.claim))
    }

    pub(super) async fn claims_with(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, EtcdError> {
        let start = self.layout.claim(prefix);
        let end = end_of(&start);
        let start = match after {
            Some(key) if key.as_str() >= prefix => self.layout.slot_end(key),
            _ => start,
        };
        let mut pages = Pages::new(self, start, end);
        let mut claims = Vec::new();
        // What is resting takes up room on a page, too. The more of it there was, the more is read at once.
        let mut resting = 0_usize;
        while let missing @ 1.. = limit.get().saturating_sub(claims.len())
            && let Some(kvs) = pages.next(missing.saturating_add(resting)).await?
        {
            for kv in &kvs {
                match self.layout.slot(from_ref(kv))?.held {
                    Some(held) => claims.push(held.claim),
                    None => resting = resting.saturating_add(1),
                }
            }
        }
        claims.truncate(limit.get());
        Ok(claims)
    }

    pub(super) async fn claims_held_by(&self, owner: &Owner) -> Result<Vec<Claim>, EtcdError> {
        let start = self.layout.owned(owner, "");
        let end = end_of(&start);
        let mut pages = Pages::new(self, start, end).keys_only();
        let mut claims = Vec::new();
        while let Some(kvs) = pages.next(Self::PAGE).await? {
            let keys = kvs.iter().map(|kv| self.layout.owned_key(owner, &kv.key));
            let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
            for keys in keys.chunks(Self::READS) {
                let reads = keys.iter().map(|key| txn::read(self.slot_range(key))).collect();
                let answer = self.txn(txn::always(reads)).await?;
                let slots = self.slots(keys.len(), &answer.responses)?;
                let held = slots.into_iter().filter_map(|slot| Some(slot.held?.claim));
                claims.extend(held.filter(|claim| claim.owner.is_same(owner)));
            }
        }
        Ok(claims)
    }

    /// Deletes the records of cooldowns that have passed.
    pub(super) async fn forget_passed(&self, now: Duration) -> Result<usize, EtcdError> {
        let start = self.layout.claim("");
        let end = end_of(&start);
        let mut pages = Pages::new(self, start, end);
        let mut forgotten = 0_usize;
        while let Some(kvs) = pages.next(Self::PAGE).await? {
            let mut passed = Vec::new();
            for kv in kvs {
                let cooling = self.layout.slot(from_ref(&kv))?.cooling;
                if let Some(cooling) = cooling.filter(|cooling| cooling.until <= now) {
                    passed.push(txn::nested(TxnRequest {
                        compare: [txn::was_written(kv.key.clone(), cooling.revision)].into(),
                        success: [txn::delete(kv.key)].into(),
                        failure: Vec::new(),
                    }));
                }
            }
            for passed in passed.chunks(Self::READS) {
                for response in &self.txn(txn::always(passed.to_vec())).await?.responses {
                    let done = txn::inner(response)?.succeeded;
                    forgotten = forgotten.saturating_add(usize::from(done));
                }
            }
        }
        Ok(forgotten)
    }
}
