//! The same work by the other Rust crates that do some of it. They are large, so they are asked for:
//!
//! ```text
//! cargo bench -p benches --features peers --bench hostnet_peers
//! ```
//!
//! Neither tags what it makes, checks what is there, or can undo it; what each leaves out stands where it is measured.

use benches::measure::{Options, Pair, time};
use benches::raw::Route as Floor;
use benches::report::Report;
use benches::world::{self, BRIDGE, World, address, desired, in_fresh_netns, routed_desired, vm};
use fcnet::backend::TokioBackend;
use fcnet_types::FirecrackerNetworkOperation::Add;
use fcnet_types::{FirecrackerIpStack, FirecrackerNetwork, FirecrackerNetworkType};
use hostnet::Sandbox;
use nlink::tuntap::{Mode, TunTap};
use nlink::{Connection, Route};
use tokio::runtime::{Builder, Runtime};

/// How many VMs are there before the first is measured.
const POPULATIONS: [u32; 2] = [200, 900];
/// How many `fcnet` makes, whose rules are one after another.
const NETWORKS: u32 = 200;

fn main() {
    let sandbox = world::enter();
    let options = Options::from_args();
    let mut report = Report::new("hostnet_peers");
    if options.wants_bar("nlink") {
        for present in POPULATIONS {
            in_fresh_netns(&sandbox, || against_nlink(&mut report, &options, present));
        }
    }
    if options.wants_bar("fcnet") {
        in_fresh_netns(&sandbox, || against_fcnet(&mut report, &options, &sandbox));
    }
    report.finish();
}

/// With drivers, which both peers need.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A TAP on a bridge, up. `nlink` gives it no MAC, MTU or group, does not isolate it, and is not asked for rules.
fn against_nlink(report: &mut Report, options: &Options, present: u32) {
    let (world, mut floor, runtime) = (World::default(), Floor::default(), runtime());
    world.ensure(&desired((0..present).map(vm)));
    let bridge = floor.index(BRIDGE);
    let connection = {
        let _entered = runtime.enter();
        Connection::<Route>::new().expect("a connection")
    };
    let by_nlink = |name: &str| {
        let tap = TunTap::builder().name(name).mode(Mode::Tap);
        tap.create_persistent().expect("a TAP");
        runtime.block_on(async {
            connection.set_link_master(name, BRIDGE).await.expect("on the bridge");
            connection.set_link_up(name).await.expect("up");
        });
    };

    let mut pair = Pair::default();
    let rounds = options.samples(50, 20);
    for n in 0..u32::try_from(rounds).expect("a small number") {
        let plan = world.plan(&desired([vm(present + n)]));
        let name = format!("peer_{n}");
        pair.take(n as usize, || time(|| world.apply(&plan)), || time(|| by_nlink(&name)));
    }
    let on_bridge = floor.dump().iter().filter(|link| link.master == Some(bridge)).count();
    assert_eq!(on_bridge, present as usize + 2 * rounds, "TAPs on the bridge");
    report.told_faster(format!("`nlink` / TAP by `apply`, {present} present"), &pair);
}

/// A TAP with an address of the host's on it, and masquerading for its guest. `fcnet` asks the program `nft` for all rules
/// and adds two for every guest; it stops at a rule set with hostnet's table in it, so each has a namespace of its own.
fn against_fcnet(report: &mut Report, options: &Options, sandbox: &Sandbox) {
    let world = World::default();
    world.ensure(&routed_desired([]));
    in_fresh_netns(sandbox, || {
        let runtime = runtime();
        let mut floor = Floor::default();
        let count = u32::try_from(options.samples(NETWORKS as usize, 40)).expect("a small number");
        let (mut first, mut last) = (Pair::default(), Pair::default());
        for n in 0..count {
            let network = FirecrackerNetwork {
                nft_path: None,
                ip_stack: FirecrackerIpStack::V4,
                iface_name: "eth0".into(),
                tap_name: format!("peer_{n}"),
                tap_ip: format!("{}/30", address(4 * n + 3)).parse().expect("an address"),
                guest_ip: format!("{}/30", address(4 * n + 4)).parse().expect("an address"),
                network_type: FirecrackerNetworkType::Simple,
            };
            let wish = routed_desired([vm(n)]);
            let pair = if n < count / 2 { &mut first } else { &mut last };
            let by_fcnet = || runtime.block_on(fcnet::run::<TokioBackend>(&network, Add));
            pair.take(
                n as usize,
                || time(|| assert_ne!(world.ensure(&wish), 0)),
                || time(|| by_fcnet().expect("a network")),
            );
            assert!(floor.find(&network.tap_name).is_some(), "{}", network.tap_name);
        }
        let half = count / 2;
        let what = |which| format!("`fcnet` / routed TAP by `ensure`, {which} {half} of {count}");
        report.told_faster(what("first"), &first);
        report.told_faster(what("last"), &last);
    });
}
