//! Neighbour tables: what was learned, what is fixed, and where a VXLAN device finds MACs.

use super::attributes::{address, append, attributes, family, nest, number, read_address};
use super::netlink::{Netlink, Refusal};
use crate::backend::{Neighbour, NeighbourState};
use crate::error::Errno;
use crate::op::{NeighbourEntry, Op, VxlanPeer};
use macaddr::MacAddr6;
use rtnetlink::packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use std::net::IpAddr;

/// `RTM_NEWNEIGH`, `RTM_DELNEIGH`, `RTM_GETNEIGH`, `RTM_SETNEIGHTBL`.
const NEW: u16 = 28;
const DELETE: u16 = 29;
const GET: u16 = 30;
const SET_TABLE: u16 = 67;
/// `ndmsg`: its length and what is in it.
const NDMSG_LEN: usize = 12;
const AF_BRIDGE: u8 = 7;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;
const NTF_PROXY: u8 = 0x08;
/// `NDA_*` of `linux/neighbour.h`.
const DESTINATION: u16 = 1;
const LLADDR: u16 = 2;
const IFINDEX: u16 = 8;
const PROTOCOL: u16 = 12;

/// The neighbours of one device.
pub(super) fn list(netlink: &mut Netlink, index: u32) -> Result<Vec<Neighbour>, Refusal> {
    let found = netlink.list_raw(GET, &of_device(0, 0, index), parse)?;
    let of_device = found.into_iter().filter(|entry| entry.index == index);
    Ok(of_device.filter_map(|entry| entry.neighbour).collect())
}

/// The neighbours of all devices, each with its device.
pub(super) fn everywhere(netlink: &mut Netlink) -> Result<Vec<(u32, Neighbour)>, Refusal> {
    let found = netlink.list_raw(GET, &head(0, 0, 0, 0), parse)?;
    Ok(found.into_iter().filter_map(|entry| Some((entry.index, entry.neighbour?))).collect())
}

/// One permanent entry of ours on a device, if it is there.
pub(super) fn find(
    netlink: &mut Netlink,
    index: u32,
    entry: NeighbourEntry,
) -> Result<Option<NeighbourEntry>, Refusal> {
    let flags = if entry.mac.is_some() { 0 } else { NTF_PROXY };
    let mut body = head(family(entry.address), index, 0, flags);
    append(&mut body, &[address(DESTINATION, entry.address)]);
    match netlink.ask_raw(GET, &body, 0) {
        Ok(body) => Ok(parse(&body).filter(|found| found.ours).and_then(Entry::fixed)),
        Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Our permanent entries of one device, those that the host answers for included.
pub(super) fn fixed(netlink: &mut Netlink, index: u32) -> Result<Vec<NeighbourEntry>, Refusal> {
    let mut entries = Vec::new();
    for flags in [0, NTF_PROXY] {
        let found = netlink.list_raw(GET, &of_device(0, flags, index), parse)?;
        let ours = found.into_iter().filter(|entry| entry.ours && entry.index == index);
        entries.extend(ours.filter_map(Entry::fixed));
    }
    Ok(entries)
}

/// Our permanent entries of all devices, each with its device.
pub(super) fn all_fixed(netlink: &mut Netlink) -> Result<Vec<(u32, NeighbourEntry)>, Refusal> {
    let mut entries = Vec::new();
    for flags in [0, NTF_PROXY] {
        let found = netlink.list_raw(GET, &head(0, 0, 0, flags), parse)?;
        let ours = found.into_iter().filter(|entry| entry.ours);
        entries.extend(ours.filter_map(|entry| Some((entry.index, entry.fixed()?))));
    }
    Ok(entries)
}

/// Adds a permanent entry. One that was learned is replaced.
pub(super) fn add(netlink: &mut Netlink, index: u32, entry: NeighbourEntry) -> Result<(), Refusal> {
    let mut body = fixed_entry(index, entry);
    append(&mut body, &[DefaultNla::new(PROTOCOL, vec![Op::PROTOCOL])]);
    netlink.request_raw(NEW, &body, NLM_F_CREATE | NLM_F_REPLACE)
}

/// Removes a permanent entry.
pub(super) fn remove(
    netlink: &mut Netlink,
    index: u32,
    entry: NeighbourEntry,
) -> Result<(), Refusal> {
    netlink.request_raw(DELETE, &fixed_entry(index, entry), 0)
}

/// Answers proxied requests at once: the kernel's default is to wait for up to 0.8 s.
pub(super) fn answer_at_once(netlink: &mut Netlink, index: u32) -> Result<(), Refusal> {
    /// `NDTA_NAME`, `NDTA_PARMS`, `NDTPA_IFINDEX` and `NDTPA_PROXY_DELAY`.
    const TABLE: u16 = 1;
    const PARAMETERS: u16 = 6;
    const PARAMETER_INDEX: u16 = 1;
    const PROXY_DELAY: u16 = 13;
    let (inet, inet6) = (2, 10);
    for (family, name) in [(inet, "arp_cache\0"), (inet6, "ndisc_cache\0")] {
        let parameters = [
            DefaultNla::new(PARAMETER_INDEX, index.to_ne_bytes().to_vec()),
            DefaultNla::new(PROXY_DELAY, 0_u64.to_ne_bytes().to_vec()),
        ];
        // `ndtmsg`: the family, and padding.
        let mut body = vec![family, 0, 0, 0];
        append(
            &mut body,
            &[DefaultNla::new(TABLE, name.as_bytes().to_vec()), nest(PARAMETERS, &parameters)],
        );
        netlink.request_raw(SET_TABLE, &body, 0)?;
    }
    Ok(())
}

/// Where a VXLAN device was told to find MACs.
pub(super) fn peers(netlink: &mut Netlink, index: u32) -> Result<Vec<VxlanPeer>, Refusal> {
    let found = netlink.list_raw(GET, &of_device(AF_BRIDGE, 0, index), parse)?;
    let told = found.into_iter().filter(|entry| entry.index == index && entry.permanent);
    let mut peers: Vec<_> = told
        .filter_map(|entry| Some(VxlanPeer { mac: entry.mac?, host: entry.address? }))
        .collect();
    peers.sort();
    Ok(peers)
}

/// Tells a VXLAN device where to find a MAC.
pub(super) fn add_peer(netlink: &mut Netlink, index: u32, peer: VxlanPeer) -> Result<(), Refusal> {
    // Only the entry for what has no known place can be there several times.
    let flags = if peer.mac.is_nil() { NLM_F_APPEND } else { NLM_F_REPLACE };
    netlink.request_raw(NEW, &peer_entry(index, peer), NLM_F_CREATE | flags)
}

/// Takes such an entry back.
pub(super) fn remove_peer(
    netlink: &mut Netlink,
    index: u32,
    peer: VxlanPeer,
) -> Result<(), Refusal> {
    netlink.request_raw(DELETE, &peer_entry(index, peer), 0)
}

/// An entry of a neighbour table, or of a table of MACs.
pub(super) struct Entry {
    pub(super) index: u32,
    pub(super) neighbour: Option<Neighbour>,
    address: Option<IpAddr>,
    mac: Option<MacAddr6>,
    permanent: bool,
    proxy: bool,
    ours: bool,
}

impl Entry {
    fn fixed(self) -> Option<NeighbourEntry> {
        let is_fixed = self.permanent || self.proxy;
        let entry = NeighbourEntry { address: self.address?, mac: self.mac };
        is_fixed.then_some(entry)
    }
}

fn head(family: u8, index: u32, state: u16, flags: u8) -> Vec<u8> {
    // Family and padding, index, state, flags and type.
    let mut head = vec![family, 0, 0, 0];
    head.extend(index.to_ne_bytes());
    head.extend(state.to_ne_bytes());
    head.extend([flags, 0]);
    head
}

/// A request for the entries of one device. With strict checking that is named by an attribute, not in the header.
fn of_device(family: u8, flags: u8, index: u32) -> Vec<u8> {
    let mut body = head(family, 0, 0, flags);
    append(&mut body, &[DefaultNla::new(IFINDEX, index.to_ne_bytes().to_vec())]);
    body
}

fn fixed_entry(index: u32, entry: NeighbourEntry) -> Vec<u8> {
    // Without being permanent even an answer for others goes when the guest pulls its cable.
    let flags = if entry.mac.is_some() { 0 } else { NTF_PROXY };
    let mut body = head(family(entry.address), index, NUD_PERMANENT, flags);
    append(&mut body, &[address(DESTINATION, entry.address)]);
    let mac = entry.mac.map(|mac| DefaultNla::new(LLADDR, mac.as_bytes().to_vec()));
    append(&mut body, mac.as_slice());
    body
}

fn peer_entry(index: u32, peer: VxlanPeer) -> Vec<u8> {
    let mut body = head(AF_BRIDGE, index, NUD_NOARP | NUD_PERMANENT, NTF_SELF);
    let mac = DefaultNla::new(LLADDR, peer.mac.as_bytes().to_vec());
    append(&mut body, &[mac, address(DESTINATION, peer.host)]);
    body
}

/// Reads an answer or a notification.
pub(super) fn parse(body: &[u8]) -> Option<Entry> {
    let head = body.first_chunk::<NDMSG_LEN>()?;
    let index = number(head.get(4..)?)?;
    let state = head.get(8..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
    let (mut ip, mut mac, mut protocol) = (None, None, None);
    for (kind, value) in attributes(body.get(NDMSG_LEN..)?) {
        match kind {
            DESTINATION => ip = read_address(value),
            LLADDR => mac = <[u8; 6]>::try_from(value).ok().map(MacAddr6::from),
            PROTOCOL => protocol = value.first().copied(),
            _ => {}
        }
    }
    let is_bridge = head.first() == Some(&AF_BRIDGE);
    let neighbour = ip.filter(|_| !is_bridge).map(|address| Neighbour {
        address,
        mac,
        state: match state {
            0x01 => NeighbourState::Incomplete,
            0x02 => NeighbourState::Reachable,
            0x04 => NeighbourState::Stale,
            0x08 => NeighbourState::Delay,
            0x10 => NeighbourState::Probe,
            0x20 => NeighbourState::Failed,
            NUD_PERMANENT => NeighbourState::Permanent,
            _ => NeighbourState::Other,
        },
    });
    Some(Entry {
        index,
        neighbour,
        address: ip,
        mac,
        permanent: state & NUD_PERMANENT != 0,
        proxy: head.get(10).is_some_and(|flags| flags & NTF_PROXY != 0),
        ours: protocol == Some(Op::PROTOCOL),
    })
}
