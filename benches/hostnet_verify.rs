//! Finding that nothing is to be done: for one VM among few and many others, and for all of them.
//!
//! ```text
//! cargo bench -p benches --bench hostnet_verify
//! ```

use benches::measure::{Options, Pair, time};
use benches::raw::Route;
use benches::report::Report;
use benches::world::{self, World, desired, forward, in_fresh_netns, port, vm};
use criterion::BenchmarkId;
use hostnet::{Attachment, Desired, Sandbox};

/// How many VMs there are.
const POPULATIONS: [u32; 2] = [10, 1000];
/// The VM that is looked after.
const ONE: u32 = 7;

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_verify");
    if options.wants_bar("verify") {
        in_fresh_netns(&sandbox, || bars(&mut report, &options, &sandbox));
    }
    if options.wants_group("verify") {
        in_fresh_netns(&sandbox, || compare(&mut options.criterion()));
    }
    report.finish();
}

/// A VM with a forward.
fn guest(n: u32) -> Attachment {
    vm(n).with_forward(forward(u16::try_from(20_000 + n).expect("a port")))
}

/// Makes these VMs be there.
fn populate(world: &World, present: u32) -> Desired {
    let all = desired((0..present).map(guest));
    world.ensure(&all);
    assert_eq!(world.ensure(&all), 0);
    all
}

/// Looks at everything, and finds nothing to do.
fn verify(world: &World, all: &Desired) {
    let plan = hostnet::plan(all, &world.observe()).expect("a plan");
    assert!(plan.is_empty(), "{plan}");
}

/// The whole look, and that a look after one VM costs the same whatever is beside it: the few and the many are there at
/// the same time, each in a network namespace of its own, and measured in alternation.
fn bars(report: &mut Report, options: &Options, sandbox: &Sandbox) {
    let [few, many] = POPULATIONS;
    let one = desired([guest(ONE)]);
    let (small, mut small_route) = (World::default(), Route::default());
    populate(&small, few);
    in_fresh_netns(sandbox, || {
        let (large, mut route) = (World::default(), Route::default());
        let all = populate(&large, many);

        let (mut beside_few, mut beside_many) = (Pair::default(), Pair::default());
        let mut flat = Pair::default();
        for round in 0..options.samples(400, 100) {
            flat.take(
                round,
                || time(|| assert_eq!(large.ensure(&one), 0)),
                || time(|| assert_eq!(small.ensure(&one), 0)),
            );
            beside_few
                .reference
                .push(time(|| assert!(small_route.find(&port(ONE).name).is_some())));
            beside_many.reference.push(time(|| assert!(route.find(&port(ONE).name).is_some())));
        }
        beside_few.ours = flat.reference.clone();
        beside_many.ours = flat.ours.clone();
        report.told(format!("no-op `ensure` of one of {few} / raw look at it"), &beside_few);
        report.told(format!("no-op `ensure` of one of {many} / raw look at it"), &beside_many);
        report.at_most(format!("no-op `ensure` of one, {many} / {few} present"), &flat, 1.2);

        let mut pair = Pair::default();
        for round in 0..options.samples(40, 10) {
            pair.take(
                round,
                || time(|| verify(&large, &all)),
                || time(|| assert!(route.dump().len() > many as usize)),
            );
        }
        report.at_most(format!("`observe` and `plan` of {many} / raw dump"), &pair, 2.0);
    });
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let (world, mut route) = (World::default(), Route::default());
    let one = desired([guest(ONE)]);
    for present in POPULATIONS {
        let all = populate(&world, present);
        let mut group = criterion.benchmark_group("verify");
        group.bench_function(BenchmarkId::new("one", present), |bencher| {
            bencher.iter(|| assert_eq!(world.ensure(&one), 0));
        });
        group.bench_function(BenchmarkId::new("all", present), |bencher| {
            bencher.iter(|| verify(&world, &all));
        });
        group.bench_function(BenchmarkId::new("raw_dump", present), |bencher| {
            bencher.iter(|| assert!(route.dump().len() > present as usize));
        });
        group.finish();
    }
}
