use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use rand::{Rng, RngExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::now;
use crate::{Evidence, Machine, ObserveError, Thresholds, Transition};

/// Events that may wait for their reader before the machines wait for it too.
const QUEUE: usize = 1024;

/// One look at one machine.
///
/// A look that takes longer than its budget is dropped at its next `.await`; it must leave `self`
/// fit for another look.
pub trait Look: Send + 'static {
    /// Looks at the machine.
    fn look(&mut self) -> impl Future<Output = Evidence> + Send;
}

/// Looks at many machines again and again, each on its own.
///
/// Each machine is a task with a budget per look. A look that runs out of it is no failure: the
/// status stays what it was, its age shows, and the pauses double up to a limit. The first looks
/// are spread over one period at random, so that the load is even.
#[derive(Clone, Copy, Debug)]
pub struct Supervisor {
    period: Duration,
    budget: Duration,
    max_pause: Duration,
    thresholds: Thresholds,
}

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
    events: mpsc::Receiver<Event<K>>,
    machines: Vec<(K, Arc<Mutex<Machine>>)>,
    _tasks: JoinSet<()>,
}

impl Supervisor {
    /// Looks once per period, and gives each look this budget.
    #[must_use]
    pub fn new(period: Duration, budget: Duration) -> Self {
        Self {
            period,
            budget,
            max_pause: period.saturating_mul(32),
            thresholds: Thresholds::default(),
        }
    }

    /// The longest pause between looks at a machine that hangs; 32 periods by default.
    #[must_use]
    pub const fn with_max_pause(mut self, max_pause: Duration) -> Self {
        self.max_pause = max_pause;
        self
    }

    /// Other thresholds for every machine.
    #[must_use]
    pub const fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Begins to look at the machines.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer on.
    pub fn watch<K, L>(self, vms: impl IntoIterator<Item = (K, L)>, rng: &mut impl Rng) -> Watch<K>
    where
        K: Clone + Send + 'static,
        L: Look,
    {
        let (sender, events) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        let machines = vms
            .into_iter()
            .map(|(vm, look)| {
                let machine = Machine::new(now()).with_thresholds(self.thresholds);
                let machine = Arc::new(Mutex::new(machine));
                let first = begin + self.period.mul_f64(rng.random_range(0.0..1.0));
                tasks.spawn(self.keep_looking(
                    vm.clone(),
                    look,
                    Arc::clone(&machine),
                    first,
                    sender.clone(),
                ));
                (vm, machine)
            })
            .collect();
        Watch { events, machines, _tasks: tasks }
    }

    async fn keep_looking<K, L: Look>(
        self,
        vm: K,
        mut look: L,
        machine: Arc<Mutex<Machine>>,
        first: Instant,
        sender: mpsc::Sender<Event<K>>,
    ) where
        K: Clone,
    {
        let mut next = first;
        let mut pause = self.period;
        loop {
            sleep_until(next).await;
            let begun = Instant::now();
            if let Ok(evidence) = timeout(self.budget, look.look()).await {
                pause = self.period;
                let news = observe(&machine, &evidence);
                if let Some(news) = news.transpose()
                    && sender.send(Event { vm: vm.clone(), news }).await.is_err()
                {
                    return;
                }
            } else {
                pause = pause.saturating_mul(2).min(self.max_pause.max(self.period));
            }
            // A late look does not make the next ones come in a burst.
            next = (begun + pause).max(Instant::now());
        }
    }
}

fn observe(
    machine: &Mutex<Machine>,
    evidence: &Evidence,
) -> Result<Option<Transition>, ObserveError> {
    let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
    // The system's clock may be set back; the machine's time stands still then.
    let now = now().max(machine.last_observed());
    machine.observe(evidence, now)
}

impl<K> Watch<K> {
    /// The next event; `None` if there are no machines.
    pub async fn next(&mut self) -> Option<Event<K>> {
        self.events.recv().await
    }

    /// Every machine as it was last seen, without waiting for any. How old that is, is for
    /// [`Machine::last_observed`] to say.
    pub fn machines(&self) -> impl Iterator<Item = (&K, Machine)> {
        self.machines.iter().map(|(vm, machine)| {
            (vm, machine.lock().unwrap_or_else(PoisonError::into_inner).clone())
        })
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
