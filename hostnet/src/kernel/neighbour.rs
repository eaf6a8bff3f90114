use super::netlink::{Netlink, Refusal};
use crate::backend::{Neighbour, NeighbourState};
use macaddr::MacAddr6;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState as Nud,
};
use std::net::IpAddr;

/// The neighbours of one device.
pub(super) fn list(netlink: &mut Netlink, index: u32) -> Result<Vec<Neighbour>, Refusal> {
    let mut request = NeighbourMessage::default();
    // With strict checking a dump takes the device as an attribute, not in the header.
    request.attributes.push(NeighbourAttribute::IfIndex(index));
    let messages = netlink.dump(&RouteNetlinkMessage::GetNeighbour(request))?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewNeighbour(message) if message.header.ifindex == index => {
                parse(message)
            }
            _ => None,
        })
        .collect())
}

fn parse(message: &NeighbourMessage) -> Option<Neighbour> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some(IpAddr::V4(*address))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some(IpAddr::V6(*address))
        }
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => {
            <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr6::from)
        }
        _ => None,
    });
    let state = match message.header.state {
        Nud::Incomplete => NeighbourState::Incomplete,
        Nud::Reachable => NeighbourState::Reachable,
        Nud::Stale => NeighbourState::Stale,
        Nud::Delay => NeighbourState::Delay,
        Nud::Probe => NeighbourState::Probe,
        Nud::Failed => NeighbourState::Failed,
        Nud::Permanent => NeighbourState::Permanent,
        _ => NeighbourState::Other,
    };
    Some(Neighbour { address, mac, state })
}
