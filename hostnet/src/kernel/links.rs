//! Looking at links: found one by one, or all at once.

use super::attributes::{append, attribute, attributes, number, text};
use super::link::{ALIAS_LEADS_TO, ALIAS_MADE, ALIAS_OF, ALT_IFNAME, At};
use super::netlink::{Netlink, Refusal};
use crate::backend::Counters;
use crate::error::Errno;
use crate::observed::{Link, VxlanEnd};
use crate::op::LinkSetting;
use crate::spec::{NamespaceName, TapOptions};
use core::time::Duration;
use macaddr::MacAddr6;
use rtnetlink::packet_core::DefaultNla;
use std::net::IpAddr;

/// `RTM_GETLINK`.
const GET_LINK: u16 = 18;
/// The length of `ifinfomsg`, and where in it the index and the flags are.
const IFINFOMSG_LEN: usize = 16;
const INDEX_AT: usize = 4;
const FLAGS_AT: usize = 8;
const FLAG_UP: u32 = 1;
/// `IFLA_*` of `linux/if_link.h`.
const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const QDISC: u16 = 6;
const MASTER: u16 = 10;
const LINKINFO: u16 = 18;
const IFALIAS: u16 = 20;
const STATS64: u16 = 23;
const AF_SPEC: u16 = 26;
const GROUP: u16 = 27;
const EXT_MASK: u16 = 29;
const PROP_LIST: u16 = 52;
/// `RTEXT_FILTER_SKIP_STATS`: the statistics are most of an answer's bytes.
const SKIP_STATS: u32 = 8;
/// `IFLA_INFO_*`.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_DATA: u16 = 5;
/// `IFLA_BRPORT_ISOLATED`.
const PORT_ISOLATED: u16 = 33;
/// `IFLA_TUN_*`.
const TUN_OWNER: u16 = 1;
const TUN_GROUP: u16 = 2;
const TUN_VNET_HDR: u16 = 5;
const TUN_MULTI_QUEUE: u16 = 7;
/// `IFLA_VXLAN_*`.
const VXLAN_ID: u16 = 1;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_LEARNING: u16 = 7;
const VXLAN_PORT: u16 = 15;
const VXLAN_LOCAL6: u16 = 17;
const AF_INET: u16 = 2;
const INET_CONF: u16 = 1;

/// A link, and whether it has a queue of ours (`tbf`), about which more is to be asked.
pub(super) struct Found {
    pub(super) link: Link,
    pub(super) has_tbf: bool,
    /// The inode number of the namespace that this one was made in, if it is a VM's namespace's `lo`.
    pub(super) home: Option<u64>,
}

/// Finds one link.
pub(super) fn find(netlink: &mut Netlink, at: At<'_>) -> Result<Option<Found>, Refusal> {
    match netlink.ask_raw(GET_LINK, &request(at, SKIP_STATS), 0) {
        Ok(body) => Ok(parse(&body)),
        Err(Refusal::Kernel { errno: Errno::ENODEV, .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// All links.
pub(super) fn list(netlink: &mut Netlink) -> Result<Vec<Found>, Refusal> {
    let mut body = vec![0; IFINFOMSG_LEN];
    append(&mut body, &[extension(SKIP_STATS)]);
    netlink.list_raw(GET_LINK, &body, parse)
}

/// A bridge's ports.
pub(super) fn ports(netlink: &mut Netlink, bridge: u32) -> Result<Vec<Link>, Refusal> {
    let mut body = vec![0; IFINFOMSG_LEN];
    // With strict checking the kernel dumps these alone.
    let master = DefaultNla::new(MASTER, bridge.to_ne_bytes().to_vec());
    append(&mut body, &[extension(SKIP_STATS), master]);
    let found = netlink.list_raw(GET_LINK, &body, parse)?;
    Ok(found.into_iter().map(|found| found.link).filter(|l| l.master == Some(bridge)).collect())
}

/// What a link has counted; none if it is not there.
pub(super) fn counters(netlink: &mut Netlink, at: At<'_>) -> Result<Option<Counters>, Refusal> {
    let body = match netlink.ask_raw(GET_LINK, &request(at, 0), 0) {
        Ok(body) => body,
        Err(Refusal::Kernel { errno: Errno::ENODEV, .. }) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let message = body.get(IFINFOMSG_LEN..).unwrap_or_default();
    let bytes = attribute(message, STATS64).unwrap_or_default();
    // `rtnl_link_stats64`: packets, bytes, errors and dropped ones, received before sent.
    let mut numbers = bytes.as_chunks().0.iter().map(|number| u64::from_ne_bytes(*number));
    let mut next = || numbers.next().unwrap_or_default();
    Ok(Some(Counters {
        received_packets: next(),
        sent_packets: next(),
        received_bytes: next(),
        sent_bytes: next(),
        received_errors: next(),
        sent_errors: next(),
        received_dropped: next(),
        sent_dropped: next(),
    }))
}

fn request(at: At<'_>, extension_mask: u32) -> Vec<u8> {
    let mut body = vec![0; IFINFOMSG_LEN];
    let name = |kind, text: &str| DefaultNla::new(kind, [text.as_bytes(), &[0]].concat());
    let address = match at {
        At::Index(index) => {
            body.iter_mut()
                .skip(INDEX_AT)
                .zip(index.to_ne_bytes())
                .for_each(|(to, from)| *to = from);
            None
        }
        At::Name(text) => Some(name(IFNAME, text)),
        At::Tag(tag) => Some(name(ALT_IFNAME, &tag.to_string())),
        At::Identity(identity) => Some(name(ALT_IFNAME, identity)),
    };
    append(&mut body, &[extension(extension_mask)]);
    append(&mut body, address.as_slice());
    body
}

fn extension(mask: u32) -> DefaultNla {
    DefaultNla::new(EXT_MASK, mask.to_ne_bytes().to_vec())
}

/// Reads an answer or a notification. The message crate would parse everything there is, which takes longer than the
/// kernel takes to tell it.
pub(super) fn parse(body: &[u8]) -> Option<Found> {
    let head = body.first_chunk::<IFINFOMSG_LEN>()?;
    let index = number(head.get(INDEX_AT..)?)?;
    let mut link = Link::new(index);
    link.up = number(head.get(FLAGS_AT..)?)? & FLAG_UP != 0;
    let (mut has_tbf, mut home) = (false, None);
    for (kind, value) in attributes(body.get(IFINFOMSG_LEN..)?) {
        match kind {
            IFNAME => text(value)?.clone_into(&mut link.name),
            ADDRESS => link.mac = <[u8; 6]>::try_from(value).ok().map(MacAddr6::from),
            MTU => link.mtu = number(value)?,
            MASTER => link.master = number(value),
            GROUP => link.group = number(value)?,
            QDISC => has_tbf = text(value) == Some("tbf"),
            IFALIAS => {
                let alias = text(value)?;
                read_alias(alias, &mut link);
                home = alias.strip_prefix(ALIAS_OF).and_then(|inode| inode.parse().ok());
            }
            PROP_LIST => {
                let mut names = attributes(value).filter(|(kind, _)| *kind == ALT_IFNAME);
                link.tag = names.find_map(|(_, name)| text(name)?.parse().ok());
            }
            LINKINFO => read_info(value, &mut link),
            AF_SPEC => read_settings(value, &mut link),
            _ => {}
        }
    }
    Some(Found { link, has_tbf, home })
}

fn read_alias(alias: &str, link: &mut Link) {
    let Some(rest) = alias.strip_prefix(ALIAS_MADE) else { return };
    let (seconds, namespace) = match rest.split_once(ALIAS_LEADS_TO) {
        Some((seconds, namespace)) => (seconds, NamespaceName::new(namespace).ok()),
        None => (rest, None),
    };
    link.made = seconds.parse().ok().map(Duration::from_secs);
    link.leads_to = namespace;
}

fn read_info(info: &[u8], link: &mut Link) {
    let mut data = &[][..];
    for (kind, value) in attributes(info) {
        match kind {
            INFO_KIND => text(value).unwrap_or_default().clone_into(&mut link.kind),
            INFO_DATA => data = value,
            INFO_SLAVE_DATA => {
                link.isolated = attribute(value, PORT_ISOLATED).is_some_and(is_set);
            }
            _ => {}
        }
    }
    match link.kind.as_str() {
        "tun" => link.tap = Some(tap(data)),
        "vxlan" => link.vxlan = vxlan(data),
        _ => {}
    }
}

fn tap(data: &[u8]) -> TapOptions {
    let flag = |kind| attribute(data, kind).is_some_and(is_set);
    TapOptions {
        uid: attribute(data, TUN_OWNER).and_then(number),
        gid: attribute(data, TUN_GROUP).and_then(number),
        multi_queue: flag(TUN_MULTI_QUEUE),
        vnet_hdr: flag(TUN_VNET_HDR),
    }
}

fn vxlan(data: &[u8]) -> Option<VxlanEnd> {
    let v4 = attribute(data, VXLAN_LOCAL).and_then(|a| <[u8; 4]>::try_from(a).ok());
    let v6 = attribute(data, VXLAN_LOCAL6).and_then(|a| <[u8; 16]>::try_from(a).ok());
    Some(VxlanEnd {
        vni: attribute(data, VXLAN_ID).and_then(number)?,
        local: v4.map(IpAddr::from).or_else(|| v6.map(IpAddr::from)),
        port: attribute(data, VXLAN_PORT)?.first_chunk().copied().map(u16::from_be_bytes)?,
        learns: attribute(data, VXLAN_LEARNING).is_some_and(is_set),
    })
}

fn read_settings(families: &[u8], link: &mut Link) {
    let values = attribute(families, AF_INET).and_then(|inet| attribute(inet, INET_CONF));
    let values = values.unwrap_or_default().as_chunks().0;
    let is_on = |setting: &LinkSetting| {
        let at = usize::from(setting.number()).checked_sub(1);
        at.and_then(|at| values.get(at)).is_some_and(|value| u32::from_ne_bytes(*value) != 0)
    };
    link.settings = LinkSetting::ALL.into_iter().filter(is_on).collect();
}

fn is_set(flag: &[u8]) -> bool {
    flag.first().is_some_and(|value| *value != 0)
}
