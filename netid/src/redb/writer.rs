use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::time::Duration;
use std::sync::mpsc::Receiver;

use tokio::sync::{mpsc, oneshot};

use super::error::{Failure, RedbError};
use super::file::File;
use super::operations::{Forget, Operation};
use super::table::{Changes, ReadClaims as _};
use crate::claim::{Subscribers, WatchEvent};

/// The most requests in one commit.
const GROUP: usize = 1024;
/// The most cooldowns that a commit forgets on the side.
const FORGOTTEN: usize = 64;

/// What the writer is asked.
pub(super) enum Request {
    Change(Box<dyn Pending>),
    Watch { prefix: Box<str>, answer: Answer<mpsc::Receiver<WatchEvent>> },
}

/// Where an answer goes; nobody may be there any more.
type Answer<T> = oneshot::Sender<Result<T, Failure>>;

impl Request {
    /// A change, and where its answer arrives.
    pub(super) fn change<O: Operation + 'static>(
        operation: O,
    ) -> (Self, oneshot::Receiver<Result<O::Answer, Failure>>)
    where
        O::Answer: 'static,
    {
        let (answer, receiver) = oneshot::channel();
        (Self::Change(Box::new(Asked { operation, answer })), receiver)
    }
}

/// A change that was not made yet.
pub(super) trait Pending: Send {
    fn clock(&self) -> Option<Duration>;

    /// Makes the change. The error is the transaction's: a change that fails alone is answered like any other.
    fn apply(self: Box<Self>, changes: &mut Changes<'_>) -> (Box<dyn Done>, Result<(), RedbError>);

    fn fail(self: Box<Self>, failure: Failure);
}

/// A change that was made, and waits for its commit.
pub(super) trait Done {
    fn answer(self: Box<Self>, committed: Result<(), Failure>);
}

struct Asked<O: Operation> {
    operation: O,
    answer: Answer<O::Answer>,
}

impl<O: Operation> Pending for Asked<O>
where
    O::Answer: 'static,
{
    fn clock(&self) -> Option<Duration> {
        self.operation.clock()
    }

    fn apply(self: Box<Self>, changes: &mut Changes<'_>) -> (Box<dyn Done>, Result<(), RedbError>) {
        let answer = self.answer;
        let (result, fate) = match self.operation.apply(changes) {
            Ok(result) => (Ok(result), Ok(())),
            Err(error @ RedbError::Damaged { .. }) => (Err(Failure::NotDone(error)), Ok(())),
            Err(error) => (Err(Failure::NotDone(error.clone())), Err(error)),
        };
        (Box::new(Applied { result, answer }), fate)
    }

    fn fail(self: Box<Self>, failure: Failure) {
        let _gone = self.answer.send(Err(failure));
    }
}

struct Applied<T> {
    result: Result<T, Failure>,
    answer: Answer<T>,
}

impl<T> Done for Applied<T> {
    fn answer(self: Box<Self>, committed: Result<(), Failure>) {
        let _gone = self.answer.send(committed.and(self.result));
    }
}

/// Serves requests until nobody can send any more.
pub(super) fn run(file: &Arc<File>, requests: &Receiver<Request>) {
    let mut subscribers = Subscribers::default();
    while let Ok(first) = requests.recv() {
        let mut changes = Vec::new();
        let mut watches = Vec::new();
        for request in iter::once(first).chain(requests.try_iter()).take(GROUP) {
            match request {
                Request::Change(change) => changes.push(change),
                Request::Watch { prefix, answer } => watches.push((prefix, answer)),
            }
        }
        if !changes.is_empty() {
            commit(file, &mut subscribers, changes);
        }
        // Whoever begins to watch sees the changes of this group in the snapshot, and all later ones as such.
        for (prefix, answer) in watches {
            let snapshot = file.read(|claims| claims.snapshot(&prefix));
            let events = snapshot.map(|snapshot| subscribers.add(&prefix, snapshot));
            let _gone = answer.send(events.map_err(Failure::NotDone));
        }
    }
}

/// Makes changes in one transaction, in their order, and answers them.
fn commit(file: &File, subscribers: &mut Subscribers, changes: Vec<Box<dyn Pending>>) {
    let clock = changes.iter().filter_map(|change| change.clock()).max();
    let mut changes = changes.into_iter();
    let mut done = Vec::with_capacity(changes.len());
    let committed = file.write(|transaction| {
        let mut table = Changes::open(transaction)?;
        for change in changes.by_ref() {
            let (answered, fate) = change.apply(&mut table);
            done.push(answered);
            fate?;
            table.end_step();
        }
        if !table.is_changed() {
            return Ok(None);
        }
        if let Some(now) = clock {
            match (Forget { now, limit: FORGOTTEN }).apply(&mut table) {
                // Somebody who asks for it will be told of the damage.
                Ok(_) | Err(RedbError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        table.finish().map(Some)
    });
    let committed = match committed {
        Ok(told) => {
            for changes in told.iter().flatten() {
                subscribers.tell(changes);
            }
            Ok(())
        }
        Err(failure) => {
            // What the file holds may be more than was told; those who watch begin anew.
            *subscribers = Subscribers::default();
            Err(failure)
        }
    };
    for answered in done {
        answered.answer(committed.clone());
    }
    if let Err(failure) = committed {
        for change in changes {
            change.fail(failure.clone());
        }
    }
}
