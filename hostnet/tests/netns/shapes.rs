//! Real packets through every shape of network: a namespace of one's own, routes, several bridges, several hosts.

use crate::guests::{Machine, any, ask_tcp, at, in_namespace, is_closed};
use crate::world::{
    Outcome, block_on, id, lan, owned, port, snapshot, subjects, tests, without_bridge_filter,
};
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Host, Namespace, NamespaceName, Netns,
    Network, NetworkName, Owner, Protocol, Rate, Vxlan,
};
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

tests![
    a_vm_in_its_own_namespace_is_reached_and_gets_out,
    a_namespace_is_mended_and_removed,
    a_routed_network_carries_everything,
    shards_are_one_network,
    vxlan_carries_its_vni_and_no_other,
    rates_are_kept_in_both_directions,
    large_packets_pass_from_end_to_end,
    every_printed_plan_does_the_same_in_a_shell,
];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn name(text: &str) -> DeviceName {
    DeviceName::new(text).expect("a valid name")
}

pub(crate) fn bridged() -> Network {
    let network = Network::bridged(lan(), name("br0"), "172.16.0.1/16".parse().expect("a prefix"));
    let both = network.and_then(|n| n.with_gateway("fd00:16::1/64".parse().expect("a prefix")));
    both.expect("a network").with_masquerade()
}

pub(crate) fn routed() -> Network {
    let network = Network::routed(lan(), name("lan0"), "172.16.0.1/16".parse().expect("a prefix"));
    let both = network.and_then(|n| n.with_gateway("fd00:16::1/64".parse().expect("a prefix")));
    both.expect("a network").with_masquerade()
}

/// The `n`-th VM, from 0, with both families and host ports 22001, 22002 and so on to its 22.
pub(crate) fn vm(n: u8) -> Attachment {
    let vm = format!("a1b2c3{n:02x}");
    let mac = [0xAA, 0xFC, 0xA1, 0xB2, 0xC3, n].into();
    let v6 = ip(&format!("fd00:16::{:x}", u16::from(n) + 2));
    Attachment::tap(id(&vm), lan(), name(&format!("tap_{vm}")), mac, [172, 16, 0, n + 2].into())
        .and_then(|attachment| attachment.with_address(v6))
        .expect("an attachment")
        .with_forward(Forward::tcp(port(22001 + u16::from(n)), port(22)))
        .with_forward(Forward::new(Protocol::Udp, port(22001 + u16::from(n)), port(22)))
}

pub(crate) fn namespaced(n: u8) -> Attachment {
    let vm_id = format!("a1b2c3{n:02x}");
    let namespace = NamespaceName::new(&format!("ns_vm_{vm_id}")).expect("a valid name");
    let ends = [format!("vh_{vm_id}"), format!("vn_{vm_id}")].map(|text| name(&text));
    let [host_end, inner_end] = ends;
    vm(n).with_namespace(Namespace::new(namespace, host_end, inner_end))
}

pub(crate) fn wish(
    network: &Network,
    attachments: &[Attachment],
) -> Result<Desired, Box<dyn Error>> {
    let mut wish = Desired::new(Owner::new("demo")?);
    wish.add_network(network.clone())?;
    for attachment in attachments {
        wish.add_attachment(attachment.clone())?;
    }
    Ok(wish)
}

fn outside() -> Result<Machine, Box<dyn Error>> {
    let pairs = [(ip("192.0.2.1"), ip("192.0.2.2")), (ip("2001:db8::1"), ip("2001:db8::2"))];
    Machine::outside(&pairs)
}

/// Takes the wire to the machine outside away, if it has not gone with the machine.
fn unplug() {
    let _ = block_on(async { crate::world::Stranger::new().delete("uplink").await });
}

fn a_vm_in_its_own_namespace_is_reached_and_gets_out() -> Outcome {
    without_bridge_filter()?;
    for network in [bridged(), routed()] {
        let host = owned("demo");
        let vms = [namespaced(0), namespaced(1)];
        let wish = wish(&network, &vms)?;
        let before = snapshot(&host);
        block_on(host.ensure(&wish))?;
        assert!(block_on(host.verify(&wish))?.is_empty(), "{}", block_on(host.verify(&wish))?);
        assert!(hostnet::plan(&wish, &block_on(host.observe())?)?.is_empty());

        let outside = outside()?;
        outside.serve_tcp(any(80))?;
        let guest = Machine::guest_in_namespace(&vms[0])?;
        guest.serve_tcp(any(22))?;
        guest.serve_udp(at("192.168.127.2:22"))?;
        let second = Machine::guest_in_namespace(&vms[1])?;

        // The guest gets out, and so does what runs beside it in the namespace, as a VMM does.
        assert_eq!(guest.ask_tcp(at("192.0.2.2:80"))?, ip("::ffff:192.0.2.1"));
        assert_eq!(guest.ask_tcp(at("[2001:db8::2]:80"))?, ip("2001:db8::1"));
        let beside = in_namespace("ns_vm_a1b2c300", || ask_tcp(at("192.0.2.2:80")))?;
        assert_eq!(beside, ip("::ffff:192.0.2.1"));
        // It is reached from outside, from the host, over its forwards and from another guest.
        assert_eq!(outside.ask_tcp(at("192.0.2.1:22001"))?, ip("::ffff:192.0.2.2"));
        assert_eq!(outside.ask_tcp(at("[2001:db8::1]:22001"))?, ip("2001:db8::2"));
        assert_eq!(outside.ask_udp(at("192.0.2.1:22001"))?, ip("192.0.2.2"));
        assert_eq!(ask_tcp(at("127.0.0.1:22001"))?, ip("::ffff:172.16.0.1"));
        assert_eq!(ask_tcp(at("172.16.0.2:22"))?, ip("::ffff:172.16.0.1"));
        assert_eq!(second.ask_tcp(at("172.16.0.1:22001"))?, ip("::ffff:172.16.0.1"));
        assert!(second.run(|| Ok(is_closed(at("172.16.0.2:22"))))?, "guests are kept apart");

        drop((guest, second, outside));
        block_on(host.remove(&subjects(&wish)))?;
        unplug();
        let after = snapshot(&host);
        assert_eq!(after, before);
        assert!(Netns::named("ns_vm_a1b2c300").is_err() && Netns::named("ns_vm_a1b2c301").is_err());
    }
    Ok(())
}

fn a_namespace_is_mended_and_removed() -> Outcome {
    let host = owned("demo");
    let before = snapshot(&host);
    let wish = wish(&bridged(), &[namespaced(0)])?;
    block_on(host.ensure(&wish))?;
    let good = snapshot(&host);
    let mend = |what: &str| -> Outcome {
        assert_ne!(snapshot(&host), good, "{what}");
        let plan = block_on(host.verify(&wish))?;
        assert!(!plan.is_empty(), "{what}");
        block_on(host.apply(&plan))?;
        assert!(block_on(host.verify(&wish))?.is_empty(), "{what}");
        Ok(())
    };
    let inside = |program: &'static [&'static str]| -> Outcome {
        in_namespace("ns_vm_a1b2c300", move || {
            let (name, arguments) = program.split_first().ok_or("no program")?;
            let status = std::process::Command::new(name).args(arguments).status()?;
            if status.success() { Ok(()) } else { Err("the program failed".into()) }
        })
    };
    if crate::world::missing_program(&["ip", "nft"]).is_none() {
        for program in [
            &["ip", "link", "set", "tap_a1b2c300", "down"][..],
            &["ip", "address", "flush", "dev", "vn_a1b2c300"],
            &["ip", "route", "flush", "default"],
            &["ip", "link", "del", "tap_a1b2c300"],
            &["ip", "link", "set", "vn_a1b2c300", "name", "eth7"],
            &["nft", "flush", "ruleset"],
            &["nft", "flush", "chain", "inet", "hostnet-demo", "postrouting"],
        ] {
            inside(program)?;
            mend(&format!("{program:?}"))?;
        }
    }
    block_on(async { crate::world::Stranger::new().delete("vh_a1b2c300").await })?;
    mend("the veth pair is gone")?;

    // The name is gone, but what leads there is not: nothing is made over it, and it can be removed.
    let kept = Netns::named("ns_vm_a1b2c300")?;
    Netns::remove("ns_vm_a1b2c300")?;
    let error = block_on(host.ensure(&wish)).expect_err("lost").to_string();
    assert!(
        error.contains("is gone from /run/netns, but `vh_a1b2c300` still leads to it"),
        "{error}"
    );
    block_on(host.remove(&subjects(&wish)))?;
    drop(kept);
    assert_eq!(snapshot(&host), before);

    // A namespace of that name that somebody else made is left alone.
    Netns::create("ns_vm_a1b2c300")?;
    let error = block_on(host.ensure(&wish)).expect_err("taken").to_string();
    assert!(error.contains("`ns_vm_a1b2c300`, which is somebody else's"), "{error}");
    let report = hostnet::garbage(
        &block_on(host.observe())?,
        &std::collections::BTreeSet::new(),
        Duration::MAX,
        Duration::ZERO,
    )?;
    assert!(report.orphans.is_empty());
    Netns::named("ns_vm_a1b2c300")?;
    Ok(())
}

fn a_routed_network_carries_everything() -> Outcome {
    let gateway = TcpListener::bind(any(8080))?;
    std::thread::spawn(move || {
        for connection in gateway.incoming().flatten() {
            let peer = connection.peer_addr().map(|peer| peer.ip().to_string());
            let _ = { connection }.write_all(peer.unwrap_or_default().as_bytes());
        }
    });
    for guest_to_guest in [false, true] {
        let host = owned("demo");
        let network = if guest_to_guest { routed().with_guest_to_guest() } else { routed() };
        let vms = [vm(0), vm(1)];
        let wish = wish(&network, &vms)?;
        block_on(host.ensure(&wish))?;
        assert!(block_on(host.verify(&wish))?.is_empty());
        let first = Machine::guest(&vms[0], &network)?;
        let second = Machine::guest(&vms[1], &network)?;
        let outside = outside()?;
        outside.serve_tcp(any(80))?;
        first.serve_tcp(any(22))?;

        // Host, gateway and outside.
        assert_eq!(ask_tcp(at("127.0.0.1:22001"))?, ip("::ffff:172.16.0.1"));
        assert_eq!(ask_tcp(at("172.16.0.2:22"))?, ip("::ffff:172.16.0.1"));
        assert_eq!(ask_tcp(at("[fd00:16::2]:22"))?, ip("fd00:16::1"));
        assert_eq!(first.ask_tcp(at("172.16.0.1:8080"))?, ip("::ffff:172.16.0.2"));
        assert_eq!(first.ask_tcp(at("[fd00:16::1]:8080"))?, ip("fd00:16::2"));
        assert_eq!(first.ask_tcp(at("192.0.2.2:80"))?, ip("::ffff:192.0.2.1"));
        assert_eq!(first.ask_tcp(at("[2001:db8::2]:80"))?, ip("2001:db8::1"));
        assert_eq!(outside.ask_tcp(at("192.0.2.1:22001"))?, ip("::ffff:192.0.2.2"));
        assert_eq!(outside.ask_tcp(at("[2001:db8::1]:22001"))?, ip("2001:db8::2"));
        assert_eq!(second.ask_tcp(at("172.16.0.1:22001"))?, ip("::ffff:172.16.0.1"));
        // Other guests, for whom the host answers on the link, where that is allowed.
        second.run(|| {
            block_on(async {
                let stranger = crate::world::Stranger::new();
                stranger.add_route(ip("fd00:16::2"), ip("fd00:16::1")).await
            })
        })?;
        first.run(|| {
            block_on(async {
                let stranger = crate::world::Stranger::new();
                stranger.add_route(ip("fd00:16::3"), ip("fd00:16::1")).await
            })
        })?;
        if guest_to_guest {
            assert_eq!(second.ask_tcp(at("172.16.0.2:22"))?, ip("::ffff:172.16.0.3"));
            assert_eq!(second.ask_tcp(at("[fd00:16::2]:22"))?, ip("fd00:16::3"));
        } else {
            assert!(second.run(|| Ok(is_closed(at("172.16.0.2:22"))))?);
            assert!(second.run(|| Ok(is_closed(at("[fd00:16::2]:22"))))?);
        }
        drop((first, second, outside));
        block_on(host.remove(&subjects(&wish)))?;
        unplug();
    }
    Ok(())
}

fn shards_are_one_network() -> Outcome {
    without_bridge_filter()?;
    for guest_to_guest in [false, true] {
        let host = owned("demo");
        let network = bridged().with_shard(name("br0s1"), name("up1"), name("down1"))?.with_shard(
            name("br0s2"),
            name("up2"),
            name("down2"),
        )?;
        let network = if guest_to_guest { network.with_guest_to_guest() } else { network };
        let vms: Vec<_> = (0..8).map(vm).collect();
        let before = snapshot(&host);
        let wish = wish(&network, &vms)?;
        block_on(host.ensure(&wish))?;
        assert!(block_on(host.verify(&wish))?.is_empty());
        let observed = block_on(host.observe())?;
        let bridge_of = |attachment: &Attachment| {
            let tap = observed.link_named(attachment.tap_name().as_str()).expect("the TAP");
            tap.master
        };
        let used: std::collections::BTreeSet<_> = vms.iter().map(bridge_of).collect();
        assert_eq!(used.len(), 3, "eight VMs are spread over three bridges");

        let (here, there) = (&vms[0], vms.iter().find(|vm| bridge_of(vm) != bridge_of(&vms[0])));
        let there = there.ok_or("all on one bridge")?;
        let first = Machine::guest(here, &network)?;
        let second = Machine::guest(there, &network)?;
        first.serve_tcp(any(22))?;
        second.serve_tcp(any(22))?;
        let (one, two) = (here.addresses().next(), there.addresses().next());
        let (one, two) = (one.ok_or("no address")?, two.ok_or("no address")?);
        // The host reaches both, and each the other where that is allowed.
        ask_tcp((one, 22).into())?;
        ask_tcp((two, 22).into())?;
        if guest_to_guest {
            first.ask_tcp((two, 22).into())?;
            second.ask_tcp((one, 22).into())?;
        } else {
            assert!(first.run(move || Ok(is_closed((two, 22).into())))?);
            assert!(second.run(move || Ok(is_closed((one, 22).into())))?);
        }
        drop((first, second));
        block_on(host.remove(&subjects(&wish)))?;
        assert_eq!(snapshot(&host), before);
    }
    Ok(())
}

/// Another host, joined to this one by a wire, with a network of its own.
struct OtherHost {
    machine: Machine,
    host: Host,
}

fn vxlan_carries_its_vni_and_no_other() -> Outcome {
    // Two networks of the same prefix on two hosts each, on VNIs of their own.
    for (local, remote) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        let here = owned("demo");
        let machine = Machine::outside(&[(ip(local), ip(remote))])?;
        let there = Host::open_in(Owner::new("demo")?, Netns::named(machine.name())?)?;
        let other = OtherHost { machine, host: there };
        let network = |number: u32, own: &str, peer: &str| -> Result<Network, Box<dyn Error>> {
            let vxlan = Vxlan::new(name(&format!("vx{number}")), number, ip(own))?;
            let vxlan = vxlan.with_flooded_peer(ip(peer))?;
            let bridge = name(&format!("br{number}"));
            let gateway = format!("10.{number}.{}.1/16", if own == local { 1 } else { 2 });
            let network = Network::bridged(
                NetworkName::new(&format!("n{number}"))?,
                bridge,
                gateway.parse()?,
            )?;
            Ok(network.with_guest_to_guest().with_vxlan(vxlan)?)
        };
        let guest = |number: u32, host: u8| -> Result<Attachment, Box<dyn Error>> {
            Ok(Attachment::tap(
                AttachmentId::new(&format!("g{number}-{host}"))?,
                NetworkName::new(&format!("n{number}"))?,
                name(&format!("tap{number}_{host}")),
                [2, 0, 0, 0, u8::try_from(number)?, host].into(),
                ip(&format!("10.{number}.{host}.2")),
            )?)
        };
        let both = |own: &str, peer: &str, host: u8| -> Result<Desired, Box<dyn Error>> {
            let mut wish = Desired::new(Owner::new("demo")?);
            for number in [1, 2] {
                wish.add_network(network(number, own, peer)?)?;
                wish.add_attachment(guest(number, host)?)?;
            }
            Ok(wish)
        };
        let (wish_here, far_wish) = (both(local, remote, 1)?, both(remote, local, 2)?);
        block_on(here.ensure(&wish_here))?;
        block_on(other.host.ensure(&far_wish))?;
        assert!(block_on(here.verify(&wish_here))?.is_empty());
        assert!(hostnet::plan(&wish_here, &block_on(here.observe())?)?.is_empty());

        let ours = Machine::guest(&guest(1, 1)?, &network(1, local, remote)?)?;
        let far = guest(1, 2)?;
        let theirs = other.machine.run({
            let network = network(1, remote, local)?;
            move || Machine::guest(&far, &network)
        })?;
        let neighbour = guest(2, 2)?;
        let stranger = other.machine.run({
            let network = network(2, remote, local)?;
            move || Machine::guest(&neighbour, &network)
        })?;
        theirs.serve_tcp(any(22))?;
        stranger.serve_tcp(any(22))?;
        assert_eq!(ours.ask_tcp(at("10.1.2.2:22"))?, ip("::ffff:10.1.1.2"));
        // As if it were on the other network too: nothing answers, for another VNI is another link.
        ours.run(|| {
            block_on(async {
                let stranger = crate::world::Stranger::new();
                stranger.add_address("eth0", ip("10.2.1.9"), 16).await
            })
        })?;
        assert!(ours.run(|| Ok(is_closed(at("10.2.2.2:22"))))?);

        drop((ours, theirs, stranger));
        block_on(here.remove(&subjects(&wish_here)))?;
        unplug();
    }
    Ok(())
}

/// How many bytes a second a server sends to whoever connects, for a while; the first moments, in which the burst is
/// used up, are not counted.
fn speed(from: &Machine, to: &Machine, address: &str) -> Result<u64, Box<dyn Error>> {
    const SETTLE: Duration = Duration::from_millis(500);
    const COUNT: Duration = Duration::from_secs(2);
    let server = at(address);
    let listener = from.run(move || Ok(TcpListener::bind(any(5001))?))?;
    let sender = std::thread::spawn(move || {
        let Ok((mut connection, _)) = listener.accept() else { return };
        let block = [0; 16 * 1024];
        while connection.write_all(&block).is_ok() {}
    });
    let bytes = to.run(move || {
        let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(8))?;
        let mut block = vec![0; 64 * 1024];
        let start = Instant::now();
        while start.elapsed() < SETTLE {
            let _ = stream.read(&mut block)?;
        }
        let (start, mut bytes) = (Instant::now(), 0);
        while start.elapsed() < COUNT {
            bytes += stream.read(&mut block)? as u64;
        }
        Ok(bytes * 1000 / u64::try_from(start.elapsed().as_millis())?)
    })?;
    sender.join().map_err(|_panic| "the sender panicked")?;
    Ok(bytes)
}

fn rates_are_kept_in_both_directions() -> Outcome {
    let rate = Rate::new(NonZeroU64::new(1_000_000).ok_or("zero")?);
    for network in [bridged(), routed()] {
        let host = owned("demo");
        let limited = vm(0).with_rate_to_guest(rate).with_rate_from_guest(rate);
        let wish = wish(&network, std::slice::from_ref(&limited))?;
        block_on(host.ensure(&wish))?;
        assert!(block_on(host.verify(&wish))?.is_empty(), "{}", block_on(host.verify(&wish))?);
        let guest = Machine::guest(&limited, &network)?;
        let outside = outside()?;
        // From the guest by a forward to the port that it serves.
        let forwarded = limited.clone().with_forward(Forward::tcp(port(5001), port(5001)));
        block_on(host.ensure(&self::wish(&network, &[forwarded])?))?;
        for (from, to, address) in
            [(&outside, &guest, "192.0.2.2:5001"), (&guest, &outside, "192.0.2.1:5001")]
        {
            let bytes = speed(from, to, address)?;
            // What is counted is the payload; headers take another four percent.
            assert!((850_000..=1_150_000).contains(&bytes), "{bytes} bytes a second, {network:?}");
        }
        // A limit that is no longer wanted goes.
        let free = self::wish(&network, &[vm(0)])?;
        block_on(host.ensure(&free))?;
        let tap = block_on(host.observe())?;
        let tap = tap.link_named("tap_a1b2c300").ok_or("no TAP")?;
        assert_eq!(tap.rate, None);
        drop((guest, outside));
        block_on(host.remove(&subjects(&wish)))?;
        unplug();
    }
    Ok(())
}

fn large_packets_pass_from_end_to_end() -> Outcome {
    let host = owned("demo");
    let network = bridged().with_mtu(9000)?;
    let vms = [vm(0), namespaced(1)];
    let wish = wish(&network, &vms)?;
    block_on(host.ensure(&wish))?;
    let observed = block_on(host.observe())?;
    for device in ["br0", "tap_a1b2c300", "vh_a1b2c301"] {
        assert_eq!(observed.link_named(device).map(|link| link.mtu), Some(9000), "{device}");
    }
    let inside = observed.namespaces.iter().find_map(|namespace| namespace.inside.as_deref());
    for device in ["vn_a1b2c301", "tap_a1b2c301"] {
        let link = inside.and_then(|inside| inside.link_named(device));
        assert_eq!(link.map(|link| link.mtu), Some(9000), "{device}");
    }
    // The frame itself, as the guest's card would see it.
    let mut card = hostnet::open_tap(vms[0].tap_name(), vms[0].tap_options())?;
    std::thread::sleep(Duration::from_millis(100));
    let socket = std::net::UdpSocket::bind("172.16.0.1:0")?;
    block_on(async {
        crate::world::Stranger::new()
            .add_neighbour("br0", "172.16.0.2".parse()?, vms[0].mac().into_array())
            .await
    })?;
    let mut frame = vec![0; 16 * 1024];
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        socket.send_to(&[7; 8972], "172.16.0.2:9")?;
        std::thread::sleep(Duration::from_millis(20));
        while let Ok(len) = card.read(&mut frame) {
            if len == 9014 {
                return Ok(());
            }
        }
    }
    Err("no frame of 9014 bytes came".into())
}

fn every_printed_plan_does_the_same_in_a_shell() -> Outcome {
    let programs = ["bash", "bridge", "ip", "nft", "stat", "sysctl", "tc"];
    if let Some(program) = crate::world::missing_program(&programs) {
        // Not everybody has these; where they are promised, their absence is a failure.
        assert!(std::env::var_os("CI").is_none(), "`{program}` is missing");
        eprintln!("not checked: `{program}` is missing");
        return Ok(());
    }
    let rate = Rate::new(NonZeroU64::new(1_000_000).ok_or("zero")?);
    let limited = vm(0).with_rate_to_guest(rate).with_rate_from_guest(rate);
    let options = hostnet::TapOptions::default().with_uid(0).with_gid(0).with_vnet_hdr();
    let vxlan = Vxlan::new(name("vx1"), 1, ip("192.0.2.1"))?
        .with_flooded_peer(ip("192.0.2.2"))?
        .with_static_peer([2, 0, 0, 0, 0, 9].into(), ip("192.0.2.3"))?;
    let sharded = bridged().with_shard(name("br0s1"), name("up1"), name("down1"))?;
    for (network, attachments) in [
        (bridged(), vec![limited.clone().with_tap_options(options), namespaced(1)]),
        (routed().with_static_neighbours()?, vec![limited, namespaced(1)]),
        (bridged().with_vxlan(vxlan)?, vec![vm(0)]),
        (sharded.with_guest_to_guest(), (0..4).map(vm).collect()),
    ] {
        let host = owned("demo");
        let wish = wish(&network, &attachments)?;
        let before = snapshot(&host);
        let made = hostnet::plan(&wish, &block_on(host.observe())?)?;
        crate::world::shell(&made.to_string())?;
        let typed = block_on(host.observe())?;
        let left = hostnet::plan(&wish, &typed)?;
        assert!(left.is_empty(), "{left}");
        crate::world::shell(&hostnet::teardown(&subjects(&wish), &typed)?.to_string())?;
        assert_eq!(snapshot(&host), before);
    }
    Ok(())
}
