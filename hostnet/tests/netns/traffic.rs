//! Real packets through what was made, between machines with the kernel's own network stack.

use crate::guests::{Machine, any, ask_tcp, ask_udp, at, is_closed};
use crate::world::{Outcome, block_on, lan, network, owned, port, tests, vm};
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Host, Network, NetworkName, Peering,
    Protocol,
};
use std::net::IpAddr;
use std::path::Path;

tests![
    a_forward_works_from_everywhere,
    a_forward_carries_udp_and_ipv6,
    guests_get_out_under_the_hosts_address,
    a_guest_cannot_reach_the_hosts_loopback,
    a_guest_cannot_become_the_hosts_router,
    a_forward_works_without_masquerading,
    a_forward_that_is_taken_down_is_closed,
    networks_reach_one_another_only_where_they_are_peered,
];

/// Two VMs with IPv4 and IPv6, each with port 22001 or 22002 of the host to its 22, over TCP and UDP.
fn two_vms(host: &Host) -> Result<(Network, Vec<Attachment>), Box<dyn std::error::Error>> {
    let mut wish = Desired::new(host.owner().clone());
    wish.add_network(network())?;
    let mut vms = Vec::new();
    for n in 0..2_u8 {
        let (v4, udp) = (vm(n), Forward::new(Protocol::Udp, port(22001 + u16::from(n)), port(22)));
        let v6: IpAddr = format!("fd00:16::{}", n + 2).parse()?;
        let both = v4.with_address(v6)?.with_forward(udp);
        wish.add_attachment(both.clone())?;
        vms.push(both);
    }
    block_on(host.ensure(&wish))?;
    Ok((network(), vms))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn a_forward_works_from_everywhere() -> Outcome {
    let host = owned("demo");
    let (network, vms) = two_vms(&host)?;
    let first = Machine::guest(&vms[0], &network)?;
    let second = Machine::guest(&vms[1], &network)?;
    first.serve_tcp(any(22))?;
    let outside = Machine::outside(&[(ip("192.0.2.1"), ip("192.0.2.2"))])?;

    // From outside the guest sees the client itself.
    assert_eq!(outside.ask_tcp(at("192.0.2.1:22001"))?, ip("::ffff:192.0.2.2"));
    // From one of the host's own addresses it sees that; from loopback, to which it could not reply, the gateway.
    assert_eq!(ask_tcp(at("192.0.2.1:22001"))?, ip("::ffff:192.0.2.1"));
    assert_eq!(ask_tcp(at("127.0.0.1:22001"))?, ip("::ffff:172.16.0.1"));
    // From another guest and from itself, through the host's port, replies must come back the same way. With
    // br_netfilter on in the namespace the kernel keeps such frames in the bridge and drops them (see the README).
    let filter = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if filter.exists() {
        std::fs::write(filter, "0")?;
    }
    assert_eq!(second.ask_tcp(at("172.16.0.1:22001"))?, ip("::ffff:172.16.0.1"));
    assert_eq!(first.ask_tcp(at("172.16.0.1:22001"))?, ip("::ffff:172.16.0.1"));
    // The other forward leads elsewhere, where nobody serves.
    assert!(outside.run(|| Ok(is_closed(at("192.0.2.1:22002"))))?);
    Ok(())
}

fn a_forward_carries_udp_and_ipv6() -> Outcome {
    let host = owned("demo");
    let (network, vms) = two_vms(&host)?;
    let guest = Machine::guest(&vms[0], &network)?;
    let pairs = [(ip("192.0.2.1"), ip("192.0.2.2")), (ip("2001:db8::1"), ip("2001:db8::2"))];
    let outside = Machine::outside(&pairs)?;
    guest.serve_tcp(any(22))?;
    guest.serve_udp(at("172.16.0.2:22"))?;
    guest.serve_udp(at("[fd00:16::2]:22"))?;

    assert_eq!(outside.ask_udp(at("192.0.2.1:22001"))?, ip("192.0.2.2"));
    assert_eq!(ask_udp(at("127.0.0.1:22001"))?, ip("172.16.0.1"));
    assert_eq!(outside.ask_tcp(at("[2001:db8::1]:22001"))?, ip("2001:db8::2"));
    assert_eq!(outside.ask_udp(at("[2001:db8::1]:22001"))?, ip("2001:db8::2"));
    assert_eq!(ask_tcp(at("[2001:db8::1]:22001"))?, ip("2001:db8::1"));
    Ok(())
}

fn guests_get_out_under_the_hosts_address() -> Outcome {
    let host = owned("demo");
    let (network, vms) = two_vms(&host)?;
    let guest = Machine::guest(&vms[0], &network)?;
    let pairs = [(ip("192.0.2.1"), ip("192.0.2.2")), (ip("2001:db8::1"), ip("2001:db8::2"))];
    let outside = Machine::outside(&pairs)?;
    outside.serve_tcp(any(80))?;
    assert_eq!(guest.ask_tcp(at("192.0.2.2:80"))?, ip("::ffff:192.0.2.1"));
    assert_eq!(guest.ask_tcp(at("[2001:db8::2]:80"))?, ip("2001:db8::1"));
    Ok(())
}

/// `route_localnet` lets the host's 127.0.0.1 reach a guest; it must not work the other way (CVE-2020-8558).
fn a_guest_cannot_reach_the_hosts_loopback() -> Outcome {
    let host = owned("demo");
    let (network, vms) = two_vms(&host)?;
    let guest = Machine::guest(&vms[0], &network)?;
    let secret = std::net::UdpSocket::bind("127.0.0.1:9999")?;
    secret.set_nonblocking(true)?;
    guest.run(|| {
        // The guest sends what no honest stack would: 127.0.0.1 by way of its gateway.
        std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1")?;
        block_on(async {
            let stranger = crate::world::Stranger::new();
            stranger.take_loopback_away("172.16.0.1".parse()?).await
        })?;
        let socket = std::net::UdpSocket::bind("172.16.0.2:0")?;
        for _ in 0..3 {
            socket.send_to(b"let me in", "127.0.0.1:9999")?;
        }
        Ok(())
    })?;
    crate::world::settle();
    let mut datagram = [0; 16];
    let received = secret.recv_from(&mut datagram);
    assert!(received.is_err(), "a guest got through to 127.0.0.1: {received:?}");
    Ok(())
}

fn a_forward_that_is_taken_down_is_closed() -> Outcome {
    let host = owned("demo");
    let (network, vms) = two_vms(&host)?;
    let guest = Machine::guest(&vms[0], &network)?;
    guest.serve_tcp(any(22))?;
    ask_tcp(at("127.0.0.1:22001"))?;
    let mut without = Desired::new(host.owner().clone());
    without.add_network(network)?;
    without.add_attachment(Attachment::tap(
        vms[0].id().clone(),
        lan(),
        vms[0].tap_name().clone(),
        vms[0].mac(),
        ip("172.16.0.2"),
    )?)?;
    block_on(host.ensure(&without))?;
    assert!(is_closed(at("127.0.0.1:22001")));
    Ok(())
}

fn networks_reach_one_another_only_where_they_are_peered() -> Outcome {
    let host = owned("demo");
    let mut apart = Desired::new(host.owner().clone());
    let mut machines = Vec::new();
    for (n, name) in [(1_u8, "web"), (2, "db")] {
        let bridge = DeviceName::new(&format!("br{n}"))?;
        let gateway = format!("10.{n}.0.1/24").parse()?;
        let network = Network::bridged(NetworkName::new(name)?, bridge, gateway)?
            .with_gateway(format!("fd00:{n}::1/64").parse()?)?
            .with_guest_to_guest()
            .with_masquerade();
        apart.add_network(network.clone())?;
        for guest in [2_u8, 20] {
            let id = format!("{name}-{guest}");
            let attachment = Attachment::tap(
                AttachmentId::new(&id)?,
                network.name().clone(),
                DeviceName::new(&format!("tap_{id}"))?,
                [0xAA, 0xFC, 0, 0, n, guest].into(),
                format!("10.{n}.0.{guest}").parse()?,
            )?
            .with_address(format!("fd00:{n}::{guest}").parse()?)?;
            apart.add_attachment(attachment.clone())?;
            machines.push((attachment, network.clone()));
        }
    }
    block_on(host.ensure(&apart))?;
    let machines: Vec<Machine> = machines
        .iter()
        .map(|(attachment, network)| Machine::guest(attachment, network))
        .collect::<Result<_, _>>()?;
    let [web, web_20, db, db_20] = machines.as_slice() else { return Err("four machines".into()) };
    for machine in &machines {
        machine.serve_tcp(any(80))?;
    }
    let closed = |from: &Machine, to: &'static str| from.run(move || Ok(is_closed(at(to))));

    // Within a network all is open, and so is the way to the gateway's forwards; between networks nothing is.
    assert_eq!(web.ask_tcp(at("10.1.0.20:80"))?, ip("::ffff:10.1.0.2"));
    assert_eq!(db.ask_tcp(at("[fd00:2::20]:80"))?, ip("fd00:2::2"));
    assert!(closed(web, "10.2.0.2:80")? && closed(db, "10.1.0.2:80")?);
    assert!(closed(web, "[fd00:2::2]:80")?);

    // The web servers may reach one half of the databases, which may reach all of the web servers over IPv4.
    let mut peered = apart.clone();
    peered.add_peering(
        Peering::new(NetworkName::new("web")?, NetworkName::new("db")?)
            .exposing_second("10.2.0.0/28".parse()?)
            .exposing_first("10.1.0.0/24".parse()?),
    )?;
    block_on(host.ensure(&peered))?;
    assert_eq!(block_on(host.ensure(&peered))?.steps, 0);
    // Neither sees the gateway's address instead of the other's: peers are not masqueraded.
    assert_eq!(web.ask_tcp(at("10.2.0.2:80"))?, ip("::ffff:10.1.0.2"));
    assert_eq!(db_20.ask_tcp(at("10.1.0.20:80"))?, ip("::ffff:10.2.0.20"));
    assert!(closed(web, "10.2.0.20:80")? && closed(web_20, "10.2.0.20:80")?);
    assert!(closed(web, "[fd00:2::2]:80")?, "no IPv6 prefix is exposed");

    block_on(host.ensure(&apart))?;
    assert!(closed(web, "10.2.0.2:80")? && closed(db, "10.1.0.2:80")?);
    Ok(())
}

/// A router advertisement from a guest would give the host a default route to it.
fn a_guest_cannot_become_the_hosts_router() -> Outcome {
    let host = owned("demo");
    let mut wish = Desired::new(host.owner().clone());
    let gateway = "172.16.0.1/16".parse()?;
    wish.add_network(Network::bridged(lan(), DeviceName::new("br0")?, gateway)?)?;
    let guest = Attachment::tap(
        vm(0).id().clone(),
        lan(),
        vm(0).tap_name().clone(),
        vm(0).mac(),
        ip("172.16.0.2"),
    )?;
    wish.add_attachment(guest)?;
    block_on(host.ensure(&wish))?;
    assert!(
        block_on(host.observe())?.forwarding.is_empty(),
        "a host that forwards heeds no router"
    );
    let mut card = hostnet::open_tap(vm(0).tap_name(), hostnet::TapOptions::default())?;
    for _ in 0..10 {
        std::io::Write::write_all(&mut card, &router_advertisement(vm(0).mac().into_array()))?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route")?;
    let default = "00000000000000000000000000000000 00 ";
    let learned = routes.lines().find(|l| l.starts_with(default) && l.ends_with(" br0"));
    assert_eq!(learned, None, "the host took a guest for its router");
    Ok(())
}

/// An Ethernet frame with an advertisement for half an hour (RFC 4861, 4.2), to all nodes.
fn router_advertisement(mac: [u8; 6]) -> Vec<u8> {
    let source = "fe80::1234".parse::<std::net::Ipv6Addr>().expect("an address").octets();
    let all_nodes = "ff02::1".parse::<std::net::Ipv6Addr>().expect("an address").octets();
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    let pseudo = [&source[..], &all_nodes, &[0, 0, 0, 16, 0, 0, 0, 58]].concat();
    let sum: u32 = [pseudo.as_slice(), &message]
        .concat()
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded to 16 bits");
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let ethernet = [&[0x33, 0x33, 0, 0, 0, 1][..], &mac, &[0x86, 0xdd]].concat();
    let header = [&[0x60, 0, 0, 0, 0, 16, 58, 255][..], &source, &all_nodes].concat();
    [ethernet, header, message].concat()
}

fn a_forward_works_without_masquerading() -> Outcome {
    let host = owned("demo");
    let mut wish = Desired::new(host.owner().clone());
    let gateway = "172.16.0.1/16".parse()?;
    let network = Network::bridged(lan(), DeviceName::new("br0")?, gateway)?;
    wish.add_network(network.clone())?;
    wish.add_attachment(vm(0))?;
    block_on(host.ensure(&wish))?;
    let guest = Machine::guest(&vm(0), &network)?;
    guest.serve_tcp(any(22))?;
    let outside = Machine::outside(&[(ip("192.0.2.1"), ip("192.0.2.2"))])?;
    assert_eq!(outside.ask_tcp(at("192.0.2.1:22001"))?, ip("::ffff:192.0.2.2"));
    // What would hang, since no packet from ::1 leaves the host, is refused at once.
    let error = ask_tcp(at("[::1]:22001")).expect_err("nobody is there").to_string();
    assert!(error.contains("refused"), "{error}");
    Ok(())
}
