//! What a wish comes down to: tags, elements, addresses and routes, whatever is there already.

use crate::firewall::{Element, TableFamily};
use crate::op::{NeighbourEntry, Route};
use crate::spec::{
    Attachment, Desired, DeviceName, Family, Forward, Network, NetworkName, NetworkShape, Owner,
    Peering,
};
use crate::tag::{Role, Subject, Tag, birth_group, guest_group};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The elements that one subject is to have, and no others.
pub(crate) struct Wanted {
    pub(crate) tag: Tag,
    pub(crate) elements: BTreeSet<Element>,
}

pub(crate) fn network_tag(owner: &Owner, name: &NetworkName, role: Role) -> Tag {
    Tag::new(owner.clone(), Subject::Network(name.clone()), role, 0)
}

pub(crate) fn attachment_tag(owner: &Owner, attachment: &Attachment, role: Role) -> Tag {
    let subject = Subject::Attachment(attachment.id().clone());
    Tag::new(owner.clone(), subject, role, attachment.generation())
}

/// The devices that a network is to have.
pub(crate) fn devices_of_network(network: &Network) -> Vec<(Subject, Role, DeviceName)> {
    let subject = Subject::Network(network.name().clone());
    let mut devices = vec![(Role::Bridge, network.device())];
    for (shard, number) in network.shards().iter().zip(1..) {
        devices.push((Role::Shard(number), &shard.bridge));
        devices.push((Role::Uplink(number), &shard.uplink));
        devices.push((Role::Downlink(number), &shard.downlink));
    }
    devices.extend(network.vxlan().map(|vxlan| (Role::Vxlan, vxlan.device())));
    let with_subject = |(role, name): (Role, &DeviceName)| (subject.clone(), role, name.clone());
    devices.into_iter().map(with_subject).collect()
}

/// The device on the host that an attachment is to have.
pub(crate) fn device_of_attachment(attachment: &Attachment) -> (Subject, Role, DeviceName) {
    let subject = Subject::Attachment(attachment.id().clone());
    (subject, port_role(attachment), attachment.port_name().clone())
}

const fn port_role(attachment: &Attachment) -> Role {
    if attachment.namespace().is_some() { Role::HostEnd } else { Role::Tap }
}

/// The tag of the device on the host that an attachment's packets come in by.
pub(super) fn port_tag(owner: &Owner, attachment: &Attachment) -> Tag {
    attachment_tag(owner, attachment, port_role(attachment))
}

/// The tag of the `number`-th bridge of a network, counted from 0.
pub(super) fn bridge_tag(owner: &Owner, network: &NetworkName, number: usize) -> Tag {
    let role = match u8::try_from(number) {
        Ok(0) | Err(_) => Role::Bridge,
        Ok(number) => Role::Shard(number),
    };
    network_tag(owner, network, role)
}

/// The group of the device that an attachment's packets come in by.
pub(super) fn port_group(owner: &Owner, network: &Network) -> u32 {
    if network.checks_sources() { guest_group(owner) } else { birth_group(owner) }
}

/// Everything that is to be in the table for what `desired` names.
pub(crate) fn elements(desired: &Desired) -> Vec<Wanted> {
    let owner = desired.owner();
    let networks = desired.networks().map(|network| Wanted {
        tag: network_tag(owner, network.name(), Role::Rules),
        elements: of_network(desired, network),
    });
    let attachments = desired.attachments().map(|attachment| Wanted {
        tag: attachment_tag(owner, attachment, Role::Rules),
        elements: desired
            .network(attachment.network())
            .map_or_else(BTreeSet::new, |network| of_attachment(attachment, network)),
    });
    networks.chain(attachments).collect()
}

fn of_network(desired: &Desired, network: &Network) -> BTreeSet<Element> {
    let mut elements: BTreeSet<_> = network.prefixes().map(Element::Network).collect();
    if network.masquerades() {
        elements.extend(network.prefixes().map(Element::Masquerade));
    }
    if network.guest_to_guest() {
        elements.extend(network.prefixes().map(|own| Element::Allowed { from: own, to: own }));
    }
    // Each network keeps what it may reach, so that it goes with the network.
    elements.extend(desired.peerings().flat_map(|peering| reaches(desired, network, peering)));
    elements
}

fn of_attachment(attachment: &Attachment, network: &Network) -> BTreeSet<Element> {
    let mut elements = BTreeSet::new();
    for forward in attachment.forwards() {
        elements.extend(of_forward(attachment, *forward));
    }
    let family = match network.shape() {
        NetworkShape::Bridged => TableFamily::Bridge,
        NetworkShape::Routed => TableFamily::Inet,
    };
    let (port, mac) = (attachment.port_name(), attachment.mac());
    if network.checks_sources() {
        let addresses = core::iter::once(None).chain(attachment.addresses().map(Some));
        elements.extend(addresses.map(|address| Element::Sender {
            family,
            port: port.clone(),
            mac,
            address,
        }));
        elements.extend(attachment.addresses().filter_map(|address| match address {
            IpAddr::V6(address) if family == TableFamily::Bridge => {
                Some(Element::Announced { port: port.clone(), mac, address })
            }
            _ => None,
        }));
    }
    let limit = attachment.rate_from_guest();
    elements.extend(limit.map(|rate| Element::Limit { family, port: port.clone(), rate }));
    elements
}

/// The elements of one forward: one for each family that the guest has.
pub(crate) fn of_forward(
    attachment: &Attachment,
    forward: Forward,
) -> impl Iterator<Item = Element> + use<> {
    let Forward { protocol, host_port, guest_port } = forward;
    attachment.addresses().map(move |address| {
        let to = SocketAddr::new(address, guest_port.get());
        Element::Forward { protocol, host_port, to }
    })
}

/// What a network may reach by a peering, if it is one of the two.
fn reaches(desired: &Desired, network: &Network, peering: &Peering) -> Vec<Element> {
    let (other, exposed) = if peering.first() == network.name() {
        (peering.second(), peering.second_exposes())
    } else if peering.second() == network.name() {
        (peering.first(), peering.first_exposes())
    } else {
        return Vec::new();
    };
    let all: Vec<_> = desired.network(other).map(|o| o.prefixes().collect()).unwrap_or_default();
    let exposed = if exposed.is_empty() { all.as_slice() } else { exposed };
    let pairs = network.prefixes().flat_map(|from| exposed.iter().map(move |to| (from, *to)));
    pairs
        .filter(|(from, to)| from.addr().is_ipv4() == to.addr().is_ipv4())
        .map(|(from, to)| Element::Allowed { from, to })
        .collect()
}

/// Of which versions of IP packets are to cross the host.
pub(super) fn forwarding(desired: &Desired) -> BTreeSet<Family> {
    // On their way out of a network, from guest to guest where there is no bridge, and in through a forward.
    let crossing = desired
        .networks()
        .filter(|network| network.masquerades() || network.shape() == NetworkShape::Routed);
    let crossing = crossing.flat_map(Network::prefixes).map(|prefix| prefix.addr());
    let reached = desired.attachments().filter(|guest| !guest.forwards().is_empty());
    crossing.chain(reached.flat_map(Attachment::addresses)).map(family).collect()
}

/// The addresses of the host's end of a routed attachment: one that the guest can have as its IPv6 router.
pub(super) fn port_addresses(attachment: &Attachment) -> Vec<IpNet> {
    let has_v6 = attachment.addresses().any(|address| address.is_ipv6());
    let router = IpNet::new(attachment.router6().into(), 64).ok();
    router.filter(|_| has_v6).into_iter().collect()
}

/// The routes to a routed attachment.
pub(crate) fn port_routes(attachment: &Attachment, network: &Network) -> Vec<Route> {
    let route = |address: IpAddr| {
        let source = network.gateways().map(|g| g.addr()).find(|g| family(*g) == family(address));
        Route { destination: IpNet::from(address), via: None, source }
    };
    attachment.addresses().map(route).collect()
}

/// The permanent neighbours of a routed attachment's end on the host.
pub(crate) fn port_neighbours(attachment: &Attachment, network: &Network) -> Vec<NeighbourEntry> {
    let mac = Some(attachment.mac());
    let fixed = attachment.addresses().filter(|_| network.static_neighbours());
    let fixed = fixed.map(|address| NeighbourEntry { address, mac });
    // The gateway's address is on another device, for which IPv6 does not answer by itself.
    let has_v6 = attachment.addresses().any(|address| address.is_ipv6());
    let gateways = network.gateways().map(|gateway| gateway.addr());
    let answered = gateways.filter(|gateway| has_v6 && gateway.is_ipv6());
    fixed.chain(answered.map(|address| NeighbourEntry { address, mac: None })).collect()
}

/// The addresses of a VM's namespace, on its end of the veth pair.
pub(super) fn inner_addresses(attachment: &Attachment, network: &Network) -> Vec<IpNet> {
    let with_prefix = |address: IpAddr| {
        let gateway = network.gateways().find(|gateway| gateway.contains(&address))?;
        // Where there is no bridge, IPv6 neighbours do not answer for one another.
        let alone = network.shape() == NetworkShape::Routed && address.is_ipv6();
        let length = if alone { 128 } else { gateway.prefix_len() };
        IpNet::new(address, length).ok()
    };
    attachment.addresses().filter_map(with_prefix).collect()
}

/// The routes by which packets leave a VM's namespace.
pub(super) fn inner_routes(attachment: &Attachment, network: &Network) -> Vec<Route> {
    let default = |address: IpAddr| {
        let gateway = network.gateways().map(|g| g.addr()).find(|g| family(*g) == family(address));
        let alone = network.shape() == NetworkShape::Routed && address.is_ipv6();
        let via = if alone { Some(attachment.router6().into()) } else { gateway };
        Route { destination: everywhere(address), via, source: None }
    };
    attachment.addresses().map(default).collect()
}

pub(super) const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// The prefix of all addresses of this one's family.
fn everywhere(address: IpAddr) -> IpNet {
    let nowhere = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    IpNet::new(nowhere, 0).unwrap_or_else(|_| nowhere.into())
}
