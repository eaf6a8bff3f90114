use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::time::Duration;
use std::sync::mpsc::Receiver;
use std::thread;

use redb::WriteTransaction;
use tokio::sync::{mpsc, oneshot};

use super::error::{Failure, RedbError};
use super::file::File;
use super::operations::{Forget, Operation};
use super::table::{Changes, Generations, ReadClaims as _};
use crate::claim::{KeyState, Subscribers, WatchEvent};

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
        (Box::new(Answered { result, answer }), fate)
    }

    fn fail(self: Box<Self>, failure: Failure) {
        let _gone = self.answer.send(Err(failure));
    }
}

struct Answered<T> {
    result: Result<T, Failure>,
    answer: Answer<T>,
}

impl<T> Done for Answered<T> {
    fn answer(self: Box<Self>, committed: Result<(), Failure>) {
        let _gone = self.answer.send(committed.and(self.result));
    }
}

/// Serves requests until nobody can send any more.
pub(super) fn run(file: &Arc<File>, requests: &Receiver<Request>) {
    let mut writer = Writer::default();
    while let Ok(first) = requests.recv() {
        let mut changes = Vec::new();
        let mut watches = Vec::new();
        for request in iter::once(first).chain(requests.try_iter()).take(GROUP) {
            match request {
                Request::Change(change) => changes.push(change),
                Request::Watch { prefix, answer } => watches.push((prefix, answer)),
            }
        }
        let many = changes.len() > 1;
        if !changes.is_empty() {
            writer.commit(file, changes);
        }
        // Whoever begins to watch sees the changes of this group in the snapshot, and all later ones as such.
        for (prefix, answer) in watches {
            let snapshot = file.read(|claims| claims.snapshot(&prefix));
            let events = snapshot.map(|snapshot| writer.subscribers.add(&prefix, snapshot));
            let _gone = answer.send(events.map_err(Failure::NotDone));
        }
        if many {
            // Those who have their answers may ask again; together they need one commit, and two if the first is served
            // alone.
            thread::yield_now();
        }
    }
}

/// What is known between commits.
#[derive(Default)]
struct Writer {
    subscribers: Subscribers,
    /// None before the first commit, and after one that failed.
    generations: Option<Generations>,
}

impl Writer {
    /// Makes changes in one transaction, in their order, and answers them.
    fn commit(&mut self, file: &File, changes: Vec<Box<dyn Pending>>) {
        let mut changes = changes.into_iter();
        let mut done = Vec::with_capacity(changes.len());
        let generations = self.generations;
        let committed =
            file.write(|transaction| apply(transaction, generations, &mut changes, &mut done));
        let committed = match committed {
            Ok(Some((told, generations))) => {
                self.generations = Some(generations);
                for changes in &told {
                    self.subscribers.tell(changes);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                // What the file holds may be more than was told; those who watch begin anew.
                *self = Self::default();
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
}

/// What is told when a transaction is durable, and the counter then.
type Applied = (Vec<Vec<KeyState>>, Generations);

/// Makes changes as part of a transaction, until one of them breaks it. No answer: nothing was changed.
fn apply(
    transaction: &WriteTransaction,
    generations: Option<Generations>,
    changes: &mut impl Iterator<Item = Box<dyn Pending>>,
    done: &mut Vec<Box<dyn Done>>,
) -> Result<Option<Applied>, RedbError> {
    let mut table = Changes::open(transaction, generations)?;
    let mut clock = None;
    for change in changes {
        clock = clock.max(change.clock());
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
}
