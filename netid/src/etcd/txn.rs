//! The parts that transactions are made of.

use alloc::vec::Vec;

use super::error::EtcdError;
use super::proto::{
    Compare, CompareTarget, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RangeResponse,
    Request, RequestOp, Response, ResponseOp, TargetUnion, TxnRequest, TxnResponse,
};

pub(super) const TXN: &str = "/etcdserverpb.KV/Txn";
pub(super) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(super) const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";

/// That a range has no keys. An empty end means a single key.
pub(super) fn is_absent(key: Vec<u8>, range_end: Vec<u8>) -> Compare {
    let target_union = Some(TargetUnion::CreateRevision(0));
    compare(CompareTarget::Create, key, range_end, target_union)
}

/// That a key was created in a revision, and is there since. 0: it is not there.
pub(super) fn was_created(key: Vec<u8>, revision: i64) -> Compare {
    let target_union = Some(TargetUnion::CreateRevision(revision));
    compare(CompareTarget::Create, key, Vec::new(), target_union)
}

/// That a key was last written in a revision. 0: it is not there.
pub(super) fn was_written(key: Vec<u8>, revision: i64) -> Compare {
    let target_union = Some(TargetUnion::ModRevision(revision));
    compare(CompareTarget::Mod, key, Vec::new(), target_union)
}

/// That a key is there with a value.
pub(super) fn has_value(key: Vec<u8>, value: Vec<u8>) -> Compare {
    compare(CompareTarget::Value, key, Vec::new(), Some(TargetUnion::Value(value)))
}

fn compare(
    target: CompareTarget,
    key: Vec<u8>,
    range_end: Vec<u8>,
    target_union: Option<TargetUnion>,
) -> Compare {
    Compare { result: 0, target: target.into(), key, target_union, range_end }
}

pub(super) const fn put(key: Vec<u8>, value: Vec<u8>) -> RequestOp {
    op(Request::Put(PutRequest { key, value, lease: 0 }))
}

pub(super) const fn delete(key: Vec<u8>) -> RequestOp {
    op(Request::DeleteRange(DeleteRangeRequest { key }))
}

pub(super) const fn read(range: RangeRequest) -> RequestOp {
    op(Request::Range(range))
}

pub(super) const fn nested(txn: TxnRequest) -> RequestOp {
    op(Request::Txn(txn))
}

const fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// The keys from one to before another, in their order.
pub(super) fn range(key: Vec<u8>, range_end: Vec<u8>, limit: usize) -> RangeRequest {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    RangeRequest { key, range_end, limit, ..RangeRequest::default() }
}

/// What a range in a transaction has found.
pub(super) fn found(response: &ResponseOp) -> Result<&[KeyValue], EtcdError> {
    match &response.response {
        Some(Response::Range(RangeResponse { kvs, .. })) => Ok(kvs),
        _ => Err(EtcdError::Protocol { what: "a range" }),
    }
}

/// What became of a transaction in a transaction.
pub(super) const fn inner(response: &ResponseOp) -> Result<&TxnResponse, EtcdError> {
    match &response.response {
        Some(Response::Txn(txn)) => Ok(txn),
        _ => Err(EtcdError::Protocol { what: "a transaction" }),
    }
}

/// The revision that a transaction made.
pub(super) fn revision(response: &TxnResponse) -> Result<i64, EtcdError> {
    let header = response.header.as_ref().ok_or(EtcdError::Protocol { what: "a header" })?;
    Ok(header.revision)
}

/// A transaction that does this whatever there is.
pub(super) fn always(ops: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success: ops, ..TxnRequest::default() }
}

/// The first response of a transaction.
pub(super) fn first(answer: &TxnResponse) -> Result<&ResponseOp, EtcdError> {
    answer.responses.first().ok_or(EtcdError::Protocol { what: "a response" })
}
