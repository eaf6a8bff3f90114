//! What a guest may send, frame by frame: its own addresses pass, nobody else's do.

use crate::world::{Outcome, block_on, id, lan, owned, tests};
use hostnet::{Attachment, Desired, DeviceName, Host, Network, TapOptions};
use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

tests![
    a_guest_of_a_bridge_sends_as_itself_only,
    a_guest_of_a_routed_network_sends_as_itself_only,
    an_unchecked_guest_sends_as_it_likes,
];

const OWN: [u8; 6] = [0xAA, 0xFC, 0, 0, 0, 2];
const OTHER: [u8; 6] = [0xAA, 0xFC, 0, 0, 0, 3];
const EVERYBODY: [u8; 6] = [0xFF; 6];
const OWN4: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 2);
const OTHER4: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 3);

fn own6() -> Ipv6Addr {
    "fd00:16::2".parse().expect("an address")
}

fn other6() -> Ipv6Addr {
    "fd00:16::3".parse().expect("an address")
}

fn vms(host: &Host, network: Network) -> Result<(Desired, [File; 2]), Box<dyn Error>> {
    let mut wish = Desired::new(host.owner().clone());
    wish.add_network(network)?;
    for (n, mac) in [(2_u8, OWN), (3, OTHER)] {
        let tap = DeviceName::new(&format!("tap{n}"))?;
        let vm =
            Attachment::tap(id(&format!("vm{n}")), lan(), tap, mac.into(), [172, 16, 0, n].into())?;
        wish.add_attachment(vm.with_address(format!("fd00:16::{n}").parse()?)?)?;
    }
    block_on(host.ensure(&wish))?;
    let open = |name: &str| -> Result<File, Box<dyn Error>> {
        Ok(hostnet::open_tap(&DeviceName::new(name)?, TapOptions::default())?)
    };
    let cards = [open("tap2")?, open("tap3")?];
    // Until the bridge has noticed that the cables are plugged in, all frames are lost.
    std::thread::sleep(Duration::from_millis(200));
    Ok((wish, cards))
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let total: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or_default()))
        .sum();
    let folded = (total & 0xffff) + (total >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded to 16 bits")
}

fn udp4(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16), mark: u8) -> Vec<u8> {
    let payload = [mark; 8];
    let mut header = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0];
    header.extend(from.octets());
    header.extend(to.octets());
    let checksum = sum(&[&header]);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    // No checksum, which IPv4 allows.
    let udp = [ports.0.to_be_bytes(), ports.1.to_be_bytes(), [0, 16], [0, 0]].concat();
    [header, udp, payload.to_vec()].concat()
}

fn icmpv6(from: Ipv6Addr, to: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("a short one");
    let pseudo =
        [&from.octets()[..], &to.octets(), &[0, 0], &len.to_be_bytes(), &[0, 0, 0, 58]].concat();
    let checksum = sum(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[58, 255]].concat();
    [&header[..], &from.octets(), &to.octets(), &message].concat()
}

fn echo6(from: Ipv6Addr, mark: u8) -> Vec<u8> {
    icmpv6(from, other6(), vec![128, 0, 0, 0, 0, 0, 0, mark])
}

fn advertisement(from: Ipv6Addr, target: Ipv6Addr, mark: u8) -> Vec<u8> {
    let all = "ff02::1".parse().expect("an address");
    let option = [&[2, 1][..], &OWN[..5], &[mark]].concat();
    icmpv6(from, all, [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &target.octets(), &option].concat())
}

fn arp(mac: [u8; 6], from: Ipv4Addr, mark: u8) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    [&head[..], &mac, &from.octets(), &[0, 0, 0, 0, 0, mark], &OTHER4.octets()].concat()
}

/// Whether a frame with this mark comes out of the card.
fn comes(card: &mut File, frame: &[u8]) -> Result<bool, Box<dyn Error>> {
    let (start, mut space) = (Instant::now(), vec![0; 4096]);
    while start.elapsed() < Duration::from_millis(150) {
        match card.read(&mut space) {
            Ok(len) if space.get(12..len) == frame.get(12..) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

struct Frame {
    what: &'static str,
    bytes: Vec<u8>,
    honest: bool,
}

fn frames() -> Vec<Frame> {
    const IPV4: u16 = 0x0800;
    const ARP: u16 = 0x0806;
    const IPV6: u16 = 0x86dd;
    let unspecified = Ipv4Addr::UNSPECIFIED;
    let v4 = |from, ports, mark| udp4(from, OTHER4, ports, mark);
    let link_local: Ipv6Addr = "fe80::1234".parse().expect("an address");
    let router = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let all: Ipv6Addr = "ff02::1".parse().expect("an address");
    [
        ("IPv4", ethernet(OTHER, OWN, IPV4, &v4(OWN4, (9, 9), 1)), true),
        (
            "IPv4, another MAC",
            ethernet(OTHER, [2, 0, 0, 0, 0, 9], IPV4, &v4(OWN4, (9, 9), 2)),
            false,
        ),
        (
            "IPv4, another address",
            ethernet(OTHER, OWN, IPV4, &v4([172, 16, 0, 9].into(), (9, 9), 3)),
            false,
        ),
        (
            "IPv4, the gateway's address",
            ethernet(OTHER, OWN, IPV4, &v4([172, 16, 0, 1].into(), (9, 9), 4)),
            false,
        ),
        (
            "asking for an address",
            ethernet(EVERYBODY, OWN, IPV4, &udp4(unspecified, Ipv4Addr::BROADCAST, (68, 67), 5)),
            true,
        ),
        (
            "from nowhere",
            ethernet(EVERYBODY, OWN, IPV4, &udp4(unspecified, Ipv4Addr::BROADCAST, (68, 9), 6)),
            false,
        ),
        ("handing out addresses", ethernet(OTHER, OWN, IPV4, &v4(OWN4, (67, 68), 7)), false),
        ("ARP", ethernet(EVERYBODY, OWN, ARP, &arp(OWN, OWN4, 8)), true),
        ("ARP probe", ethernet(EVERYBODY, OWN, ARP, &arp(OWN, unspecified, 9)), true),
        (
            "ARP, another address",
            ethernet(EVERYBODY, OWN, ARP, &arp(OWN, [172, 16, 0, 1].into(), 10)),
            false,
        ),
        ("ARP, another MAC", ethernet(EVERYBODY, OWN, ARP, &arp(OTHER, OWN4, 11)), false),
        ("IPv6", ethernet(OTHER, OWN, IPV6, &echo6(own6(), 12)), true),
        ("IPv6, link-local", ethernet(OTHER, OWN, IPV6, &echo6(link_local, 13)), true),
        (
            "IPv6, another address",
            ethernet(OTHER, OWN, IPV6, &echo6("fd00:16::9".parse().expect("an address"), 14)),
            false,
        ),
        (
            "neighbour advertisement",
            ethernet(EVERYBODY, OWN, IPV6, &advertisement(own6(), own6(), 15)),
            true,
        ),
        (
            "neighbour advertisement, another target",
            ethernet(
                EVERYBODY,
                OWN,
                IPV6,
                &advertisement(own6(), "fd00:16::1".parse().expect("an address"), 16),
            ),
            false,
        ),
        (
            "router advertisement",
            ethernet(EVERYBODY, OWN, IPV6, &icmpv6(link_local, all, router)),
            false,
        ),
        (
            "VLAN tag",
            ethernet(OTHER, OWN, 0x8100, &[&[0, 1, 8, 0][..], &v4(OWN4, (9, 9), 17)].concat()),
            false,
        ),
        ("another protocol", ethernet(OTHER, OWN, 0x88b5, &[18; 50]), false),
    ]
    .into_iter()
    .map(|(what, bytes, honest)| Frame { what, bytes, honest })
    .collect()
}

fn bridged() -> Result<Network, Box<dyn Error>> {
    let network = Network::bridged(lan(), DeviceName::new("br0")?, "172.16.0.1/16".parse()?)?;
    Ok(network.with_gateway("fd00:16::1/64".parse()?)?.with_guest_to_guest())
}

fn a_guest_of_a_bridge_sends_as_itself_only() -> Outcome {
    let host = owned("demo");
    let (_, [mut sender, mut receiver]) = vms(&host, bridged()?)?;
    for Frame { what, bytes, honest } in frames() {
        sender.write_all(&bytes)?;
        assert_eq!(comes(&mut receiver, &bytes)?, honest, "{what}");
    }
    Ok(())
}

fn an_unchecked_guest_sends_as_it_likes() -> Outcome {
    let host = owned("demo");
    // By which the rules that keep guests from being the host's router see frames that are not for it, too.
    crate::world::without_bridge_filter()?;
    let (_, [mut sender, mut receiver]) = vms(&host, bridged()?.with_unchecked_sources())?;
    for Frame { what, bytes, .. } in frames() {
        sender.write_all(&bytes)?;
        assert!(comes(&mut receiver, &bytes)?, "{what}");
    }
    Ok(())
}

/// There is no link to lie to others on, so what counts is what the host takes for the guest's.
fn a_guest_of_a_routed_network_sends_as_itself_only() -> Outcome {
    let host = owned("demo");
    let network = Network::routed(lan(), DeviceName::new("lan0")?, "172.16.0.1/16".parse()?)?
        .with_gateway("fd00:16::1/64".parse()?)?;
    let (wish, [mut sender, _receiver]) = vms(&host, network)?;
    // The host drops by itself what comes from where it would not send to; that is not what is tested here.
    for device in ["all", "tap2"] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "0")?;
    }
    let gateway = Ipv4Addr::new(172, 16, 0, 1);
    let observed = block_on(host.observe())?;
    let tap = observed.link_named("tap2").and_then(|tap| tap.mac).ok_or("no TAP")?.into_array();
    let socket = UdpSocket::bind((gateway, 9))?;
    socket.set_read_timeout(Some(Duration::from_millis(150)))?;
    for (what, mac, from, honest) in [
        ("its own", OWN, OWN4, true),
        ("another MAC", OTHER, OWN4, false),
        ("another address of the network", OWN, OTHER4, false),
        ("an address of elsewhere", OWN, Ipv4Addr::new(192, 0, 2, 7), false),
        ("the host's loopback", OWN, Ipv4Addr::LOCALHOST, false),
    ] {
        sender.write_all(&ethernet(tap, mac, 0x0800, &udp4(from, gateway, (9, 9), 1)))?;
        let received = socket.recv_from(&mut [0; 64]);
        assert_eq!(received.is_ok(), honest, "{what}: {received:?}");
    }
    assert!(block_on(host.verify(&wish))?.is_empty());
    Ok(())
}
