//! Port forwards added and removed while there are few and many others: by hostnet, by one element in one transaction
//! on a raw socket, and by the `nft` program; and what a forward costs those who connect through it.
//!
//! ```text
//! cargo bench -p benches --bench hostnet_forwards
//! cargo bench -p benches --bench hostnet_forwards -- connect
//! ```

use benches::measure::{Options, Pair, Samples, time};
use benches::processes;
use benches::raw::{Namespace, Nft, Route, Via};
use benches::report::Report;
use benches::world::{
    self, BRIDGE, TABLE, World, address, desired, element, forward, in_fresh_netns, vm,
};
use core::ops::Range;
use core::time::Duration;
use criterion::BenchmarkId;
use hostnet::{Attachment, Desired, Element, Plan};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;

/// How many forwards others have.
const POPULATIONS: [u16; 2] = [10, 10_000];
/// The ports of the others, and of the one that comes and goes.
const OTHERS: u16 = 20_000;
const OURS: u16 = 40_001;
const REFERENCE: u16 = 40_002;
/// How many changes are made in a row by either side.
const BLOCK: usize = 10;
/// How many forwards come by one plan.
const MANY: u16 = 100;
const MANY_PORTS: Range<u16> = 41_000..41_000 + MANY;

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_forwards");
    if options.wants_bar("change") {
        in_fresh_netns(&sandbox, || change(&mut report, &options));
    }
    if options.wants_bar("connect") {
        in_fresh_netns(&sandbox, || connect(&mut report, &options));
    }
    if options.wants_group("forwards") {
        in_fresh_netns(&sandbox, || compare(&mut options.criterion()));
    }
    report.finish();
}

/// A VM with very many forwards, which stands for many VMs with one.
fn others(count: u16) -> Attachment {
    (OTHERS..OTHERS + count).fold(vm(0), |vm, port| vm.with_forward(forward(port)))
}

/// A host with other people's forwards, and a VM whose forward comes and goes.
struct Host {
    world: World,
    nft: Nft,
    with: Desired,
    without: Desired,
    add: Plan,
    remove: Plan,
}

impl Host {
    fn new() -> Self {
        let world = World::default();
        let (with, without) = (desired([vm(1).with_forward(forward(OURS))]), desired([vm(1)]));
        world.ensure(&without);
        let add = world.plan(&with);
        world.apply(&add);
        let remove = world.plan(&without);
        world.apply(&remove);
        // One is the element; forwarding is on already, and stays.
        let remove_again = world.plan(&without);
        assert!(remove_again.is_empty(), "{remove_again}");
        let add = world.plan(&with);
        assert_eq!((add.len(), remove.len()), (1, 1), "{add}{remove}");
        Self { world, nft: Nft::new(TABLE), with, without, add, remove }
    }

    fn populate(&self, count: u16) {
        self.world.ensure(&desired([others(count)]));
        assert_eq!(self.forwards(), usize::from(count));
    }

    /// Adding many forwards at once, and removing them.
    fn plans_of_many(&self) -> (Plan, Plan) {
        let many = (0..MANY).fold(vm(1), |vm, n| vm.with_forward(forward(42_000 + n)));
        let add = self.world.plan(&desired([many]));
        self.world.apply(&add);
        let remove = self.world.plan(&self.without);
        self.world.apply(&remove);
        assert_eq!((add.len(), remove.len()), (usize::from(MANY), usize::from(MANY)));
        (add, remove)
    }

    fn forwards(&self) -> usize {
        let is_forward = |element: &&Element| matches!(element, Element::Forward { .. });
        let observed = self.world.observe();
        observed.table.elements().map(|(element, _)| element).filter(is_forward).count()
    }
}

/// Adding and removing.
#[derive(Default)]
struct Change {
    add: Pair,
    remove: Pair,
}

impl Change {
    fn take(
        &mut self,
        (rounds, in_a_row): (usize, usize),
        host: &Host,
        (add, remove): (impl Fn(&World, &Host), impl Fn(&World, &Host)),
        (add_reference, remove_reference): (impl Fn(&mut Nft), impl Fn(&mut Nft)),
    ) {
        let (world, mut nft) = (&host.world, Nft::new(TABLE));
        for block in 0..rounds / in_a_row {
            let sides = if block.is_multiple_of(2) { [true, false] } else { [false, true] };
            for is_ours in sides {
                // What hostnet knows is good for as long as nobody else changes a rule.
                if is_ours && in_a_row > 1 {
                    assert!(!world.observe().links.is_empty());
                }
                for _ in 0..in_a_row {
                    if is_ours {
                        self.add.ours.push(time(|| add(world, host)));
                        self.remove.ours.push(time(|| remove(world, host)));
                    } else {
                        self.add.reference.push(time(|| add_reference(&mut nft)));
                        self.remove.reference.push(time(|| remove_reference(&mut nft)));
                    }
                }
            }
        }
    }
}

fn change(report: &mut Report, options: &Options) {
    let mut host = Host::new();
    let mut at = Vec::new();
    for present in POPULATIONS {
        host.populate(present);
        at.push(change_among(report, options, &mut host, present));
    }
    let [few, many] = at.as_slice() else { unreachable!("two populations") };
    for (what, few, many) in [
        ("added by `apply`", &few.0.add, &many.0.add),
        ("removed by `apply`", &few.0.remove, &many.0.remove),
        ("added by `ensure`", &few.1.add, &many.1.add),
        ("removed by `ensure`", &few.1.remove, &many.1.remove),
    ] {
        let [few_others, many_others] = POPULATIONS;
        let what = format!("forward {what}, {many_others} / {few_others} present");
        report.flat(what, &few.ours, &many.ours, 1.2);
    }
}

/// By a plan that was made before, and by saying what is wanted.
fn change_among(
    report: &mut Report,
    options: &Options,
    host: &mut Host,
    present: u16,
) -> (Change, Change) {
    // Another VM's, so that it is nothing that `ensure` of ours would tidy away.
    let wanted = element(2, REFERENCE);
    let raw = (|nft: &mut Nft| nft.add(&wanted), |nft: &mut Nft| nft.remove(&wanted));

    let mut applied = Change::default();
    let apply = (
        |world: &World, host: &Host| world.apply(&host.add),
        |world: &World, host: &Host| world.apply(&host.remove),
    );
    applied.take((options.samples(1000, 200), BLOCK), host, apply, raw);
    report.at_most(format!("forward added by `apply` / raw, {present} present"), &applied.add, 3.0);
    report.at_most(
        format!("forward removed by `apply` / raw, {present} present"),
        &applied.remove,
        3.0,
    );

    // Many in one plan: what is left when the way to the namespace's thread and back is shared.
    let mut many = Pair::default();
    let (add, remove) = host.plans_of_many();
    for round in 0..options.samples(20, 6) {
        let Host { world, nft, .. } = host;
        many.take(
            round,
            || time(|| world.apply(&add)) / MANY.into(),
            || time(|| MANY_PORTS.for_each(|port| nft.add(&element(2, port)))) / MANY.into(),
        );
        world.apply(&remove);
        MANY_PORTS.for_each(|port| nft.remove(&element(2, port)));
    }
    let what = format!("each of {MANY} forwards added by one `apply` / raw, {present} present");
    report.at_most(what, &many, 3.0);
    let mut hop = Pair::default();
    let nothing = host.world.plan(&host.without);
    for round in 0..options.samples(1000, 200) {
        let Host { world, nft, .. } = host;
        hop.take(round, || time(|| world.apply(&nothing)), || time(|| nft.add(&wanted)));
        nft.remove(&wanted);
    }
    report.told(format!("`apply` of an empty plan / forward added raw, {present} present"), &hop);

    let mut ensured = Change::default();
    let ensure = (
        |world: &World, host: &Host| assert_eq!(world.ensure(&host.with), 1),
        |world: &World, host: &Host| assert_eq!(world.ensure(&host.without), 1),
    );
    // Nobody else changes a rule in between: that is another case, and told on its own.
    let quiet = (|_: &mut Nft| {}, |_: &mut Nft| {});
    ensured.take((options.samples(200, 50), BLOCK), host, ensure, quiet);
    let mut disturbed = Change::default();
    disturbed.take((options.samples(30, 10), 1), host, ensure, raw);
    let what = format!("forward added by `ensure` after somebody else's / raw, {present} present");
    report.told(what, &disturbed.add);

    if processes::has("nft") {
        let to = wanted.to;
        let target = format!("{} . {}", to.ip(), to.port());
        let words = |verb: &str, target: &str| {
            format!("{verb} element inet {TABLE} forward4 {{ tcp . {REFERENCE}{target} }}\n")
        };
        let (add, remove) = (words("add", &format!(" : {target}")), words("delete", ""));
        let mut programs = Change::default();
        let nft = (|_: &mut Nft| processes::nft(&add), |_: &mut Nft| processes::nft(&remove));
        programs.take((options.samples(30, 10), BLOCK), host, apply, nft);
        let [added, removed] =
            ["added", "removed"].map(|what| format!("`nft` / forward {what}, {present} present"));
        report.faster(added, &programs.add, 100.0);
        report.faster(removed, &programs.remove, 100.0);
    }
    assert_eq!(host.forwards(), usize::from(present));
    (applied, ensured)
}

/// A listener behind a host, and a client before it, each in a namespace of its own.
struct Path {
    client: Namespace,
    listener: TcpListener,
}

/// The host's address on the client's side, and the client's.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

impl Path {
    /// Through the host in the calling thread's namespace, which has a bridge already.
    fn new() -> Self {
        let mut route = Route::default();
        let guest = machine("guest0", (address(0), 16), GATEWAY);
        let (bridge, port) = (route.index(BRIDGE), route.index("guest0"));
        route.attach_index(port, bridge);
        let client = machine("out0", (CLIENT, 24), HOST);
        let out = route.index("out0");
        route.up("out0");
        route.add_address(out, HOST, 24);
        // The listener keeps the guest's namespace.
        let listen = || TcpListener::bind((address(0), 22)).expect("a port to listen on");
        Self { client, listener: guest.run(listen) }
    }

    /// Connects so many times in a row, from the client's namespace.
    fn connect(&self, to: SocketAddrV4, times: usize) -> Vec<Duration> {
        self.client.enter();
        let connect = || {
            let mut stream = None;
            let took = time(|| stream = TcpStream::connect(to).ok());
            let stream = stream.expect("a connection");
            let (_, from) = self.listener.accept().expect("a connection accepted");
            // A forward leaves the client's address as it is.
            assert_eq!(from.ip(), CLIENT);
            // Closed hard, so that no port is kept for a minute.
            let hard = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &hard).expect("a socket option");
            took
        };
        (0..times).map(|_| connect()).collect()
    }
}

/// A machine with an address and a router, on a cable whose other end is the device of this name in the calling
/// thread's namespace.
fn machine(cable: &str, (address, len): (Ipv4Addr, u8), router: Ipv4Addr) -> Namespace {
    let (netns, host) = (Namespace::fresh(), Namespace::current());
    let [_, _, high, low] = address.octets();
    netns.run(|| {
        let mut inside = Route::default();
        inside.up("lo");
        let macs = [0xAA, 0xFE].map(|first| [first, 0xFC, 0xEE, 0, high, low]);
        inside.create_veth(("eth0", macs[0]), (cable, macs[1]), host.as_fd());
        let eth0 = inside.index("eth0");
        inside.add_address(eth0, address, len);
        inside.add_route((Ipv4Addr::UNSPECIFIED, 0), Via::Router(router));
    });
    netns
}

fn connect(report: &mut Report, options: &Options) {
    const TOGETHER: usize = 10;
    let [_, count] = POPULATIONS;
    let world = World::default();
    world.ensure(&desired([others(count)]));
    let forwarded = Path::new();
    // Another host, with the same devices and without a firewall.
    let plain_host = Namespace::fresh();
    let plain = plain_host.run(|| {
        let mut route = Route::default();
        route.up("lo");
        route.create_bridge(BRIDGE);
        let bridge = route.index(BRIDGE);
        route.add_address(bridge, GATEWAY, 16);
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a router");
        Path::new()
    });

    let direct = SocketAddrV4::new(address(0), 22);
    let own = Namespace::current();
    let (mut pair, mut untranslated) = (Pair::default(), Samples::default());
    for round in 0..options.samples(300, 60) {
        let port = OTHERS + u16::try_from(round * 33 % usize::from(count)).expect("a port");
        let through = forwarded.connect(SocketAddrV4::new(HOST, port), TOGETHER);
        let without = plain.connect(direct, TOGETHER);
        let beside = forwarded.connect(direct, TOGETHER);
        // The first ones ask for MACs and fill caches.
        if round > 2 {
            pair.ours.extend(through);
            pair.reference.extend(without);
            untranslated.extend(beside);
        }
    }
    own.enter();
    report.at_most(format!("TCP connect through {count} forwards / without NAT"), &pair, 1.3);
    let beside = Pair { ours: untranslated, reference: pair.reference };
    report.told("TCP connect beside the forwards / without NAT", &beside);
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let mut host = Host::new();
    for present in POPULATIONS {
        host.populate(present);
        let mut group = criterion.benchmark_group("forwards");
        group.bench_function(BenchmarkId::new("apply", present), |bencher| {
            bencher.iter(|| {
                host.world.apply(&host.add);
                host.world.apply(&host.remove);
            });
        });
        group.bench_function(BenchmarkId::new("ensure", present), |bencher| {
            bencher.iter(|| {
                assert_eq!(host.world.ensure(&host.with), 1);
                assert_eq!(host.world.ensure(&host.without), 1);
            });
        });
        let wanted = element(2, REFERENCE);
        group.bench_function(BenchmarkId::new("raw", present), |bencher| {
            bencher.iter(|| {
                host.nft.add(&wanted);
                host.nft.remove(&wanted);
            });
        });
        group.finish();
    }
}
