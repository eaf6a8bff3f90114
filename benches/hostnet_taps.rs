//! A TAP created, tagged, on the bridge and up: by hostnet, by the same system calls without anything around them, and
//! by three `ip` processes.
//!
//! ```text
//! cargo bench -p benches --bench hostnet_taps
//! cargo bench -p benches --bench hostnet_taps -- --quick bars
//! ```

use benches::measure::{Options, Pair, Samples, time};
use benches::processes;
use benches::raw::{Route, Via};
use benches::report::Report;
use benches::world::{
    self, BRIDGE, World, address, desired, in_fresh_netns, port, routed_desired, tap_name, vm,
};
use core::ops::Range;
use core::time::Duration;
use criterion::BenchmarkId;
use hostnet::{Desired, Plan};
use std::fmt::Write as _;

/// How many VMs are there while one more is made. A bridge takes 1,023 ports.
const POPULATIONS: [u32; 2] = [200, 1000];
/// How many are made before they are cleared away again.
const ROUND: u32 = 10;

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_taps");
    for present in POPULATIONS {
        if options.wants_bar("create") {
            in_fresh_netns(&sandbox, || bars(&mut report, &options, present));
        }
    }
    if options.wants_bar("routed") {
        in_fresh_netns(&sandbox, || routed(&mut report, &options));
    }
    if options.wants_group("taps") {
        for present in POPULATIONS {
            in_fresh_netns(&sandbox, || compare(&mut options.criterion(), present));
        }
    }
    report.finish();
}

/// One way to make the TAP of this place in a round.
type Create = fn(&mut Host, usize);

/// A bridge with VMs on it, and room for a few more.
struct Host {
    world: World,
    route: Route,
    bridge: u32,
    /// The numbers of the VMs that come and go.
    ours: Range<u32>,
    reference: Range<u32>,
    wishes: Vec<Desired>,
    plans: Vec<Plan>,
}

impl Host {
    fn new(present: u32) -> Self {
        let world = World::default();
        let mut route = Route::default();
        world.ensure(&desired([]));
        let bridge = route.index(BRIDGE);
        for n in 0..present {
            create_raw(&mut route, bridge, n);
        }
        let ours = present..present + ROUND;
        let wishes: Vec<_> = ours.clone().map(|n| desired([vm(n)])).collect();
        let plans = wishes.iter().map(|wish| world.plan(wish)).collect();
        let reference = ours.end..ours.end + ROUND;
        Self { world, route, bridge, ours, reference, wishes, plans }
    }

    fn apply(&mut self, at: usize) {
        self.world.apply(&self.plans[at]);
    }

    fn ensure(&mut self, at: usize) {
        assert_eq!(self.world.ensure(&self.wishes[at]), self.plans[at].len());
    }

    fn create_raw(&mut self, at: usize) {
        let n = self.ours.start + u32::try_from(at).expect("a small number");
        create_raw(&mut self.route, self.bridge, n);
    }

    /// Takes away what came, after a look at whether it is there.
    fn clear(&mut self, vms: Range<u32>) {
        let links = self.route.dump();
        for n in vms.clone() {
            let port = port(n);
            let there = links.iter().find(|link| link.name == port.name);
            let link = there.unwrap_or_else(|| panic!("{} is not there", port.name));
            assert_eq!(link.master, Some(self.bridge), "{}", port.name);
            self.route.set_group(link.index, 77);
        }
        if !vms.is_empty() {
            self.route.delete_group(77);
        }
    }
}

fn create_raw(route: &mut Route, bridge: u32, n: u32) {
    let port = port(n);
    route.create_tap(&port);
    route.attach(&port.tag, bridge);
}

/// What one types without hostnet, less `sudo`.
fn create_by_processes(name: &str) {
    processes::ip(&format!("tuntap add {name} mode tap"));
    processes::ip(&format!("link set {name} master {BRIDGE}"));
    processes::ip(&format!("link set {name} up"));
}

fn bars(report: &mut Report, options: &Options, present: u32) {
    let mut host = Host::new(present);
    let rounds = options.samples(20, 5);

    let (mut applied, mut ensured) = (Pair::default(), Pair::default());
    for _ in 0..rounds {
        for (round, plan) in host.plans.iter().enumerate() {
            let n = host.reference.start + u32::try_from(round).expect("a small number");
            let (world, route) = (&host.world, &mut host.route);
            applied.take(
                round,
                || time(|| world.apply(plan)),
                || time(|| create_raw(route, host.bridge, n)),
            );
        }
        host.clear(host.ours.start..host.reference.end);
        for (round, wish) in host.wishes.iter().enumerate() {
            let n = host.reference.start + u32::try_from(round).expect("a small number");
            let (world, route) = (&host.world, &mut host.route);
            ensured.take(
                round,
                || time(|| world.ensure(wish)),
                || time(|| create_raw(route, host.bridge, n)),
            );
        }
        host.clear(host.ours.start..host.reference.end);
    }
    report.at_most(format!("TAP by `apply` / raw, {present} present"), &applied, 1.15);
    // With a look first at what is there, which the floor does without.
    report.told(format!("TAP by `ensure` / raw, {present} present"), &ensured);

    if processes::has("ip") {
        against_ip(report, options, &mut host, present);
    }
}

fn against_ip(report: &mut Report, options: &Options, host: &mut Host, present: u32) {
    // What the kernel itself takes bounds what anybody can reach here.
    let ways: [(&str, Option<f64>, Create); 3] = [
        ("TAP by `apply`", Some(8.0), Host::apply),
        ("TAP by `ensure`", None, Host::ensure),
        ("raw TAP", None, Host::create_raw),
    ];
    for (way, bar, create) in ways {
        let mut pair = Pair::default();
        for _ in 0..options.samples(3, 1) {
            for (round, n) in host.reference.clone().enumerate() {
                let name = tap_name(n);
                pair.take(
                    round,
                    || time(|| create(host, round)),
                    || time(|| create_by_processes(&name)),
                );
            }
            host.clear(host.ours.start..host.reference.end);
        }
        let what = format!("three `ip` processes / {way}, {present} present");
        match bar {
            Some(bar) => report.faster(what, &pair, bar),
            None => report.told_faster(what, &pair),
        }
    }

    // One process for many is what one would do next; it tags nothing and survives no crash.
    let mut pair = Pair::default();
    let lines = host.reference.clone().fold(String::new(), |mut lines, n| {
        let name = tap_name(n);
        let _ = writeln!(lines, "tuntap add {name} mode tap\nlink set {name} master {BRIDGE} up");
        lines
    });
    for round in 0..options.samples(5, 2) {
        let plans = &host.plans;
        pair.take(
            round,
            || time(|| plans.iter().for_each(|plan| host.world.apply(plan))) / ROUND,
            || time(|| processes::ip_batch(&lines)) / ROUND,
        );
        host.clear(host.ours.start..host.reference.end);
    }
    report
        .told_faster(format!("`ip -batch` of {ROUND} / TAPs by `apply`, {present} present"), &pair);
}

/// VMs on a network without a bridge, more and more of them; every other one is the floor's, by which one sees what of
/// the growth is the kernel's own.
fn routed(report: &mut Report, options: &Options) {
    let (world, mut route) = (World::default(), Route::default());
    world.ensure(&routed_desired([]));
    let count = u32::try_from(options.samples(4000, 1000)).expect("a small number");
    let (mut samples, mut raw) = (Samples::default(), Samples::default());
    for n in (0..count).step_by(2) {
        let wish = routed_desired([vm(n)]);
        samples.push(time(|| world.ensure(&wish)));
        let port = port(n + 1);
        raw.push(time(|| {
            route.create_tap(&port);
            route.up(&port.name);
            let index = route.index(&port.name);
            route.add_route((address(n + 1), 32), Via::Device(index));
        }));
    }
    assert_eq!(world.ensure(&routed_desired([vm(0), vm(count - 2)])), 0);
    let (first, last) = samples.ends(100);
    report.flat(format!("routed TAP, last 100 / first 100 of {count}"), &first, &last, 1.2);
    let (raw_first, raw_last) = raw.ends(100);
    let growth = Pair { ours: raw_last.clone(), reference: raw_first.clone() };
    report.told(format!("raw routed TAP, last 100 / first 100 of {count}"), &growth);
    for (which, ours, reference) in [("first", first, raw_first), ("last", last, raw_last)] {
        let pair = Pair { ours, reference };
        report.told(format!("routed TAP by `ensure` / raw, {which} 100 of {count}"), &pair);
    }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion, present: u32) {
    let mut host = Host::new(present);
    let mut group = criterion.benchmark_group("taps");
    group.sampling_mode(criterion::SamplingMode::Flat);
    let mut bench = |name: &str, create: Create| {
        group.bench_function(BenchmarkId::new(name, present), |bencher| {
            bencher.iter_custom(|iterations| in_rounds(&mut host, iterations, create));
        });
    };
    bench("apply", Host::apply);
    bench("ensure", Host::ensure);
    bench("raw", Host::create_raw);
    if processes::has("ip") {
        bench("ip", |host, at| {
            let n = host.ours.start + u32::try_from(at).expect("a small number");
            create_by_processes(&tap_name(n));
        });
    }
    group.finish();
}

/// Makes so many TAPs, and takes them away, untimed, as often as there is no room for more.
fn in_rounds(host: &mut Host, iterations: u64, create: Create) -> Duration {
    let (mut left, mut total) = (iterations, Duration::ZERO);
    while left > 0 {
        let count = left.min(ROUND.into());
        left -= count;
        let count = u32::try_from(count).expect("a round");
        for at in 0..count as usize {
            total += time(|| create(host, at));
        }
        host.clear(host.ours.start..host.ours.start + count);
    }
    total
}
