//! Two threads on one /16, through the front of `ippool` and through a mutex.
//!
//! ```text
//! cargo bench -p benches --bench ippool_threads
//! ```

use benches::bitmap::{Bitmap, NextFit};
use benches::measure::{Options, Pair};
use benches::pools::{Allocator, Churn, NOW, Plain, picks};
use benches::report::Report;
use core::fmt::Debug;
use core::hint;
use core::net::Ipv4Addr;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use criterion::Criterion;
use ippool::{Addresses, Policy, Shared};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

const THREADS: usize = 2;
const STRIPES: NonZero<usize> = NonZero::new(THREADS).unwrap();
/// How many pairs of a release and an allocation each thread makes.
const PAIRS: usize = 100_000;
/// How many of all addresses are held, in parts of a thousand.
const LOADS: [usize; 3] = [500, 900, 999];
const WHOLE: &str = "172.16.0.0/16";
const HALVES: [&str; THREADS] = ["172.16.0.0/17", "172.16.128.0/17"];
/// The addresses for hosts of the /16.
const HOSTS: u32 = 65_534;

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("ippool_threads");
    if options.wants_bar("threads") {
        bars(&mut report, &options);
    }
    if options.wants_group("threads") {
        compare(&mut options.criterion());
    }
    report.finish();
}

fn plain(prefix: &str) -> Plain<Addresses> {
    Plain::new(prefix.parse().expect("a prefix"), Policy::NextFit)
}

/// The front.
fn front() -> Shared<Addresses> {
    Shared::new(plain(WHOLE).pool).with_stripes(STRIPES)
}

fn bitmap() -> NextFit<3> {
    NextFit::new(Bitmap::new(HOSTS))
}

/// The front as one thread has it.
struct Through<'a>(&'a Shared<Addresses>);

impl Allocator for Through<'_> {
    type Item = Ipv4Addr;

    fn allocate(&mut self) -> Option<Ipv4Addr> {
        self.0.allocate((), NOW).ok().map(|grant| grant.item)
    }

    fn release(&mut self, item: Ipv4Addr) {
        assert!(self.0.release(item, (), NOW).is_ok());
    }
}

/// Something behind a mutex as one thread has it.
struct Locked<'a, A>(&'a Mutex<A>);

impl<A: Allocator> Allocator for Locked<'_, A> {
    type Item = A::Item;

    fn allocate(&mut self) -> Option<A::Item> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).allocate()
    }

    fn release(&mut self, item: A::Item) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).release(item);
    }
}

/// How long so many threads take for their pairs, each with a share of what is held of its own.
fn together<A>(threads: usize, held: usize, allocator: impl Fn(usize) -> A + Sync) -> Duration
where
    A: Allocator<Item: Send + Ord + Debug>,
{
    let ready = AtomicUsize::new(0);
    let work = |number: usize| {
        let mut rng = SmallRng::seed_from_u64(number as u64);
        let mut churn = Churn::new(allocator(number), held);
        // What is held lies anywhere by now, and not in the order it was taken in.
        churn.pairs(&picks(2 * held, held, &mut rng));
        let picks = picks(PAIRS, held, &mut rng);
        // A processor that sleeps would start late.
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < threads {
            hint::spin_loop();
        }
        let start = Instant::now();
        churn.pairs(&picks);
        (start, Instant::now(), churn.held)
    };
    let done: Vec<_> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let items: BTreeSet<_> = done.iter().flat_map(|(_, _, items)| items).collect();
    assert_eq!(items.len(), threads * held, "held by two");
    let start = done.iter().map(|(start, _, _)| *start).min().expect("a thread");
    let end = done.iter().map(|(_, end, _)| *end).max().expect("a thread");
    end - start
}

fn through_front(threads: usize, held: usize) -> Duration {
    let front = front();
    together(threads, held, |_| Through(&front))
}

fn through_mutex<A>(threads: usize, held: usize, allocator: A) -> Duration
where
    A: Allocator<Item: Send + Ord + Debug> + Send,
{
    let mutex = Mutex::new(allocator);
    together(threads, held, |_| Locked(&mutex))
}

fn bars(report: &mut Report, options: &Options) {
    for load in LOADS {
        let held = HOSTS as usize * load / 1000 / THREADS;
        // The last addresses of a stripe are gone at times, and then the threads do meet.
        let meet = load > 900;
        let [mut pool, mut bare, mut apart, mut alone] = [(); 4].map(|()| Pair::default());
        for round in 0..options.samples(60, 15) {
            let two = || through_front(THREADS, held);
            pool.take(round, two, || through_mutex(THREADS, held, plain(WHOLE)));
            bare.take(round, two, || through_mutex(THREADS, held, bitmap()));
            apart.take(round, two, || together(THREADS, held, |number| plain(HALVES[number])));
            // As much is held as by one of the two, and the other is not there.
            let one = || through_front(1, held);
            alone.take(round, one, || together(1, held, |_| plain(WHOLE)));
        }
        let load = format!("{}.{} % held", load / 10, load % 10).replace(".0", "");
        let what = format!("mutex of a pool / front, {THREADS} threads, /16, {load}");
        // Threads that share nothing are as fast together as alone, unless they share a processor:
        // then they hardly ever meet, and a mutex costs little.
        let parallel = apart.reference.median() < alone.reference.median() * 3 / 2;
        if meet {
            report.told_faster(what, &pool);
        } else if !parallel {
            report.told_faster(format!("{what} (on less than two processors)"), &pool);
        } else {
            report.faster(what, &pool, 3.0);
        }
        let what = format!("mutex of a bare bitmap / front, {THREADS} threads, /16, {load}");
        report.told_faster(what, &bare);
        report.told(format!("front / a pool for each, {THREADS} threads, {load}"), &apart);
        report.told(format!("front / pool, one of the {THREADS} threads, {load}"), &alone);
    }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut Criterion) {
    let held = HOSTS as usize / 2 / THREADS;
    let mut group = criterion.benchmark_group("threads");
    group.bench_function("front", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| through_front(THREADS, held)).sum());
    });
    group.bench_function("mutex", |bencher| {
        bencher.iter_custom(|count| {
            (0..count).map(|_| through_mutex(THREADS, held, plain(WHOLE))).sum()
        });
    });
    group.finish();
}
