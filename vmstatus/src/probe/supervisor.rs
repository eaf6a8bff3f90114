use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt as _, SeedableRng as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::watch::{Event, Watch, observe};
use crate::{Evidence, Machine, Thresholds};

/// Pauses are never longer, so that times can be reckoned with.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

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
/// are spread over one period at random, and each pause is up to a tenth shorter or longer, so that
/// the load is even and stays so after a stall.
///
/// ```
/// use std::time::Duration;
/// use rand::SeedableRng as _;
/// use rand::rngs::StdRng;
/// use vmstatus::probe::{Supervisor, VmProbe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let folder = std::env::temp_dir().join("no-machine-is-here");
/// let vms = ["fargo", "bemidji"].map(|vm| (vm, VmProbe::new(vm, folder.join(vm))));
/// let second = Duration::from_secs(1);
/// let mut rng = StdRng::seed_from_u64(7); // in earnest: a random seed
/// let watch = Supervisor::new(second, 2 * second).watch(vms, &mut rng);
/// for (vm, machine) in watch.machines() {
///     println!("{vm}: {}, {}", machine.status(), machine.reason());
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Supervisor {
    period: Duration,
    budget: Duration,
    max_pause: Duration,
    thresholds: Thresholds,
}

impl Supervisor {
    /// Looks about once per period, and gives each look this budget. For a
    /// [`VmProbe`](super::VmProbe) it should be more than the deadline of its questions.
    #[must_use]
    pub fn new(period: Duration, budget: Duration) -> Self {
        let period = period.min(LONGEST);
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

    /// Begins to look at the machines. More can be added later.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer on.
    pub fn watch<K, L>(self, vms: impl IntoIterator<Item = (K, L)>, rng: &mut impl Rng) -> Watch<K>
    where
        K: Clone + Send + 'static,
        L: Look,
    {
        let mut watch = Watch::new(self);
        for (vm, look) in vms {
            watch.add(vm, look, rng);
        }
        watch
    }

    pub(super) const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Looks at one machine until nobody reads the events any more.
    pub(super) async fn keep_looking<K: Clone, L: Look>(
        self,
        vm: K,
        mut look: L,
        machine: Arc<Mutex<Machine>>,
        sender: mpsc::Sender<Event<K>>,
        mut rng: SmallRng,
    ) {
        let mut next = Instant::now() + self.period.mul_f64(rng.random_range(0.0..1.0));
        let mut pause = self.period;
        loop {
            sleep_until(next).await;
            let begun = Instant::now();
            if let Ok(evidence) = timeout(self.budget, look.look()).await {
                pause = self.period;
                if let Some(news) = observe(&machine, &evidence)
                    && sender.send(Event { vm: vm.clone(), news }).await.is_err()
                {
                    return;
                }
            } else {
                let most = self.max_pause.clamp(self.period, LONGEST);
                pause = pause.saturating_mul(2).min(most);
            }
            // A late look does not make the next ones come in a burst.
            next = (begun + pause.mul_f64(rng.random_range(0.9..1.1))).max(Instant::now());
        }
    }
}

/// A generator of a task's own, from the caller's.
pub(super) fn fork(rng: &mut impl Rng) -> SmallRng {
    SmallRng::from_rng(rng)
}
