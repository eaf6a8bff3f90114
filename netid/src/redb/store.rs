use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::error::{Failure, RedbError};
use super::file::File;
use super::operations::{Change, ClaimAll, ClaimOne, Forget, Lost, Operation, Release, Update};
use super::table::ReadClaims as _;
use super::watch::{RedbWatch, Subscription};
use super::writer::{self, Request};
use crate::claim::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore, Owner, Proof, ReleaseOutcome, Taken,
    WatchClaims,
};

/// A [`ClaimStore`] in a file, for the claims of one host.
///
/// What was acknowledged is on the disk, and outlasts the program and the machine, however they end.
/// Changes that are asked for at the same time share a commit: one alone takes about as long as the
/// disk needs, and many at once take hardly longer.
///
/// Clones are cheap and share the file. It is open in one process at a time; when the last clone and the
/// last watch are dropped, it is closed, and can be opened again at once. That waits for the changes that
/// were asked for.
///
/// The methods work under any executor. Reads are answered where they are asked, from the file; what
/// they find was committed.
///
/// ```
/// use core::time::Duration;
/// use netid::{ClaimKey, ClaimStore, Owner, RedbStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Duration::from_secs(1_700_000_000);
/// # let path = std::env::temp_dir().join(format!("netid-doc-{}.redb", std::process::id()));
/// let store = RedbStore::open(&path)?;
/// let web = Owner::new("vm", "web", "u1")?;
/// let claims = store.claim(&web, &[ClaimKey::name("web")?], now).await?;
/// drop(store);
///
/// let store = RedbStore::open(&path)?;
/// assert_eq!(store.claims_of(&web).await?, claims);
/// # drop(store);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedbStore(Arc<Handle>);

struct Handle {
    file: Arc<File>,
    /// The way to the writer, which ends when this is dropped.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl RedbStore {
    /// The most cooldowns that one commit forgets when it is asked to.
    const FORGOTTEN: usize = 1024;

    /// Opens a file of claims, or makes one that only its owner can read and write.
    ///
    /// A file that a killed program left is repaired, which reads all of it. One that is killed while it
    /// makes the file may leave another beside it, whose name ends in `.new` and which can be removed.
    ///
    /// # Errors
    /// When the file is open already, is not one of claims, has them in a format of another version, or
    /// cannot be read and written; or when its folder does not exist. It is not changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RedbError> {
        let path = path.as_ref();
        Self::start(File::open(path)?)
            .map_err(|error| RedbError::Open { path: path.into(), source: Arc::new(error) })
    }

    /// A store on an open file.
    pub(super) fn start(file: File) -> Result<Self, std::io::Error> {
        let file = Arc::new(file);
        let (requests, receiver) = mpsc::channel();
        let shared = Arc::clone(&file);
        let writer = thread::Builder::new()
            .name("netid-claims".into())
            .spawn(move || writer::run(&shared, &receiver))?;
        Ok(Self(Arc::new(Handle { file, requests: Some(requests), writer: Some(writer) })))
    }

    /// Asks the writer for a change, and waits for the answer.
    async fn ask<O>(&self, operation: O) -> Result<O::Answer, Failure>
    where
        O: Operation + 'static,
        O::Answer: 'static,
    {
        let (request, answer) = Request::change(operation);
        self.send(request).map_err(Failure::NotDone)?;
        match answer.await {
            Ok(answer) => answer,
            Err(_ended) => Err(Failure::Unknown(RedbError::Stopped)),
        }
    }

    async fn release_proven(
        &self,
        claims: &[Claim],
        proof: Proof,
        cooldown: impl Fn(&ClaimKey) -> Duration,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, RedbError> {
        // The caller's function runs here: it may panic or use the store.
        let claims = claims.iter().map(|claim| (claim.clone(), cooldown(&claim.key))).collect();
        self.ask(Release { claims, proof, now }).await.map_err(Failure::into_error)
    }

    /// Asks the writer for what is known of some keys and what changes.
    pub(super) fn subscribe(&self, prefix: &str) -> Result<Subscription, RedbError> {
        let (answer, subscription) = oneshot::channel();
        self.send(Request::Watch { prefix: prefix.into(), answer })?;
        Ok(subscription)
    }

    fn send(&self, request: Request) -> Result<(), RedbError> {
        let sent = self.0.requests.as_ref().map(|requests| requests.send(request));
        if let Some(Ok(())) = sent { Ok(()) } else { Err(RedbError::Stopped) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.requests.take());
        // An executor may drop its tasks where it is woken, which is the writer itself.
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != thread::current().id()
        {
            // That it has panicked was said by whoever asked it last.
            let _panicked = writer.join();
        }
    }
}

impl ClaimStore for RedbStore {
    type Error = RedbError;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<RedbError>> {
        claimed(self.ask(ClaimAll { owner: owner.clone(), keys: keys.into(), now }).await)
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<RedbError>> {
        let claim = ClaimAll { owner: owner.clone(), keys: vec![key.clone()], now };
        let claims = claimed(self.ask(ClaimOne { prefix: prefix.into(), claim }).await)?;
        let none = || ClaimError::Store(RedbError::damaged(format_args!("no claim on {key}")));
        claims.into_iter().next().ok_or_else(none)
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<RedbError>> {
        updated(self.ask(Update { claims: claims.into(), change: Change::Renew(now) }).await)
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<RedbError>> {
        let answer = self.ask(Update { claims: claims.into(), change: Change::Bind }).await;
        updated(answer).map(drop)
    }

    async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, RedbError>
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
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, RedbError>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.release_proven(claims, Proof::Unchanged, cooldown, now).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, RedbError> {
        self.0.file.read(|claims| claims.held(key))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, RedbError> {
        self.0.file.read(|claims| claims.list(prefix, after, limit))
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, RedbError> {
        self.0.file.read(|claims| claims.claims_of(owner, "", NonZeroUsize::MAX))
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, RedbError> {
        let mut forgotten = 0_usize;
        loop {
            let asked = self.ask(Forget { now, limit: Self::FORGOTTEN });
            let more = asked.await.map_err(Failure::into_error)?;
            forgotten = forgotten.saturating_add(more);
            if more < Self::FORGOTTEN {
                return Ok(forgotten);
            }
        }
    }
}

impl WatchClaims for RedbStore {
    type Watch = RedbWatch;

    async fn watch(&self, prefix: &str) -> Result<RedbWatch, RedbError> {
        RedbWatch::new(self.clone(), prefix).await
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

fn claimed(
    answer: Result<Result<Vec<Claim>, Taken>, Failure>,
) -> Result<Vec<Claim>, ClaimError<RedbError>> {
    match answer {
        Ok(claimed) => claimed.map_err(ClaimError::Taken),
        Err(Failure::NotDone(error)) => Err(ClaimError::Store(error)),
        Err(Failure::Unknown(error)) => Err(ClaimError::Unknown(error)),
    }
}

fn updated(
    answer: Result<Result<Vec<Claim>, Lost>, Failure>,
) -> Result<Vec<Claim>, BindError<RedbError>> {
    match answer {
        Ok(Ok(claims)) => Ok(claims),
        Ok(Err(Lost { key, holder })) => Err(BindError::Lost { key, holder }),
        Err(failure) => Err(BindError::Store(failure.into_error())),
    }
}
