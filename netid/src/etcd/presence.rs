use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Streaming};

use super::error::EtcdError;
use super::layout::{corrupt, end_of};
use super::proto::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, PutRequest, PutResponse,
};
use super::reading::Pages;
use super::store::EtcdStore;
use super::txn::{self, GRANT};
use crate::claim::Owner;

const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const PUT: &str = "/etcdserverpb.KV/Put";

impl EtcdStore {
    /// Lets everybody see that an owner, such as a host or a controller, is there, for as long as the [`Presence`] is
    /// kept and etcd hears from it: an etcd lease of `ttl`, in whole seconds, at least one.
    ///
    /// A presence that ends is a hint, not a proof: a host that cannot reach etcd may well go on running what it has
    /// started. What is known to be gone for another reason, such as an inventory or a power switch, is gone.
    ///
    /// Use one per host or controller, not one per machine: every lease costs etcd a renewal each third of its time.
    ///
    /// # Errors
    /// When etcd does not answer or refuses.
    pub async fn announce(&self, owner: &Owner, ttl: Duration) -> Result<Presence, EtcdError> {
        let ttl = Duration::from_secs(ttl.as_secs().max(1));
        let heard = Heard::now(ttl);
        let lease = Arc::new(AtomicI64::new(self.lease(owner, ttl).await?));
        let (store, owner) = (self.clone(), owner.clone());
        let keeper = Keeper { store, owner, lease: Arc::clone(&lease), heard };
        let (store, owner) = (self.clone(), keeper.owner.clone());
        let heard = keeper.heard.clone();
        let task = tokio::spawn(keeper.run()).abort_handle();
        Ok(Presence { store, owner, lease, heard, task })
    }

    /// Who is present, by kind and uid as announced.
    ///
    /// # Errors
    /// When etcd does not answer or refuses.
    pub async fn present(&self) -> Result<Vec<Owner>, EtcdError> {
        let start = self.layout.present_all();
        let end = end_of(&start);
        let mut pages = Pages::new(self, start, end);
        let mut owners = Vec::new();
        while let Some(kvs) = pages.next(Self::PAGE).await? {
            for kv in &kvs {
                let owner = serde_json::from_slice(&kv.value);
                owners.push(owner.map_err(|error| corrupt(&kv.key, &error.to_string()))?);
            }
        }
        Ok(owners)
    }

    /// Whether an owner is present.
    ///
    /// # Errors
    /// When etcd does not answer or refuses.
    pub async fn is_present(&self, owner: &Owner) -> Result<bool, EtcdError> {
        let range = txn::range(self.layout.present(owner), Vec::new(), 1);
        Ok(!self.range(range).await?.kvs.is_empty())
    }

    /// A new lease with the presence of an owner on it.
    async fn lease(&self, owner: &Owner, ttl: Duration) -> Result<i64, EtcdError> {
        self.check_format().await?;
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        // A repeated request may leave a lease that nobody uses and that ends by itself.
        let granted: LeaseGrantResponse =
            self.connection.call(GRANT, LeaseGrantRequest { ttl }).await?;
        let value = serde_json::to_vec(owner).unwrap_or_default();
        let put = PutRequest { key: self.layout.present(owner), value, lease: granted.id };
        let _: PutResponse = self.connection.call(PUT, put).await?;
        Ok(granted.id)
    }
}

/// An owner that is announced in etcd. Dropping it lets the lease run out; [`withdraw`](Self::withdraw) ends it at
/// once.
#[must_use = "the presence ends when this is dropped"]
pub struct Presence {
    store: EtcdStore,
    owner: Owner,
    lease: Arc<AtomicI64>,
    heard: Heard,
    task: AbortHandle,
}

impl Presence {
    /// Whether etcd has confirmed it within its time, as far as is known here. Where it has not, it is announced anew
    /// once etcd can be reached.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.heard.is_recent()
    }

    /// Ends the presence now, unless the same owner was announced once more since: then it goes on as that one.
    ///
    /// # Errors
    /// When etcd does not answer or refuses; the lease runs out by itself then.
    pub async fn withdraw(self) -> Result<(), EtcdError> {
        self.task.abort();
        let revoke = LeaseRevokeRequest { id: self.lease.load(Ordering::Relaxed) };
        let revoked: Result<LeaseRevokeResponse, _> =
            self.store.connection.call(REVOKE, revoke).await;
        match revoked {
            // It has ended already, by itself or by an attempt whose answer was lost.
            Err(EtcdError::Refused { code, .. }) if *code == *Code::NotFound.description() => {
                Ok(())
            }
            revoked => revoked.map(drop),
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("owner", &self.owner)
            .field("current", &self.is_current())
            .finish_non_exhaustive()
    }
}

/// When etcd has last heard of a lease, at the latest.
#[derive(Clone)]
struct Heard {
    at: Arc<Mutex<Instant>>,
    ttl: Duration,
}

impl Heard {
    fn now(ttl: Duration) -> Self {
        Self { at: Arc::new(Mutex::new(Instant::now())), ttl }
    }

    fn set(&self, at: Instant) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn is_recent(&self) -> bool {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.ttl
    }
}

/// What keeps a lease alive.
struct Keeper {
    store: EtcdStore,
    owner: Owner,
    lease: Arc<AtomicI64>,
    heard: Heard,
}

impl Keeper {
    async fn run(self) {
        let ttl = self.heard.ttl;
        let third = ttl.checked_div(3).unwrap_or(ttl);
        loop {
            sleep(third).await;
            // The lease lasts from when the request was sent at the earliest.
            let sent = Instant::now();
            let kept = match self.keep_alive().await {
                Ok(true) => true,
                // It has run out: announce anew.
                Ok(false) => match self.store.lease(&self.owner, ttl).await {
                    Ok(lease) => {
                        self.lease.store(lease, Ordering::Relaxed);
                        true
                    }
                    Err(_) => false,
                },
                Err(_) => false,
            };
            if kept {
                self.heard.set(sent);
            }
        }
    }

    /// Whether the lease is there still.
    async fn keep_alive(&self) -> Result<bool, EtcdError> {
        let id = self.lease.load(Ordering::Relaxed);
        let requests = || tokio_stream::once(LeaseKeepAliveRequest { id });
        let connection = &self.store.connection;
        let (at, mut stream): (usize, Streaming<LeaseKeepAliveResponse>) =
            connection.stream(KEEP_ALIVE, requests).await?;
        let nothing = EtcdError::Protocol { what: "an answer to a keep-alive" };
        match timeout(self.heard.ttl, stream.message()).await {
            Ok(Ok(Some(answer))) => Ok(answer.ttl > 0),
            Ok(Ok(None)) | Err(_) => Err(nothing),
            Ok(Err(status)) => {
                connection.stream_ended(at, &status);
                Err(nothing)
            }
        }
    }
}
