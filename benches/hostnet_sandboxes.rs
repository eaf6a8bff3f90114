//! A VM with a network namespace of its own: the namespace, a TAP in it, and a veth pair that leads to the bridge.
//!
//! ```text
//! cargo bench -p benches --bench hostnet_sandboxes
//! ```

use benches::measure::{Options, Pair, Samples, time};
use benches::raw::{Namespace, Nft, Port, Route, Via, create_gate};
use benches::report::{Direction, Report};
use benches::world::{
    self, BRIDGE, TABLE, World, desired, element, in_fresh_netns, port, sandboxed,
};
use core::time::Duration;
use hostnet::{Netns, Role};
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

/// The address of every TAP: each is alone in its namespace.
const TAP: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 1);
/// The address of every guest.
const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_sandboxes");
    if options.wants_bar("namespace") {
        in_fresh_netns(&sandbox, || namespaces(&mut report, &options));
    }
    if options.wants_bar("whole") {
        in_fresh_netns(&sandbox, || whole(&mut report, &options));
    }
    if options.wants_bar("floor") {
        in_fresh_netns(&sandbox, || floor(&mut report, &options));
    }
    if options.wants_group("sandboxes") {
        in_fresh_netns(&sandbox, || compare(&mut options.criterion()));
    }
    report.finish();
}

/// A named namespace with `lo` up, by the crate and by its system calls.
fn namespaces(report: &mut Report, options: &Options) {
    let mut pair = Pair::default();
    let mut pinned = Vec::new();
    for round in 0..options.samples(300, 50) {
        let name = format!("ns_vm_{round:08x}");
        pair.take(
            round,
            || time(|| Netns::create(&name).expect("a namespace")),
            || time(|| pinned.push(Namespace::pinned(&format!("raw_{round}"), bring_up_loopback))),
        );
        assert!(Netns::named(&name).is_ok());
        Netns::remove(&name).expect("a namespace removed");
        pinned.clear();
    }
    world::wait_for_namespaces();
    report.at_most("namespace / raw", &pair, 1.3);
}

fn bring_up_loopback() {
    Route::default().up("lo");
}

/// Whole sandboxes, by hostnet and by the floor in alternation, while there are more and more of them.
fn whole(report: &mut Report, options: &Options) {
    let mut host = Host::new();
    let count = u32::try_from(options.samples(500, 125)).expect("a small number");
    let mut pair = Pair::default();
    for n in 0..count {
        let wish = desired([sandboxed(n)]);
        let ours = |host: &Host| time(|| host.world.ensure(&wish));
        let raw = |host: &mut Host| time(|| host.create_raw(20_000 + n));
        if n % 2 == 0 {
            pair.ours.push(ours(&host));
            pair.reference.push(raw(&mut host));
        } else {
            pair.reference.push(raw(&mut host));
            pair.ours.push(ours(&host));
        }
    }
    host.check(2 * count);
    assert_eq!(host.world.ensure(&desired([sandboxed(0), sandboxed(count - 1)])), 0);
    let last = Pair { ours: pair.ours.ends(100).1, reference: pair.reference.ends(100).1 };
    report.at_most(format!("sandbox by `ensure` / raw, last 100 of {}", 2 * count), &last, 1.3);
    let (p50, p99) = (last.ours.median(), last.ours.percentile(99));
    let ratio = p99.as_secs_f64() / p50.as_secs_f64();
    // No bar: the floor's own spread is as wide, since the kernel cleans up after the last case all the while.
    let bar = (Direction::AtMost, None);
    report.add("sandbox by `ensure`, p99 / p50", ratio, bar, last.ours.len(), (p99, p50));
    let removed = time(|| host.world.remove(0..count)) / count;
    report.told(
        format!("each of {count} sandboxes removed together / made by `ensure`"),
        &Pair { ours: [removed].into_iter().collect(), reference: last.ours },
    );
    host.check(count);
    host.clear();
}

/// What the kernel takes for a whole sandbox, while there are more and more of them.
fn floor(report: &mut Report, options: &Options) {
    let mut host = Host::new();
    let count = u32::try_from(options.samples(1000, 250)).expect("a small number");
    let mut samples = Samples::default();
    for n in 0..count {
        samples.push(time(|| host.create_raw(n)));
    }
    host.check(count);
    let (first, last) = samples.ends(100);
    let pair = Pair { ours: last.clone(), reference: first };
    report.told(format!("raw sandbox, last 100 / first 100 of {count}"), &pair);
    let (p50, p99) = (last.median(), last.percentile(99));
    let ratio = p99.as_secs_f64() / p50.as_secs_f64();
    let what = format!("raw sandbox, p99 / p50 of the last 100 of {count}");
    report.add(what, ratio, (Direction::AtMost, None), last.len(), (p99, p50));
    host.clear();
}

/// A host with a bridge, a table, and sandboxes.
struct Host {
    route: Route,
    nft: Nft,
    bridge: u32,
    own: Namespace,
    sandboxes: Vec<Namespace>,
    world: World,
}

impl Host {
    fn new() -> Self {
        let world = World::default();
        world.ensure(&desired([]));
        let mut route = Route::default();
        let bridge = route.index(BRIDGE);
        let (nft, own) = (Nft::new(TABLE), Namespace::current());
        Self { route, nft, bridge, own, sandboxes: Vec::new(), world }
    }

    /// A namespace with `lo`, a TAP and a veth pair, both ends tagged, addresses, a default route, a place on the bridge
    /// and one forward. Everything is born where it is needed; nothing is moved.
    fn create_raw(&mut self, n: u32) {
        let (tap, outer) = (port(n), port_named(n, "vh", 0xFE));
        let (inner, peer) = (port_named(n, "vn", 0xAA), outer.clone());
        let tag = port_named(n, "netns", 0).tag;
        let own = self.own.as_fd();
        let netns = Namespace::pinned(&format!("ns_vm_a1b2{n:04x}"), move || {
            let mut inside = Route::default();
            inside.up("lo");
            inside.tag("lo", &tag);
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a router");
            inside.create_tap(&tap);
            let index = inside.index(&tap.name);
            inside.add_address(index, TAP, 30);
            inside.up(&tap.name);
            inside.create_veth((&inner.name, inner.mac), (&peer.name, peer.mac), own);
            inside.adopt(&inner);
            let index = inside.index(&inner.name);
            inside.add_address(index, world::address(n), 16);
            inside.add_route((Ipv4Addr::UNSPECIFIED, 0), Via::Router(GATEWAY));
            create_gate(TABLE, &inner.name, GUEST);
        });
        self.sandboxes.push(netns);
        self.route.adopt(&outer);
        self.nft.add(&element(n, 10_000 + u16::try_from(n).expect("a port")));
        self.route.attach(&outer.tag, self.bridge);
    }

    fn check(&mut self, count: u32) {
        let ports = self.route.dump().into_iter().filter(|link| link.master == Some(self.bridge));
        assert_eq!(ports.count(), count as usize);
    }

    /// Takes the sandboxes away and waits until the kernel has done so.
    fn clear(&mut self) {
        self.route.clear(&[BRIDGE]);
        self.sandboxes.clear();
        world::wait_for_namespaces();
    }
}

fn port_named(n: u32, prefix: &str, first: u8) -> Port {
    let Port { name, mut mac, .. } = port(n);
    mac[0] = first;
    let role = match prefix {
        "vh" => Role::HostEnd,
        "vn" => Role::InnerEnd,
        _ => Role::Namespace,
    };
    Port { name: name.replace("tap", prefix), mac, tag: world::tag(n, role) }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let mut group = criterion.benchmark_group("sandboxes");
    group.sampling_mode(criterion::SamplingMode::Flat);
    group.bench_function("namespace", |bencher| {
        bencher.iter_custom(|iterations| {
            let create = |n| {
                let name = format!("ns_vm_{n:08x}");
                let took = time(|| Netns::create(&name).expect("a namespace"));
                Netns::remove(&name).expect("a namespace removed");
                took
            };
            (0..iterations).map(create).sum::<Duration>()
        });
    });
    group.finish();
}
