//! Routes that lead to our devices and carry our number.

use super::attributes::{address, append, attributes, family, number, read_address};
use super::netlink::{Netlink, Refusal};
use crate::error::Errno;
use crate::op::{Op, Route};
use ipnet::IpNet;
use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTM_NEWROUTE`, `RTM_DELROUTE`, `RTM_GETROUTE`.
const NEW: u16 = 24;
const DELETE: u16 = 25;
const GET: u16 = 26;
/// The length of `rtmsg`, and what our routes have in it.
const RTMSG_LEN: usize = 12;
const TABLE_MAIN: u8 = 254;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;
/// `RTM_F_FIB_MATCH`: the route itself instead of what becomes of a packet.
const FIB_MATCH: u32 = 0x2000;
/// `RTA_*` of `linux/rtnetlink.h`.
const DESTINATION: u16 = 1;
const OUTPUT: u16 = 4;
const GATEWAY: u16 = 5;
const PREFERRED_SOURCE: u16 = 7;

/// Adds a route to the main table. One of its prefix that is there already is an error.
pub(super) fn add(netlink: &mut Netlink, index: u32, route: Route) -> Result<(), Refusal> {
    netlink.request_raw(NEW, &message(index, route), NLM_F_CREATE | NLM_F_EXCL)
}

/// Removes exactly this route.
pub(super) fn remove(netlink: &mut Netlink, index: u32, route: Route) -> Result<(), Refusal> {
    netlink.request_raw(DELETE, &message(index, route), 0)
}

/// All of our routes, each with the device it leads to.
pub(super) fn list(netlink: &mut Netlink) -> Result<Vec<(u32, Route)>, Refusal> {
    netlink.list_raw(GET, &head(0, 0, 0, 0, 0), |body| {
        parse(body).filter(|found| found.ours).map(Found::leads)
    })
}

/// All of our routes that lead to one device.
pub(super) fn of_device(netlink: &mut Netlink, index: u32) -> Result<Vec<Route>, Refusal> {
    let mut body = head(0, 0, 0, 0, 0);
    // With strict checking the kernel dumps these alone.
    append(&mut body, &[DefaultNla::new(OUTPUT, index.to_ne_bytes().to_vec())]);
    let found = netlink.list_raw(GET, &body, parse)?;
    Ok(found
        .into_iter()
        .filter(|found| found.ours && found.index == index)
        .map(|found| found.route)
        .collect())
}

/// The route that packets to a prefix take, if it is for just this prefix and one of ours.
pub(super) fn find(
    netlink: &mut Netlink,
    destination: IpNet,
) -> Result<Option<(u32, Route)>, Refusal> {
    let address = destination.addr();
    let mut body = head(family(address), destination.max_prefix_len(), 0, 0, FIB_MATCH);
    append(&mut body, &[super::attributes::address(DESTINATION, address)]);
    match netlink.ask_raw(GET, &body, 0) {
        Ok(body) => Ok(parse(&body)
            .filter(|found| found.ours && found.route.destination == destination)
            .map(Found::leads)),
        // No route at all.
        Err(refusal) if refusal.errno().is_some_and(is_unreachable) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

struct Found {
    index: u32,
    route: Route,
    ours: bool,
}

impl Found {
    const fn leads(self) -> (u32, Route) {
        (self.index, self.route)
    }
}

const fn is_unreachable(errno: Errno) -> bool {
    matches!(errno, Errno::ENETUNREACH | Errno::EHOSTUNREACH)
}

fn head(family: u8, prefix_len: u8, scope: u8, kind: u8, flags: u32) -> Vec<u8> {
    // Family, both prefix lengths, TOS, table, protocol, scope and type.
    let protocol = if kind == 0 { 0 } else { Op::PROTOCOL };
    let table = if kind == 0 { 0 } else { TABLE_MAIN };
    let mut head = vec![family, prefix_len, 0, 0, table, protocol, scope, kind];
    head.extend(flags.to_ne_bytes());
    head
}

fn message(index: u32, route: Route) -> Vec<u8> {
    let destination = route.destination;
    // What is reached without a router is no further than the link; IPv6 knows no scopes.
    let direct = route.via.is_none() && destination.addr().is_ipv4();
    let scope = if direct { SCOPE_LINK } else { SCOPE_UNIVERSE };
    let mut body =
        head(family(destination.addr()), destination.prefix_len(), scope, TYPE_UNICAST, 0);
    append(&mut body, &[DefaultNla::new(OUTPUT, index.to_ne_bytes().to_vec())]);
    if destination.prefix_len() > 0 {
        append(&mut body, &[address(DESTINATION, destination.network())]);
    }
    append(&mut body, route.via.map(|via| address(GATEWAY, via)).as_slice());
    append(&mut body, route.source.map(|source| address(PREFERRED_SOURCE, source)).as_slice());
    body
}

fn parse(body: &[u8]) -> Option<Found> {
    let head = body.first_chunk::<RTMSG_LEN>()?;
    let [family, prefix_len, _, _, _, protocol, _, kind, ..] = *head;
    let nowhere: IpAddr = match family {
        2 => Ipv4Addr::UNSPECIFIED.into(),
        10 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let (mut index, mut destination, mut via, mut source) = (None, nowhere, None, None);
    for (kind, value) in attributes(body.get(RTMSG_LEN..)?) {
        match kind {
            OUTPUT => index = number(value),
            DESTINATION => destination = read_address(value)?,
            GATEWAY => via = read_address(value),
            PREFERRED_SOURCE => source = read_address(value),
            _ => {}
        }
    }
    let destination = IpNet::new(destination, prefix_len).ok()?;
    Some(Found {
        index: index?,
        route: Route { destination, via, source },
        ours: protocol == Op::PROTOCOL && kind == TYPE_UNICAST,
    })
}
