//! Claims as transactions of etcd, put together by hand and sent bare: the floor of `EtcdStore`.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use prost::{Message, Oneof};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

const TXN: &str = "/etcdserverpb.KV/Txn";
const RANGE: &str = "/etcdserverpb.KV/Range";

/// One connection to etcd, and where in it the claims are.
#[derive(Debug)]
pub struct Bare {
    channel: Channel,
    root: String,
    count: AtomicU64,
}

impl Bare {
    /// Prepares a connection as the store's is; nothing is sent.
    ///
    /// # Panics
    /// When the endpoint is none, or there is no runtime of tokio.
    #[must_use]
    pub fn new(endpoint: &str, root: &str) -> Self {
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("an endpoint");
        let channel = endpoint
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Self { channel, root: root.to_owned(), count: AtomicU64::new(0) }
    }

    /// Claims a key that nobody holds.
    ///
    /// # Panics
    /// When etcd does not answer, or the key is held.
    pub async fn claim(&self, uid: &str, key: &str, value: &[u8]) {
        let Self { root, .. } = self;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let attempts = format!("{root}/attempts/{:016x}-{count:x}", 0);
        let claim = format!("{root}/claims/{key}").into_bytes();
        let end = format!("{root}/claims/{key} cooling\0").into_bytes();
        let owned = format!("{root}/owners/{uid}/{key}").into_bytes();
        let absent = |key, range_end| Compare {
            target: CREATE,
            key,
            created: Some(Created::Revision(0)),
            range_end,
        };
        let put = |key, value| Op { request: Some(Request::Put(Put { key, value })) };
        let read = Range { key: claim.clone(), range_end: end.clone() };
        let answer: TxnResponse = self
            .unary(
                TXN,
                Txn {
                    compare: vec![
                        absent(claim.clone(), end),
                        absent(
                            format!("{attempts}/00000000").into_bytes(),
                            format!("{attempts}0").into_bytes(),
                        ),
                    ],
                    success: vec![put(claim, value.to_vec()), put(owned, Vec::new())],
                    failure: vec![Op { request: Some(Request::Range(read)) }],
                },
            )
            .await;
        assert!(answer.succeeded, "{key} is held");
    }

    /// What etcd has at a key.
    ///
    /// # Panics
    /// When etcd does not answer, or has nothing.
    pub async fn value(&self, key: String) -> Vec<u8> {
        let range = Range { key: key.into_bytes(), range_end: Vec::new() };
        let mut answer: RangeResponse = self.unary(RANGE, range).await;
        answer.kvs.pop().expect("a key that is there").value
    }

    async fn unary<Q, A>(&self, method: &'static str, message: Q) -> A
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.expect("a connection");
        let (path, codec) = (PathAndQuery::from_static(method), ProstCodec::<Q, A>::default());
        let answer = grpc.unary(tonic::Request::new(message), path, codec).await;
        answer.expect("etcd answers").into_inner()
    }
}

/// The target of a comparison: the revision in which a key was created.
const CREATE: i32 = 1;

#[derive(Clone, PartialEq, Eq, Message)]
struct Txn {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<Op>,
    #[prost(message, repeated, tag = "3")]
    failure: Vec<Op>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Compare {
    #[prost(int32, tag = "2")]
    target: i32,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(oneof = "Created", tags = "5")]
    created: Option<Created>,
    #[prost(bytes = "vec", tag = "64")]
    range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
enum Created {
    #[prost(int64, tag = "5")]
    Revision(i64),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Op {
    #[prost(oneof = "Request", tags = "1, 2")]
    request: Option<Request>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
enum Request {
    #[prost(message, tag = "1")]
    Range(Range),
    #[prost(message, tag = "2")]
    Put(Put),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Range {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    range_end: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Put {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TxnResponse {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}
