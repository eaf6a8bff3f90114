use alloc::boxed::Box;
use core::fmt;
use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};

use super::error::{Failure, RedbError};
use super::store::RedbStore;
use crate::claim::{ClaimWatch, WatchEvent};

/// The [`ClaimWatch`] of a [`RedbStore`]. The file stays open as long as there is one.
pub struct RedbWatch {
    store: RedbStore,
    prefix: Box<str>,
    events: Events,
}

pub(super) type Subscription = oneshot::Receiver<Result<mpsc::Receiver<WatchEvent>, Failure>>;

enum Events {
    /// They arrive here.
    Subscribed(mpsc::Receiver<WatchEvent>),
    /// The writer was asked where they will arrive.
    Asked(Subscription),
}

impl RedbWatch {
    pub(super) async fn new(store: RedbStore, prefix: &str) -> Result<Self, RedbError> {
        let asked = store.subscribe(prefix)?;
        let events = asked.await.map_err(|_ended| RedbError::Stopped)?;
        let events = Events::Subscribed(events.map_err(Failure::into_error)?);
        Ok(Self { store, prefix: prefix.into(), events })
    }
}

impl ClaimWatch for RedbWatch {
    type Error = RedbError;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, RedbError>> {
        loop {
            let events = match &mut self.events {
                Events::Subscribed(events) => match ready!(events.poll_recv(context)) {
                    Some(event) => return Poll::Ready(Ok(event)),
                    // Too much has happened meanwhile, or the file was opened again.
                    None => Events::Asked(self.store.subscribe(&self.prefix)?),
                },
                Events::Asked(asked) => match ready!(Pin::new(asked).poll(context)) {
                    Ok(Ok(events)) => Events::Subscribed(events),
                    failed => {
                        let error = failed.map(Result::err).ok().flatten();
                        let error = error.map_or(RedbError::Stopped, Failure::into_error);
                        // Asked again when somebody waits again.
                        self.events = Events::Subscribed(mpsc::channel(1).1);
                        return Poll::Ready(Err(error));
                    }
                },
            };
            self.events = events;
        }
    }
}

impl fmt::Debug for RedbWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbWatch").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
