use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tonic::{Code, Status, Streaming};

use super::error::EtcdError;
use super::layout::{Entry, end_of};
use super::proto::{Event, EventType, WatchCreateRequest, WatchRequest, WatchResponse};
use super::reading::Pages;
use super::store::EtcdStore;
use crate::claim::{ClaimKey, ClaimWatch, KeyState, WatchEvent};

/// The [`ClaimWatch`] of an [`EtcdStore`].
///
/// It is fed by a task of the runtime it was made in, which ends when it is dropped. A lost connection is taken up
/// again at the change after the last one; where etcd has forgotten that (it was compacted), there is a new snapshot.
/// An error says that etcd has not answered for as long as an operation tries; the watch goes on trying.
pub struct EtcdWatch {
    events: mpsc::Receiver<Result<WatchEvent, EtcdError>>,
    task: AbortHandle,
}

impl EtcdWatch {
    /// How many events wait for somebody who does not ask. More wait in etcd.
    const BACKLOG: usize = 256;

    pub(super) async fn start(store: EtcdStore, prefix: &str) -> Result<Self, EtcdError> {
        let (sender, events) = mpsc::channel(Self::BACKLOG);
        let prefix = prefix.into();
        let mut feed = Feed { store, prefix, next: 0, cancelled: false, events: sender };
        let snapshot = feed.snapshot().await?;
        let _ = feed.events.try_send(Ok(snapshot));
        let task = tokio::spawn(feed.run()).abort_handle();
        Ok(Self { events, task })
    }
}

impl ClaimWatch for EtcdWatch {
    type Error = EtcdError;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, EtcdError>> {
        self.events.poll_recv(context).map(|event| {
            // The task does not end before its runtime does.
            let ended = EtcdError::Unanswered {
                attempts: 0,
                unclear: false,
                last: "the runtime of the watch has ended".into(),
            };
            event.unwrap_or(Err(ended))
        })
    }
}

impl Drop for EtcdWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for EtcdWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdWatch").finish_non_exhaustive()
    }
}

/// What feeds a watch.
struct Feed {
    store: EtcdStore,
    prefix: Box<str>,
    /// The revision from which on changes are not told yet.
    next: i64,
    /// Whether etcd has cancelled the last stream.
    cancelled: bool,
    events: mpsc::Sender<Result<WatchEvent, EtcdError>>,
}

/// Why a stream of changes was left.
enum Left {
    /// Nobody listens any more.
    Unwanted,
    /// The connection was lost.
    Broken,
    /// etcd has forgotten what comes next.
    Compacted,
}

impl Feed {
    const WATCH: &str = "/etcdserverpb.Watch/Watch";
    /// Before a stream is opened anew.
    const PAUSE: Duration = Duration::from_millis(50);

    async fn run(mut self) {
        // Whether what comes next cannot be told: only what there is now leads beyond it.
        let mut anew = false;
        loop {
            let left = if anew { Ok(Left::Compacted) } else { self.follow().await };
            let is_wanted = match left {
                Ok(Left::Compacted) => {
                    let snapshot = self.snapshot().await;
                    anew = snapshot.is_err();
                    self.tell(snapshot).await
                }
                Ok(Left::Broken) => true,
                Ok(Left::Unwanted) => false,
                Err(error) => {
                    anew = matches!(error, EtcdError::Corrupt { .. });
                    self.tell(Err(error)).await
                }
            };
            if !is_wanted {
                return;
            }
            sleep(Self::PAUSE).await;
        }
    }

    /// Everything under the prefix, as of one revision.
    async fn snapshot(&mut self) -> Result<WatchEvent, EtcdError> {
        let start = self.store.layout.claim(&self.prefix);
        let end = end_of(&start);
        'anew: loop {
            let mut pages = Pages::new(&self.store, start.clone(), end.clone());
            let mut states = Vec::new();
            loop {
                pages.of_one_revision();
                let kvs = match pages.next(EtcdStore::PAGE).await {
                    Ok(Some(kvs)) => kvs,
                    Ok(None) => break,
                    // Somebody compacted etcd beyond this revision between two pages.
                    Err(EtcdError::Refused { .. }) if pages.revision != 0 => continue 'anew,
                    Err(error) => return Err(error),
                };
                for kv in &kvs {
                    states.push(self.store.layout.state(kv)?);
                }
            }
            self.next = pages.revision.saturating_add(1);
            return Ok(WatchEvent::Snapshot(states));
        }
    }

    /// Tells what changes for as long as the connection lasts.
    async fn follow(&mut self) -> Result<Left, EtcdError> {
        let key = self.store.layout.claim(&self.prefix);
        let create = WatchCreateRequest {
            range_end: end_of(&key),
            key,
            start_revision: self.next,
            progress_notify: true,
        };
        // The stream of requests stays open, as etcd ends the watch with it.
        let requests = || {
            let create = WatchRequest { create_request: Some(create.clone()) };
            tokio_stream::StreamExt::chain(
                tokio_stream::once(create),
                tokio_stream::pending::<WatchRequest>(),
            )
        };
        let connection = &self.store.connection;
        let (at, mut stream): (usize, Streaming<WatchResponse>) =
            connection.stream(Self::WATCH, requests).await?;
        loop {
            let answer = tokio::select! {
                () = self.events.closed() => return Ok(Left::Unwanted),
                answer = stream.message() => answer,
            };
            let answer = match answer {
                Ok(Some(answer)) => answer,
                Ok(None) => {
                    connection.stream_ended(at, &Status::new(Code::Unavailable, "the watch ended"));
                    return Ok(Left::Broken);
                }
                Err(status) => {
                    connection.stream_ended(at, &status);
                    return Ok(Left::Broken);
                }
            };
            if answer.compact_revision > 0 {
                return Ok(Left::Compacted);
            }
            if answer.canceled {
                connection.stream_ended(at, &Status::unauthenticated("the watch was cancelled"));
                if !mem::replace(&mut self.cancelled, true) {
                    // The token had expired, most often.
                    return Ok(Left::Broken);
                }
                return Err(EtcdError::Refused {
                    code: "watch cancelled".into(),
                    message: answer.cancel_reason.into(),
                    unclear: false,
                });
            }
            self.cancelled = false;
            let told = self.changes(&answer.events);
            for changes in told? {
                if !self.tell(Ok(WatchEvent::Changes(changes))).await {
                    return Ok(Left::Unwanted);
                }
            }
            // The header may be far ahead: a watch that is behind is told what it missed in pieces.
            if let Some(last) = answer.events.last() {
                self.next = self.next.max(revision(last).saturating_add(1));
            }
        }
    }

    /// The events of one answer, revision by revision.
    fn changes(&self, events: &[Event]) -> Result<Vec<Vec<KeyState>>, EtcdError> {
        let mut steps = Vec::new();
        let of_one = |a: &Event, b: &Event| revision(a) == revision(b);
        for step in events.chunk_by(of_one) {
            let mut states: BTreeMap<ClaimKey, KeyState> = BTreeMap::new();
            let mut order = Vec::new();
            for event in step {
                let Some(kv) = &event.kv else { continue };
                let entry = self.store.layout.entry(&kv.key)?;
                let (Entry::Claim(key) | Entry::Cooling(key)) = &entry;
                let state = if event.kind == i32::from(EventType::Delete) {
                    KeyState::Vacant { key: key.clone() }
                } else {
                    self.store.layout.state(kv)?
                };
                // A key that changes from one to the other is deleted and written in one step.
                let vacant = matches!(state, KeyState::Vacant { .. });
                if !states.contains_key(key) {
                    order.push(key.clone());
                } else if vacant {
                    continue;
                }
                states.insert(key.clone(), state);
            }
            steps.push(order.into_iter().filter_map(|key| states.remove(&key)).collect());
        }
        Ok(steps)
    }

    /// Tells an event, and says whether somebody listens still.
    async fn tell(&self, event: Result<WatchEvent, EtcdError>) -> bool {
        self.events.send(event).await.is_ok()
    }
}

fn revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}
