use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::hash::{BuildHasher as _, Hasher as _};
use core::sync::atomic::{AtomicU64, Ordering};
use std::hash::RandomState;

use tonic::Status;

use super::attempts::{Attempts, Progress};
use super::connection::Connection;
use super::layout::{Layout, end_of};
use super::proto::{PutRequest, Request, RequestOp, TxnRequest};
use super::txn;

/// Tells apart the operations of all stores that claim under one root.
#[derive(Debug)]
pub(super) struct Operations {
    store: u64,
    count: AtomicU64,
}

impl Operations {
    pub(super) fn new() -> Self {
        // Two stores at the same number would hold up one another's repetitions, and nothing worse.
        let store = RandomState::new().build_hasher().finish();
        Self { store, count: AtomicU64::new(0) }
    }

    /// A transaction that, once it is repeated and answered, is not carried out late.
    pub(super) fn fenced(&self, layout: &Layout, txn: TxnRequest) -> Fenced {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}-{number:x}/", self.store);
        Fenced { start: layout.attempt(&name).into(), txn }
    }
}

/// A transaction of which no attempt takes effect after the answer to a later one.
///
/// An attempt that nobody waits for any more may lie in a connection that was cut, and reach etcd when it is whole
/// again: long after a later attempt has said that the key is taken, or after what it claimed was released. So each
/// attempt asks that there is no fence of its own number or above, and each one that follows an unclear one writes the
/// fence of the number before, whatever becomes of it.
pub(super) struct Fenced {
    start: Box<[u8]>,
    txn: TxnRequest,
}

impl Fenced {
    fn key(&self, attempt: u32) -> Vec<u8> {
        let mut key = self.start.to_vec();
        key.extend(format!("{attempt:08x}").bytes());
        key
    }

    fn attempt(&self, number: u32, lease: Option<i64>) -> TxnRequest {
        let mut txn = self.txn.clone();
        txn.compare.push(txn::is_absent(self.key(number), end_of(&self.start)));
        if let Some(lease) = lease {
            let key = self.key(number.saturating_sub(1));
            let put = Request::Put(PutRequest { key, value: Vec::new(), lease });
            let fence = RequestOp { request: Some(put) };
            // Last, so that the answers to everything else stay where they are.
            txn.success.push(fence.clone());
            txn.failure.push(fence);
        }
        txn
    }
}

impl Attempts for Fenced {
    type Request = TxnRequest;

    async fn next(
        &self,
        connection: &Connection,
        progress: &Progress,
    ) -> Result<TxnRequest, Status> {
        let lease =
            if progress.unclear { Some(connection.lease(progress.at).await?) } else { None };
        Ok(self.attempt(progress.attempts, lease))
    }
}
