use super::netlink::{Netlink, Refusal};
use crate::observed::LinkAddress;
use ipnet::IpNet;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use std::net::IpAddr;

/// Our number in `IFA_PROTO`, which says who gave an address: the `h` of hostnet. The kernel itself uses 0 to 3, and
/// ignores it before 5.18.
const OURS: AddressProtocol = AddressProtocol::Other(b'h');

/// Gives a device an address. An address that is there already is an error.
pub(super) fn add(netlink: &mut Netlink, index: u32, address: IpNet) -> Result<(), Refusal> {
    let mut message = message(index, address);
    message.attributes.push(AddressAttribute::Protocol(OURS));
    match address {
        IpNet::V4(address) => {
            message.attributes.push(AddressAttribute::Broadcast(address.broadcast()));
        }
        // The address is ours by plan. Looking for a duplicate would keep it unusable for seconds after the first
        // guest's cable is plugged in.
        IpNet::V6(_) => message.header.flags = AddressHeaderFlags::Nodad,
    }
    netlink.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes an address from a device.
pub(super) fn remove(netlink: &mut Netlink, index: u32, address: IpNet) -> Result<(), Refusal> {
    netlink.request(RouteNetlinkMessage::DelAddress(message(index, address)), 0)
}

/// All addresses, or those of one device, each with its device's index.
pub(super) fn list(
    netlink: &mut Netlink,
    index: Option<u32>,
) -> Result<Vec<(u32, LinkAddress)>, Refusal> {
    let mut message = AddressMessage::default();
    message.header.index = index.unwrap_or_default();
    let request = RouteNetlinkMessage::GetAddress(message);
    let messages = netlink.dump(&request)?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(message) => parse(message),
            _ => None,
        })
        .collect())
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match address {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message
}

fn parse(message: &AddressMessage) -> Option<(u32, LinkAddress)> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    // On IPv4 `Local` is the device's own address and `Address` the other end's, if there is one.
    let address = find(|a| match a {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
    .or_else(|| {
        find(|a| match a {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let address = IpNet::new(address, message.header.prefix_len).ok()?;
    let ours = message.attributes.iter().any(
        |attribute| matches!(attribute, AddressAttribute::Protocol(protocol) if *protocol == OURS),
    );
    Some((message.header.index, LinkAddress { address, ours }))
}
