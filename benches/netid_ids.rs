//! Ids with their names and MACs, ids from a counter, names read back, and the search for a vacant number.
//!
//! ```text
//! cargo bench -p benches --bench netid_ids
//! ```

use benches::heap::{Counting, allocations};
use benches::measure::{Options, Pair, time};
use benches::report::Report;
use core::hint::black_box;
use core::ops::RangeFrom;
use core::time::Duration;
use netid::{IdPermutation, KeyRange, NameScheme, NetId, Role, Vacancies, Vni, VniRange};
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use std::collections::BTreeSet;

/// How many ids are made between two looks at the clock.
const BATCH: u32 = 1000;
/// How many vacant numbers are looked for between two looks at the clock.
const SEARCHES: u32 = 100;
const KEY: [u8; 16] = *b"sixteen byte key";
/// No number is cooling, so it does not matter when it is.
const NOW: Duration = Duration::ZERO;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("netid_ids");
    if options.wants_bar("ids") {
        identities(&mut report, &options);
        permutation(&mut report, &options);
        parsing(&mut report, &options);
        searching(&mut report, &options);
    }
    if options.wants_group("ids") {
        compare(&mut options.criterion());
    }
    report.finish();
}

/// Everything that a machine gets from an id.
fn identity(rng: &mut SmallRng) {
    let id = NetId::random(rng);
    black_box(id.digits());
    black_box([
        NameScheme::UNDERSCORED.name(Role::Tap, id),
        NameScheme::UNDERSCORED.name(Role::VethHost, id),
        NameScheme::UNDERSCORED.name(Role::VethNamespace, id),
        NameScheme::UNDERSCORED.name(Role::Bridge, id),
        NameScheme::UNDERSCORED.name(Role::Namespace, id),
    ]);
    black_box(id.mac());
}

/// The same as texts, the way it is usually written.
fn formatted(rng: &mut SmallRng) -> [String; 7] {
    let id = rng.next_u32();
    let [a, b, c, d] = id.to_be_bytes();
    [
        format!("{id:08x}"),
        format!("tap_{id:08x}"),
        format!("vh_{id:08x}"),
        format!("vn_{id:08x}"),
        format!("br_{id:08x}"),
        format!("ns_vm_{id:08x}"),
        format!("AA:FC:{a:02X}:{b:02X}:{c:02X}:{d:02X}"),
    ]
}

/// Ids, names and MACs, with and without `format!`; ours never touches the heap.
fn identities(report: &mut Report, options: &Options) {
    let (mut ours, mut reference) = (rng(), rng());
    for _ in 0..BATCH {
        let id = NetId::random(&mut ours);
        let [tap, veth_host, veth_namespace, bridge, namespace] =
            Role::ALL.map(|role| NameScheme::UNDERSCORED.name(role, id).to_string());
        let (digits, mac) = (id.to_string(), id.mac().to_string());
        let texts = [digits, tap, veth_host, veth_namespace, bridge, namespace, mac];
        assert_eq!(texts, formatted(&mut reference));
    }
    assert_eq!(allocations(|| (0..BATCH).for_each(|_| identity(&mut ours))), 0);
    let texts = || (0..BATCH).for_each(|_| drop(black_box(formatted(&mut reference))));
    assert!(allocations(texts) >= 7 * u64::from(BATCH));

    let mut pair = Pair::default();
    for round in 0..options.samples(1000, 200) {
        pair.take(
            round,
            || time(|| (0..BATCH).for_each(|_| identity(&mut ours))),
            || time(|| (0..BATCH).for_each(|_| drop(black_box(formatted(&mut reference))))),
        );
    }
    report.faster(format!("`format!` / id, five names and MAC, {BATCH} ids"), &pair, 8.0);
}

/// The ids of so many counters, each used by itself.
fn from_counters(ids: &IdPermutation, first: u32) {
    for counter in first..first + BATCH {
        black_box(ids.id(counter));
    }
}

/// As many draws.
fn from_draws(rng: &mut SmallRng) {
    for _ in 0..BATCH {
        black_box(rng.next_u32());
    }
}

/// Fills a list that somebody looks at later.
fn fill(list: &mut [u32], counters: RangeFrom<u32>, mut make: impl FnMut(u32) -> u32) {
    for (slot, counter) in list.iter_mut().zip(counters) {
        *slot = make(counter);
    }
    black_box(list);
}

/// Ids from a counter beside draws of a generator that is made to be fast. Each id is independent of the one before;
/// draws never are, so ids of which each is made from the one before are compared too, and ids that only fill a list.
fn permutation(report: &mut Report, options: &Options) {
    let ids = IdPermutation::new(black_box(KEY));
    let mut rng = rng();
    let all: BTreeSet<_> = (0..BATCH).map(|counter| ids.id(counter)).collect();
    assert_eq!(all.len(), BATCH as usize);
    assert!((0..BATCH).all(|counter| ids.counter(ids.id(counter)) == counter));

    let (mut list, mut draws) = (vec![0; BATCH as usize], vec![0; BATCH as usize]);
    let (mut single, mut chained, mut bulk) = (Pair::default(), Pair::default(), Pair::default());
    for round in 0..options.samples(4000, 400) {
        let first = u32::try_from(round).expect("few rounds") * BATCH;
        single.take(
            round,
            || time(|| from_counters(&ids, first)),
            || time(|| from_draws(&mut rng)),
        );
        chained.ours.push(time(|| (0..BATCH).fold(first, |id, _| black_box(ids.id(id).number()))));
        bulk.take(
            round,
            || time(|| fill(&mut list, first.., |counter| ids.id(counter).number())),
            || time(|| fill(&mut draws, first.., |_| rng.next_u32())),
        );
    }
    chained.reference = single.reference.clone();
    report.at_most(format!("`IdPermutation::id` / `SmallRng`, {BATCH} ids"), &single, 4.0);
    report
        .told(format!("`IdPermutation::id` of the id before / `SmallRng`, {BATCH} ids"), &chained);
    report.told(format!("`IdPermutation::id` into a list / `SmallRng`, {BATCH} ids"), &bulk);
}

/// The role and the id of a name, the way it is usually written: it takes capitals, signs and any number of digits.
fn split(name: &str) -> Option<(Role, NetId)> {
    let (prefix, digits) = name.rsplit_once('_')?;
    let role = match prefix {
        "tap" => Role::Tap,
        "vh" => Role::VethHost,
        "vn" => Role::VethNamespace,
        "br" => Role::Bridge,
        "ns_vm" => Role::Namespace,
        _ => return None,
    };
    u32::from_str_radix(digits, 16).ok().map(|number| (role, NetId::new(number)))
}

/// Names of every role in turn.
fn names() -> Vec<String> {
    let mut rng = rng();
    let role = Role::ALL.into_iter().cycle();
    let name = |role| NameScheme::UNDERSCORED.name(role, NetId::random(&mut rng)).to_string();
    role.map(name).take(BATCH as usize).collect()
}

/// Names read back.
fn parsing(report: &mut Report, options: &Options) {
    let names = names();
    let parse = |name: &String| NameScheme::UNDERSCORED.parse(name);
    let add = |sum: u32, (role, id): (Role, NetId)| sum.wrapping_add(id.number() ^ role as u32);
    for name in &names {
        assert!(parse(name).is_some(), "{name}");
        assert_eq!(parse(name), split(name));
    }
    let mut pair = Pair::default();
    for round in 0..options.samples(1000, 200) {
        pair.take(
            round,
            || time(|| black_box(names.iter().filter_map(parse).fold(0, add))),
            || time(|| black_box(names.iter().filter_map(|name| split(name)).fold(0, add))),
        );
    }
    report.told_faster(format!("`from_str_radix` / name read back, {BATCH} names"), &pair);
}

/// All VNIs, of which one in so many is vacant: as a view, and as a bitmap.
fn crowded(one_in: u32) -> (Vacancies, Vec<u64>) {
    let range = VniRange::new(Vni::MIN, Vni::MAX).expect("not backwards");
    let mut view = Vacancies::new(KeyRange::vnis(range));
    let mut bitmap = vec![0; range.capacity() as usize / 64];
    let mut rng = rng();
    for number in 0..range.capacity() {
        if rng.random_range(0..one_in) != 0 {
            view.hold(number);
            flip(&mut bitmap, number);
        }
    }
    (view, bitmap)
}

fn flip(bitmap: &mut [u64], number: u32) {
    bitmap[number as usize / 64] ^= 1 << (number % 64);
}

fn is_vacant(bitmap: &[u64], number: u32) -> bool {
    bitmap[number as usize / 64] >> (number % 64) & 1 == 0
}

/// Takes a vacant number and gives it back.
fn search(view: &mut Vacancies, rng: &mut SmallRng) -> u32 {
    let number = view.pick(rng, NOW).expect("a vacant number");
    assert!(view.vacate(number));
    number
}

/// The same by drawing numbers until one is vacant.
fn probe(bitmap: &mut [u64], rng: &mut SmallRng) -> u32 {
    loop {
        let number = rng.random_range(0..=Vni::MAX.number());
        if is_vacant(bitmap, number) {
            flip(bitmap, number);
            flip(bitmap, number);
            return black_box(number);
        }
    }
}

/// Finding one of the last vacant numbers, each with the same probability.
fn searching(report: &mut Report, options: &Options) {
    let (mut view, mut bitmap) = crowded(1000);
    let (mut ours, mut reference) = (rng(), rng());
    for _ in 0..SEARCHES {
        assert!(is_vacant(&bitmap, search(&mut view, &mut ours)));
        let number = probe(&mut bitmap, &mut reference);
        assert!(is_vacant(&bitmap, number));
    }
    let mut pair = Pair::default();
    for round in 0..options.samples(1000, 200) {
        pair.take(
            round,
            || time(|| black_box((0..SEARCHES).map(|_| search(&mut view, &mut ours)).max())),
            || time(|| black_box((0..SEARCHES).map(|_| probe(&mut bitmap, &mut reference)).max())),
        );
    }
    report.told_faster(
        format!("probing / `pick` of 24 bits, 99.9 % held, {SEARCHES} numbers"),
        &pair,
    );
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let mut rng = rng();
    let mut group = criterion.benchmark_group("ids");
    group.bench_function("identity", |bencher| bencher.iter(|| identity(&mut rng)));
    group.bench_function("formatted", |bencher| bencher.iter(|| formatted(&mut rng)));

    let ids = IdPermutation::new(black_box(KEY));
    group.bench_function("from_counters", |bencher| {
        bencher.iter(|| from_counters(&ids, black_box(7)));
    });
    group.bench_function("from_draws", |bencher| bencher.iter(|| from_draws(&mut rng)));

    let name = names().swap_remove(0);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| NameScheme::UNDERSCORED.parse(black_box(&name)));
    });
    group.bench_function("split", |bencher| bencher.iter(|| split(black_box(&name))));

    let (mut view, mut bitmap) = crowded(1000);
    group.bench_function("search", |bencher| bencher.iter(|| search(&mut view, &mut rng)));
    group.bench_function("probe", |bencher| bencher.iter(|| probe(&mut bitmap, &mut rng)));
    group.finish();
}

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}
