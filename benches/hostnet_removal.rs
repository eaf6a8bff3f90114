//! TAPs removed: many together, each alone, and several at once that nobody gathered, with an eye on how long everybody
//! else has to wait for the kernel's network lock.
//!
//! ```text
//! cargo bench -p benches --bench hostnet_removal
//! ```

use benches::measure::{Options, Pair, Samples, time};
use benches::raw::Route;
use benches::report::{Direction, Report};
use benches::world::{self, BRIDGE, World, desired, in_fresh_netns, port, subjects, tap_name};
use core::num::NonZeroUsize;
use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use tokio::task::JoinSet;

/// How many go together.
const MANY: u32 = 1000;
/// How many removals are asked for at once.
const AT_ONCE: u32 = 32;
/// What everybody else may have to wait.
const LONGEST_STALL: Duration = Duration::from_millis(60);

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_removal");
    if options.wants_bar("many") {
        in_fresh_netns(&sandbox, || many(&mut report, &options));
    }
    if options.wants_bar("at_once") {
        in_fresh_netns(&sandbox, || at_once(&mut report, &options));
    }
    if options.wants_group("removal") {
        in_fresh_netns(&sandbox, || compare(&mut options.criterion()));
    }
    report.finish();
}

/// A bridge with VMs on it.
struct Host {
    world: World,
    route: Route,
    bridge: u32,
}

impl Host {
    fn new(vms: u32) -> Self {
        let world = World::default();
        let mut route = Route::default();
        world.ensure(&desired([]));
        let bridge = route.index(BRIDGE);
        let mut host = Self { world, route, bridge };
        host.create(0..vms);
        host
    }

    fn create(&mut self, vms: Range<u32>) {
        for n in vms {
            let port = port(n);
            self.route.create_tap(&port);
            self.route.attach(&port.tag, self.bridge);
        }
    }

    /// How many TAPs there are.
    fn count(&mut self) -> usize {
        self.route.dump().iter().filter(|link| link.master == Some(self.bridge)).count()
    }
}

fn many(report: &mut Report, options: &Options) {
    let one_by_one = u32::try_from(options.samples(64, 32)).expect("a small number");
    let mut host = Host::new(MANY);
    let (mut pair, mut stalls) = (Pair::default(), Samples::default());
    let (mut grouped, mut grouped_stalls) = (Pair::default(), Samples::default());
    for _ in 0..options.samples(3, 1) {
        let route = &mut host.route;
        pair.reference.extend((0..one_by_one).map(|n| time(|| route.delete(&port(n).tag))));
        host.create(0..one_by_one);

        let probe = Probe::start();
        let took = time(|| host.world.remove(0..MANY));
        stalls.extend([probe.stop()]);
        assert_eq!(host.count(), 0);
        pair.ours.push(took / MANY);
        grouped.ours.push(took / MANY);

        host.create(0..MANY);
        let probe = Probe::start();
        let route = &mut host.route;
        // Nothing is faster, and everybody else waits for all of it.
        let took = time(|| {
            for n in 0..MANY {
                route.set_group_by_tag(&port(n).tag, 77);
            }
            route.delete_group(77);
        });
        grouped_stalls.extend([probe.stop()]);
        assert_eq!(host.count(), 0);
        grouped.reference.push(took / MANY);
        host.create(0..MANY);
    }
    report.faster(format!("raw one by one / {MANY} together, per TAP"), &pair, 11.0);
    // In the fast mode all of them go at once, however long everybody else waits.
    let fast = World::with_sweep(NonZeroUsize::new(MANY as usize).expect("not zero"));
    let mut swept = Pair { reference: pair.reference.clone(), ..Pair::default() };
    for _ in 0..options.samples(3, 1) {
        swept.ours.push(time(|| fast.remove(0..MANY)) / MANY);
        assert_eq!(host.count(), 0);
        host.create(0..MANY);
    }
    report.faster(format!("raw one by one / {MANY} at once, per TAP"), &swept, 18.0);
    stall(report, "worst stall of somebody else, ms", &stalls, Some(LONGEST_STALL));
    report.told(format!("{MANY} together / raw group of {MANY}, per TAP"), &grouped);
    stall(report, "worst stall by the raw group, ms", &grouped_stalls, None);
}

fn stall(report: &mut Report, what: &str, stalls: &Samples, bar: Option<Duration>) {
    let worst = stalls.worst();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let bar = (Direction::AtMost, bar.map(millis));
    report.add(what, millis(worst), bar, stalls.len(), (worst, Duration::ZERO));
}

fn at_once(report: &mut Report, options: &Options) {
    let mut host = Host::new(200);
    let mut pair = Pair::default();
    for round in 0..options.samples(15, 5) {
        let Host { world, .. } = &host;
        pair.take(
            round,
            || time(|| world.wait(remove_at_once(world, 0..AT_ONCE))),
            || time(|| world.remove([AT_ONCE])),
        );
        assert_eq!(host.count(), 200 - AT_ONCE as usize - 1);
        host.create(0..AT_ONCE + 1);
    }
    report.at_most(format!("{AT_ONCE} removals at once / one removal"), &pair, 4.0);
}

/// As many tasks as VMs, none of which knows of the others.
async fn remove_at_once(world: &World, vms: Range<u32>) {
    let mut tasks = JoinSet::new();
    for n in vms {
        let host = world.host.clone();
        tasks.spawn(async move { host.remove(&subjects([n])).await });
    }
    while let Some(removed) = tasks.join_next().await {
        removed.expect("a task that ends").expect("a removal");
    }
}

/// Somebody else on the same host, who changes a device every half millisecond.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Probe {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut route = Route::default();
            let lo = route.index("lo");
            let mut worst = Duration::ZERO;
            while !seen.load(Ordering::Relaxed) {
                worst = worst.max(time(|| route.touch(lo)));
                thread::sleep(Duration::from_micros(500));
            }
            worst
        });
        Self { stop, thread }
    }

    /// Gives the longest that a change took.
    fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a probe")
    }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let mut host = Host::new(200);
    let mut group = criterion.benchmark_group("removal");
    group.sampling_mode(criterion::SamplingMode::Flat);
    let mut bench = |name: &str, count: u32, remove: fn(&mut Host)| {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    total += time(|| remove(&mut host));
                    assert_eq!(host.route.find(&tap_name(count - 1)), None);
                    host.create(0..count);
                }
                total
            });
        });
    };
    bench("one", 1, |host| host.world.remove([0]));
    bench("raw_one", 1, |host| host.route.delete(&port(0).tag));
    bench("at_once/32", AT_ONCE, |host| host.world.wait(remove_at_once(&host.world, 0..AT_ONCE)));
    bench("together/200", 200, |host| host.world.remove(0..200));
    group.finish();
}
