//! Pools filled to the last address in every policy, and what they take of the memory.
//!
//! ```text
//! cargo bench -p benches --bench ippool_fill
//! ```

use benches::bitmap::{Bitmap, Lowest, NextFit};
use benches::heap::{Counting, kept};
use benches::measure::{Options, Pair, Samples, time};
use benches::pools::{Allocator, Churn, NOW, Plain, Random};
use benches::report::{Direction, Report};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use criterion::{BatchSize, Criterion};
use ippool::{AddressPool, Addresses, Policy};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

/// How many stretches a fill is measured in, each of as many addresses.
const STRETCHES: usize = 64;

/// A /16, and how many addresses for hosts it has.
const SMALL: (&str, usize) = ("172.16.0.0/16", 65_534);
/// The same of a /8.
const LARGE: (&str, usize) = ("10.0.0.0/8", 16_777_214);
const SMALL_LEVELS: usize = 3;
const LARGE_LEVELS: usize = 4;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("ippool_fill");
    if options.wants_bar("fill") {
        let often = options.samples(100, 30);
        policies::<SMALL_LEVELS>(&mut report, SMALL, [often, often]);
        again(&mut report, often);
        let (some, few) = (options.samples(7, 3), options.samples(3, 1));
        policies::<LARGE_LEVELS>(&mut report, LARGE, [some, few]);
    }
    if options.wants_bar("memory") {
        memory(&mut report);
    }
    if options.wants_group("fill") {
        compare(&mut options.criterion());
    }
    report.finish();
}

fn space(prefix: &str) -> Addresses {
    prefix.parse().expect("a prefix")
}

/// Which numbers were handed out.
struct Seen(Vec<u64>);

impl Seen {
    fn new() -> Self {
        Self(vec![0; (1 << 24) / 64])
    }

    /// Whether it was not.
    fn insert(&mut self, number: u32) -> bool {
        let number = number as usize % (1 << 24);
        let (word, bit) = (&mut self.0[number / 64], 1 << (number % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// Takes everything there is, and tells how long each stretch of it took.
fn fill<A: Allocator>(
    allocator: &mut A,
    count: usize,
    number: impl Fn(&A::Item) -> u32,
) -> Samples {
    let mut seen = Seen::new();
    let mut taken = Vec::with_capacity(count / STRETCHES + 1);
    let mut stretches = Samples::default();
    for stretch in 0..STRETCHES {
        let len = count * (stretch + 1) / STRETCHES - count * stretch / STRETCHES;
        taken.clear();
        stretches.push(time(|| {
            taken.extend((0..len).map(|_| allocator.allocate().expect("a free one")));
        }));
        assert!(taken.iter().all(|item| seen.insert(number(item))));
    }
    assert!(allocator.allocate().is_none());
    stretches
}

/// What fills say together.
#[derive(Default)]
struct Fills {
    last: Samples,
    middle: Samples,
    whole: Samples,
}

impl Fills {
    fn add(&mut self, stretches: &Samples) {
        self.last.extend(stretches.iter().last());
        self.middle.push(stretches.median());
        self.whole.push(stretches.iter().sum());
    }

    fn report(&self, report: &mut Report, (prefix, _): (&str, usize), policy: &str) {
        let (_, len) = prefix.split_once('/').expect("a prefix");
        let what = format!("{policy}, /{len} filled, last of {STRETCHES} parts / median part");
        report.flat(what, &self.middle, &self.last, 2.0);
    }
}

/// Every policy on a pool of which nothing was held before.
fn policies<const LEVELS: usize>(
    report: &mut Report,
    size: (&str, usize),
    [rounds, slow_rounds]: [usize; 2],
) {
    let bitmap = || Bitmap::<LEVELS>::new(u32::try_from(size.1).expect("32 bits"));
    beside(report, size, rounds, Policy::NextFit, || NextFit::new(bitmap()));
    beside(report, size, rounds, Policy::Lowest, || Lowest(bitmap()));

    let (mut idle, mut random) = (Fills::default(), Fills::default());
    for _ in 0..rounds {
        let mut pool = Plain::new(space(size.0), Policy::LongestIdle);
        idle.add(&fill(&mut pool, size.1, |item| item.to_bits()));
    }
    for _ in 0..slow_rounds {
        let mut pool = Random::new(space(size.0));
        random.add(&fill(&mut pool, size.1, |item| item.to_bits()));
    }
    idle.report(report, size, "`LongestIdle`");
    random.report(report, size, "`allocate_random`");
}

/// A policy beside the same of the bare bitmap.
fn beside<B: Allocator<Item = u32>>(
    report: &mut Report,
    size: (&str, usize),
    rounds: usize,
    policy: Policy,
    bare: impl Fn() -> B,
) {
    let (mut ours, mut reference) = (Fills::default(), Fills::default());
    for _ in 0..rounds {
        let mut pool = Plain::new(space(size.0), policy);
        ours.add(&fill(&mut pool, size.1, |item| item.to_bits()));
        reference.add(&fill(&mut bare(), size.1, |&number| number));
    }
    ours.report(report, size, &format!("`{policy:?}`"));
    let (_, len) = size.0.split_once('/').expect("a prefix");
    let whole = Pair { ours: ours.whole, reference: reference.whole };
    report.told(format!("`{policy:?}`, /{len} filled / bare bitmap"), &whole);
}

/// Filling once more what was released in any order, which is what a queue of released addresses is for.
fn again(report: &mut Report, rounds: usize) {
    let mut fills = Fills::default();
    for round in 0..rounds {
        let pool = Plain::new(space(SMALL.0), Policy::LongestIdle);
        let mut churn = Churn::new(pool, usize::MAX);
        churn.shrink(0, &mut SmallRng::seed_from_u64(round as u64));
        fills.add(&fill(&mut churn.allocator, SMALL.1, |item| item.to_bits()));
    }
    fills.report(report, SMALL, "`LongestIdle` again");
}

/// Bytes that pools keep, as they were asked of the system.
fn memory(report: &mut Report) {
    let mut row = |what: &str, bytes: f64, count: usize, bar| {
        let none = (Duration::ZERO, Duration::ZERO);
        let count = f64::from(u32::try_from(count).expect("32 bits"));
        report.add(what, bytes / count, (Direction::AtMost, bar), 1, none);
    };
    let small = planes(SMALL);
    row("bytes of each address of a /16, half held", small, SMALL.1, Some(0.3));
    row("bytes of each address of a /8, half held", planes(LARGE), LARGE.1, Some(0.3));

    let claims = SMALL.1 / 2;
    let ones = held(SMALL.0, claims, |number| number) - small;
    row("bytes of each claim by an owner who has one, half of a /16", ones, claims, Some(30.0));
    let tens = held(SMALL.0, claims, |number| number / 10) - small;
    row("bytes of each claim by an owner who has ten, half of a /16", tens, claims, Some(30.0));
    let claims = LARGE.1 / 2;
    let ones = held(LARGE.0, claims, |number| number) - planes(LARGE);
    row("bytes of each claim by an owner who has one, half of a /8", ones, claims, None);

    let million = 1_000_000;
    row("bytes of each of a million neighbours of a /64", sequential(million), million, Some(1.0));
    row("bytes of each of a million random ones of a /64", scattered(million), million, None);
    let cooling = SMALL.1 / 2;
    row("bytes of each cooling address, half of a /16", cooled(cooling) - small, cooling, None);
}

fn bytes<T>(make: impl FnOnce() -> T) -> f64 {
    f64::from(u32::try_from(kept(make).1).expect("32 bits"))
}

/// A pool that hands out nothing but what is free, half of it held.
fn planes((prefix, hosts): (&str, usize)) -> f64 {
    bytes(|| Churn::new(Plain::new(space(prefix), Policy::NextFit), hosts / 2).allocator)
}

/// A pool of which so many addresses are held, each by the owner of its number.
fn held(prefix: &str, count: usize, owner: impl Fn(usize) -> usize) -> f64 {
    bytes(|| {
        let mut pool: AddressPool<Ipv4Addr, u64> = AddressPool::new(space(prefix));
        for number in 0..count {
            let _ = pool.allocate(token(owner(number)), NOW).expect("a free one");
        }
        assert_eq!(pool.counts().held, count as u128);
        pool
    })
}

/// An owner's token, unlike the one of the number before.
const fn token(owner: usize) -> u64 {
    (owner as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A /64 of which the first so many addresses are held.
fn sequential(count: usize) -> f64 {
    bytes(|| {
        let space: Addresses<Ipv6Addr> = "2001:db8::/64".parse().expect("a prefix");
        let churn = Churn::new(Plain::new(space, Policy::NextFit), count);
        assert_eq!(churn.allocator.pool.counts().held, count as u128);
        churn.allocator
    })
}

/// A /64 of which any so many addresses are held.
fn scattered(count: usize) -> f64 {
    bytes(|| {
        let space: Addresses<Ipv6Addr> = "2001:db8::/64".parse().expect("a prefix");
        let churn = Churn::new(Random::new(space), count);
        assert_eq!(churn.allocator.pool.counts().held, count as u128);
        churn.allocator
    })
}

/// A pool of which so many addresses cool.
fn cooled(count: usize) -> f64 {
    bytes(|| {
        let mut pool: AddressPool = AddressPool::new(space(SMALL.0));
        for _ in 0..count {
            let item = pool.allocate((), NOW).expect("a free one").item;
            pool.release(item, (), NOW).expect("held");
        }
        assert_eq!(pool.counts().cooling, count as u128);
        pool
    })
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fill");
    for policy in [Policy::NextFit, Policy::Lowest, Policy::LongestIdle] {
        group.bench_function(format!("{policy:?}"), |bencher| {
            bencher.iter_batched(
                || Plain::new(space(SMALL.0), policy),
                |pool| Churn::new(pool, usize::MAX),
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function("allocate_random", |bencher| {
        bencher.iter_batched(
            || Random::new(space(SMALL.0)),
            |pool| Churn::new(pool, usize::MAX),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}
