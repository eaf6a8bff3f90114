use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::clock::now;
use super::supervisor::{Look, Supervisor, fork};
use crate::{Evidence, Machine, ObserveError, Transition};

/// Events that may wait for their reader before the machines wait for it too.
const QUEUE: usize = 1024;

/// Something new about one machine.
#[derive(Clone, Debug)]
pub struct Event<K> {
    /// The machine.
    pub vm: K,
    /// The change, or why an observation was not taken.
    pub news: Result<Transition, ObserveError>,
}

/// The machines being looked at: a stream of events, and the last known status of each.
///
/// Dropping it ends all looks.
#[derive(Debug)]
pub struct Watch<K> {
    supervisor: Supervisor,
    sender: mpsc::Sender<Event<K>>,
    events: mpsc::Receiver<Event<K>>,
    machines: Vec<Watched<K>>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Watched<K> {
    vm: K,
    machine: Arc<Mutex<Machine>>,
    task: AbortHandle,
}

impl<K> Watch<K> {
    pub(super) fn new(supervisor: Supervisor) -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        Self { supervisor, sender, events, machines: Vec::new(), tasks: JoinSet::new() }
    }

    /// Looks at one more machine, for the first time within one period.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer on.
    pub fn add<L: Look>(&mut self, vm: K, look: L, rng: &mut impl Rng)
    where
        K: Clone + Send + 'static,
    {
        let machine = Machine::new(now()).with_thresholds(self.supervisor.thresholds());
        let machine = Arc::new(Mutex::new(machine));
        let task = self.tasks.spawn(self.supervisor.keep_looking(
            vm.clone(),
            look,
            Arc::clone(&machine),
            self.sender.clone(),
            fork(rng),
        ));
        self.machines.push(Watched { vm, machine, task });
    }

    /// Looks at this machine no more, and gives what was last known of it. Events of it that wait
    /// for their reader still come.
    pub fn remove(&mut self, vm: &K) -> Option<Machine>
    where
        K: PartialEq,
    {
        let index = self.machines.iter().position(|watched| watched.vm == *vm)?;
        let watched = self.machines.swap_remove(index);
        watched.task.abort();
        // What has ended is not kept.
        while self.tasks.try_join_next().is_some() {}
        Some(watched.last_known())
    }

    /// The next event. It waits for as long as there is none, also while there are no machines.
    ///
    /// Cancel-safe: an event is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event<K>> {
        self.events.recv().await
    }

    /// Every machine as it was last seen, without waiting for any. How old that is, is for
    /// [`Machine::last_observed`] to say.
    pub fn machines(&self) -> impl Iterator<Item = (&K, Machine)> {
        self.machines.iter().map(|watched| (&watched.vm, watched.last_known()))
    }
}

impl<K> Watched<K> {
    fn last_known(&self) -> Machine {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keys are never pinned.
impl<K> Unpin for Watch<K> {}

impl<K> Stream for Watch<K> {
    type Item = Event<K>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

/// Tells the machine what was found; gives what is new.
pub(super) fn observe(
    machine: &Mutex<Machine>,
    evidence: &Evidence,
) -> Option<Result<Transition, ObserveError>> {
    let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
    // The system's clock may be set back; the machine's time stands still then.
    let now = now().max(machine.last_observed());
    machine.observe(evidence, now).transpose()
}
