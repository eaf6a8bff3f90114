//! An item released and one allocated, in pools that are half full and almost full, and how soon a full one says so.
//!
//! ```text
//! cargo bench -p benches --bench ippool_pools
//! ```

use benches::bitmap::{Bitmap, Lowest, NextFit, Scan};
use benches::measure::{Options, Pair, time};
use benches::peers::{BitmapAllocator, Roaring, Tree, VmAllocator};
use benches::pools::{Allocator, Churn, NOW, Plain, Random, picks};
use benches::report::Report;
use core::hint::black_box;
use core::net::Ipv4Addr;
use core::time::Duration;
use criterion::Criterion;
use ippool::{AddressPool, Addresses, Policy, Ports};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::collections::BTreeSet;

/// How many pairs of a release and an allocation are made between two looks at the clock.
const PAIRS: usize = 20_000;
/// How many of them whoever takes a thousand times as long makes, whose time counts so many times.
const FEW: usize = 10;
const TIMES: u32 = 2_000;
/// The shares of the items that are held, in parts of a thousand; from full downwards, as that is how they are come by.
const LOADS: [usize; 3] = [999, 900, 500];
/// How much time passes between two releases where released addresses cool.
const TICK: Duration = Duration::from_millis(60);

/// A /16, and how many addresses for hosts it has.
const SMALL: (&str, u32) = ("172.16.0.0/16", 65_534);
/// The same of a /8.
const LARGE: (&str, u32) = ("10.0.0.0/8", 16_777_214);

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("ippool_pools");
    if options.wants_bar("addresses") {
        addresses(&mut report, &options);
    }
    if options.wants_bar("peers") {
        peers(&mut report, &options);
    }
    if options.wants_bar("ports") {
        ports(&mut report, &options);
    }
    if options.wants_bar("owners") {
        owners(&mut report, &options);
    }
    if options.wants_bar("exhaustion") {
        exhaustion(&mut report, &options);
    }
    if options.wants_group("pools") {
        compare(&mut options.criterion());
    }
    report.finish();
}

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

fn space(prefix: &str) -> Addresses {
    prefix.parse().expect("a prefix")
}

/// An allocator of which everything is held.
fn full<A: Allocator>(allocator: A) -> Churn<A> {
    Churn::new(allocator, usize::MAX)
}

/// Releases random items until a share of so many is held; the same ones whoever it is.
fn shrink(churn: &mut Churn<impl Allocator>, capacity: u32, load: usize) {
    let held = capacity as usize * load / 1000;
    churn.shrink(held, &mut SmallRng::seed_from_u64(load as u64));
    assert_eq!(churn.held.len(), held);
}

fn percent(load: usize) -> String {
    format!("{}.{} % held", load / 10, load % 10).replace(".0", "")
}

/// Ours and the reference once each, with the same picks.
fn take(
    pair: &mut Pair,
    round: usize,
    ours: &mut Churn<impl Allocator>,
    reference: &mut Churn<impl Allocator>,
    rng: &mut SmallRng,
) {
    assert_eq!(ours.held.len(), reference.held.len());
    let picks = picks(PAIRS, ours.held.len(), rng);
    pair.take(round, || time(|| ours.pairs(&picks)), || time(|| reference.pairs(&picks)));
}

/// Both at each share of what they have, held from full downwards. `check` looks at what they hold in the end.
fn beside(
    rounds: usize,
    ours: impl Allocator<Item = Ipv4Addr>,
    reference: impl Allocator<Item = u32>,
    check: fn(&[Ipv4Addr], &[u32]) -> bool,
) -> [Pair; LOADS.len()] {
    let (mut ours, mut reference) = (full(ours), full(reference));
    let capacity = u32::try_from(ours.held.len()).expect("32 bits");
    let mut rng = rng();
    LOADS.map(|load| {
        shrink(&mut ours, capacity, load);
        shrink(&mut reference, capacity, load);
        let mut pair = Pair::default();
        for round in 0..rounds {
            take(&mut pair, round, &mut ours, &mut reference, &mut rng);
        }
        assert!(check(&ours.held, &reference.held));
        pair
    })
}

/// Whether an address is held for each number, at the same place: then both made the same choices.
fn agree(addresses: &[Ipv4Addr], numbers: &[u32]) -> bool {
    let base = addresses[0].to_bits() - numbers[0];
    addresses.iter().map(|address| address.to_bits() - base).eq(numbers.iter().copied())
}

/// Whether as many are held, none of them twice.
fn as_many(addresses: &[Ipv4Addr], numbers: &[u32]) -> bool {
    addresses.iter().collect::<BTreeSet<_>>().len() == numbers.len()
}

/// Pools of addresses beside the bare bitmap.
fn addresses(report: &mut Report, options: &Options) {
    let mut rows = |what, pairs: [Pair; LOADS.len()], bar| {
        for (load, pair) in LOADS.into_iter().zip(&pairs) {
            let what = format!("{what}, {}", percent(load));
            match bar {
                Some(bar) => report.at_most(what, pair, bar),
                None => report.told(what, pair),
            }
        }
    };
    let pool = |policy| Plain::new(space(SMALL.0), policy);
    let bitmap = || Bitmap::<3>::new(SMALL.1);
    let rounds = options.samples(200, 40);
    let pairs = beside(rounds, pool(Policy::NextFit), NextFit::new(bitmap()), agree);
    rows("`NextFit` / bare bitmap, /16", pairs, Some(1.3));
    let pairs = beside(rounds, pool(Policy::Lowest), Lowest(bitmap()), agree);
    rows("`Lowest` / bare bitmap, /16", pairs, Some(1.3));

    // The bare bitmap has no such policies, and takes the next.
    let rounds = options.samples(60, 15);
    let pairs = beside(rounds, Random::new(space(SMALL.0)), NextFit::new(bitmap()), as_many);
    rows("`allocate_random` / bare bitmap, /16", pairs, None);
    let pairs = beside(rounds, pool(Policy::LongestIdle), NextFit::new(bitmap()), as_many);
    rows("`LongestIdle` / bare bitmap, /16", pairs, None);

    let pool = |policy| Plain::new(space(LARGE.0), policy);
    let bitmap = || Bitmap::<4>::new(LARGE.1);
    let pairs = beside(rounds, pool(Policy::NextFit), NextFit::new(bitmap()), agree);
    rows("`NextFit` / bare bitmap, /8", pairs, Some(1.5));
    let pairs = beside(rounds, pool(Policy::Lowest), Lowest(bitmap()), agree);
    rows("`Lowest` / bare bitmap, /8", pairs, Some(1.5));
}

/// A /16 beside what one would use instead; all of it hands out the lowest.
fn peers(report: &mut Report, options: &Options) {
    let (prefix, hosts) = SMALL;
    let ours = || Plain::new(space(prefix), Policy::Lowest);
    let rounds = options.samples(100, 20);
    let peers = [
        ("vm-allocator", beside(rounds, ours(), VmAllocator::new(hosts), agree)),
        ("bitmap-allocator", beside(rounds, ours(), BitmapAllocator::new(hosts), agree)),
        ("roaring", beside(rounds, ours(), Roaring::new(hosts), agree)),
        ("BTreeSet", beside(rounds, ours(), Tree::new(hosts), agree)),
    ];
    let mut ours = full(ours());
    let mut scan = Churn { allocator: Scan::full(0..=hosts - 1), held: (0..hosts).collect() };
    for (number, load) in LOADS.into_iter().enumerate() {
        let with_load = |what: &str| format!("{what}, /16, {}", percent(load));
        let at_load = peers.each_ref().map(|(name, pairs)| (name, &pairs[number]));
        let fastest = at_load.iter().min_by_key(|(_, pair)| pair.reference.median());
        let (name, pair) = fastest.expect("four of them");
        let what = with_load(&format!("`Lowest` / fastest peer, `{name}`"));
        report.at_most(what, pair, 1.1);
        for (name, pair) in at_load {
            report.told_faster(with_load(&format!("`{name}` / `Lowest`")), pair);
        }
        shrink(&mut ours, hosts, load);
        shrink(&mut scan, hosts, load);
        let pair = beside_scan(options.samples(50, 10), &mut ours, &mut scan);
        report.told_faster(with_load("used set and scan / `Lowest`"), &pair);
    }
}

/// Ours beside a scan, which makes few pairs.
fn beside_scan(rounds: usize, ours: &mut Churn<impl Allocator>, scan: &mut Churn<Scan>) -> Pair {
    let (mut pair, mut rng) = (Pair::default(), rng());
    for round in 0..rounds {
        let picks = picks(PAIRS, ours.held.len(), &mut rng);
        pair.take(
            round,
            || time(|| ours.pairs(&picks)),
            || time(|| scan.pairs(&picks[..FEW])) * TIMES,
        );
    }
    pair
}

/// 10,000 ports of which ten are free.
fn ports(report: &mut Report, options: &Options) {
    let (first, last) = Ports::DEFAULT.into_inner();
    let numbers = u32::from(first)..=u32::from(last);
    let mut ours = full(Plain::new(Ports::default(), Policy::Lowest));
    let mut bitmap = full(Lowest(Bitmap::<3>::new(10_000)));
    let mut scan = Churn { allocator: Scan::full(numbers.clone()), held: numbers.collect() };
    shrink(&mut ours, 10_000, 999);
    shrink(&mut bitmap, 10_000, 999);
    shrink(&mut scan, 10_000, 999);

    let (mut pair, mut rng) = (Pair::default(), rng());
    for round in 0..options.samples(100, 20) {
        take(&mut pair, round, &mut ours, &mut bitmap, &mut rng);
    }
    let number = |port: &u16| u32::from(port - first);
    assert!(ours.held.iter().map(number).eq(bitmap.held.iter().copied()));
    report.told("10,000 ports / bare bitmap, 99.9 % held", &pair);
    let pair = beside_scan(options.samples(100, 20), &mut ours, &mut scan);
    report.faster("used set and scan / 10,000 ports, 99.9 % held", &pair, 1000.0);
}

/// A pool that knows who holds what, each address held by somebody else.
struct Owned {
    pool: AddressPool<Ipv4Addr, u64>,
    now: Duration,
    owners: u64,
}

impl Owned {
    fn new(cooldown: Duration) -> Self {
        let pool = AddressPool::new(space(SMALL.0)).with_cooldown(cooldown);
        Self { pool, now: NOW, owners: 0 }
    }
}

impl Allocator for Owned {
    type Item = (Ipv4Addr, u64);

    fn allocate(&mut self) -> Option<(Ipv4Addr, u64)> {
        let owner = next_owner(&mut self.owners);
        let grant = self.pool.allocate(owner, self.now).ok()?;
        Some((grant.item, owner))
    }

    fn release(&mut self, (item, owner): (Ipv4Addr, u64)) {
        self.now += TICK;
        assert!(self.pool.release(item, owner, self.now).is_ok());
    }
}

/// Another owner each time, and none that is like the one before.
const fn next_owner(owners: &mut u64) -> u64 {
    *owners += 1;
    owners.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A bare bitmap that takes owners and does nothing with them, so that the lists of what is held are as long.
struct Unowned {
    bitmap: NextFit<3>,
    owners: u64,
}

impl Allocator for Unowned {
    type Item = (u32, u64);

    fn allocate(&mut self) -> Option<(u32, u64)> {
        let owner = next_owner(&mut self.owners);
        Some((self.bitmap.allocate()?, owner))
    }

    fn release(&mut self, (number, _): (u32, u64)) {
        self.bitmap.release(number);
    }
}

/// Owners and cooldown beside the bare bitmap, which has neither.
fn owners(report: &mut Report, options: &Options) {
    let bitmap = || Unowned { bitmap: NextFit::new(Bitmap::new(SMALL.1)), owners: 0 };
    for load in LOADS {
        // What is released within a minute cools, or half of what is not held where that is less.
        let cooling = if load == 999 { 32 } else { 1000 };
        let mut rng = rng();
        for cooling in [cooling, 0] {
            let mut ours = full(Owned::new(TICK * cooling));
            let mut reference = full(bitmap());
            shrink(&mut ours, SMALL.1, load);
            shrink(&mut reference, SMALL.1, load);
            let mut pair = Pair::default();
            for round in 0..options.samples(100, 20) {
                take(&mut pair, round, &mut ours, &mut reference, &mut rng);
                assert_eq!(ours.allocator.pool.counts().cooling, u128::from(cooling));
            }
            let &(item, owner) = &ours.held[0];
            assert_eq!(ours.allocator.pool.owner(item), Some(owner));
            let load = percent(load);
            if cooling == 0 {
                report.told(format!("owners / bare bitmap, /16, {load}"), &pair);
            } else {
                let what = format!("owners and {cooling} cooling / bare bitmap, /16, {load}");
                report.at_most(what, &pair, 6.0);
            }
        }
    }
}

/// How long a full pool takes to say so, beside the allocations that fill one.
fn exhaustion(report: &mut Report, options: &Options) {
    let (prefix, count) = (SMALL.0, SMALL.1 as usize);
    for policy in [Policy::NextFit, Policy::Lowest, Policy::LongestIdle] {
        let mut ours = full(Plain::new(space(prefix), policy));
        let mut other = full(Plain::new(space(prefix), policy));
        let mut pair = Pair::default();
        for round in 0..options.samples(100, 20) {
            other.held.iter().for_each(|&item| other.allocator.release(item));
            pair.take(
                round,
                || time(|| assert_eq!(granted(&mut ours.allocator, count), 0)),
                || time(|| assert_eq!(granted(&mut other.allocator, count), count)),
            );
        }
        let what = format!("`{policy:?}` refused / granted, /16, {count} times");
        report.at_most(what, &pair, 1.0);
    }

    let mut ours = full(Plain::new(Ports::default(), Policy::Lowest));
    let (first, last) = Ports::DEFAULT.into_inner();
    let mut scan = Scan::full(first.into()..=last.into());
    let mut pair = Pair::default();
    for round in 0..options.samples(100, 20) {
        pair.take(
            round,
            || time(|| assert_eq!(granted(&mut ours.allocator, PAIRS), 0)),
            || time(|| assert_eq!(granted(&mut scan, FEW), 0)) * TIMES,
        );
    }
    report.told_faster("used set and scan / refused, 10,000 ports", &pair);
}

/// How many of so many allocations are granted.
fn granted(allocator: &mut impl Allocator, count: usize) -> usize {
    let mut granted = 0;
    for _ in 0..count {
        // A pool that is not changed by a refusal is still to be asked every time.
        granted += usize::from(black_box(&mut *allocator).allocate().is_some());
    }
    granted
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pools");
    let mut bench = |name: &str, churn: &mut dyn FnMut(&[u32])| {
        let picks = picks(PAIRS, SMALL.1 as usize * 9 / 10, &mut rng());
        group.bench_function(name, |bencher| bencher.iter(|| churn(&picks)));
    };
    let mut next_fit = full(Plain::new(space(SMALL.0), Policy::NextFit));
    shrink(&mut next_fit, SMALL.1, 900);
    bench("next_fit", &mut |picks| next_fit.pairs(picks));
    let mut lowest = full(Plain::new(space(SMALL.0), Policy::Lowest));
    shrink(&mut lowest, SMALL.1, 900);
    bench("lowest", &mut |picks| lowest.pairs(picks));
    let mut owned = full(Owned::new(TICK * 1000));
    shrink(&mut owned, SMALL.1, 900);
    bench("owned", &mut |picks| owned.pairs(picks));
    let mut bitmap = full(NextFit::new(Bitmap::<3>::new(SMALL.1)));
    shrink(&mut bitmap, SMALL.1, 900);
    bench("bitmap", &mut |picks| bitmap.pairs(picks));

    let mut refused = full(Plain::new(space(SMALL.0), Policy::NextFit));
    bench("refused", &mut |_| assert_eq!(granted(&mut refused.allocator, PAIRS), 0));
    group.finish();
}
