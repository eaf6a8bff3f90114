//! Requests about links. A link of ours is addressed by its tag, in the same message that acts on it.

use super::attributes::nest;
use super::netlink::{Netlink, Refusal};
use crate::op::{DeviceSetup, LinkSetting, VethEnd};
use crate::spec::{DeviceName, NamespaceName, Vxlan};
use crate::tag::{Tag, birth_group};
use core::time::Duration;
use macaddr::MacAddr6;
use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, Prop,
};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVxlan};
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `IFLA_ALT_IFNAME`, which addresses a link outside of a property list.
pub(super) const ALT_IFNAME: u16 = 53;
/// `IFLA_AF_SPEC` and what is nested in it, in the form the kernel takes on change.
const AF_SPEC: u16 = 26;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const INET_CONF: u16 = 1;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// What every alias of ours starts with; the time of making follows.
pub(super) const ALIAS_MADE: &str = "hostnet: made at ";
/// What follows it on a device that leads to a namespace.
pub(super) const ALIAS_LEADS_TO: &str = " netns ";

/// What the alias of a VM's namespace's `lo` starts with; the inode number of the namespace that it was made in follows.
pub(super) const ALIAS_OF: &str = "hostnet: of netns ";

/// How a link is addressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    Index(u32),
    Name(&'a str),
    Tag(&'a Tag),
    /// By its tag without the generation.
    Identity(&'a str),
}

impl At<'_> {
    fn message<T: Default>(self, message: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        match self {
            At::Index(index) => message.index(index),
            At::Name(name) => message.name(name),
            At::Tag(tag) => message.append_extra_attribute(alternative_name(&tag.to_string())),
            At::Identity(identity) => message.append_extra_attribute(alternative_name(identity)),
        }
    }
}

/// Makes a bridge, down, in its owner's birth group. A name that is taken is an error.
pub(super) fn create_bridge(
    netlink: &mut Netlink,
    index: u32,
    name: &DeviceName,
    mac: MacAddr6,
    mtu: u32,
    tag: &Tag,
) -> Result<(), Refusal> {
    let message = LinkBridge::new(name.as_str())
        .index(index)
        .down()
        .address(mac.as_bytes().to_vec())
        .mtu(mtu)
        .link_group(birth_group(tag.owner()));
    netlink.request(RouteNetlinkMessage::NewLink(message.build()), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a veth pair: `here` in the namespace of the socket, up; `there` in the one given, or here too, down.
pub(super) fn create_veth(
    netlink: &mut Netlink,
    (here, here_index): (&VethEnd, u32),
    (there, there_index): (&VethEnd, u32),
    outside: Option<BorrowedFd<'_>>,
    mtu: u32,
) -> Result<(), Refusal> {
    let peer = end(LinkMessageBuilder::<LinkUnspec>::default(), there, there_index, mtu);
    let peer = match outside {
        Some(netns) => peer.setns_by_fd(netns.as_raw_fd()),
        None => peer,
    };
    let pair = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
    let message = end(pair, here, here_index, mtu).up().build();
    netlink.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn end(
    message: LinkMessageBuilder<LinkUnspec>,
    end: &VethEnd,
    index: u32,
    mtu: u32,
) -> LinkMessageBuilder<LinkUnspec> {
    let message = message.name(end.name.as_str()).index(index).mtu(mtu).link_group(end.setup.group);
    match end.mac {
        Some(mac) => message.address(mac.as_bytes().to_vec()),
        None => message,
    }
}

/// Makes a VXLAN device, down, in its owner's birth group.
pub(super) fn create_vxlan(
    netlink: &mut Netlink,
    index: u32,
    vxlan: &Vxlan,
    mtu: u32,
    tag: &Tag,
) -> Result<(), Refusal> {
    let message = LinkVxlan::new(vxlan.device().as_str(), vxlan.vni())
        .port(vxlan.port().get())
        .learning(vxlan.learns())
        .index(index)
        .mtu(mtu)
        .link_group(birth_group(tag.owner()));
    let message = match vxlan.local() {
        IpAddr::V4(local) => message.local(local),
        IpAddr::V6(local) => message.local6(local),
    };
    netlink.request(RouteNetlinkMessage::NewLink(message.build()), NLM_F_CREATE | NLM_F_EXCL)
}

/// How a link of ours is set up before it is tagged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setup<'a> {
    pub(super) mac: Option<MacAddr6>,
    pub(super) mtu: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) settings: &'a [LinkSetting],
    /// The namespace it leads to.
    pub(super) leads_to: Option<&'a NamespaceName>,
}

impl Setup<'_> {
    /// What a guest's device is set up with besides.
    pub(super) const fn of(setup: DeviceSetup) -> Self {
        let settings: &[_] = if setup.proxy { &LinkSetting::OF_ROUTED } else { &[] };
        Self { mac: None, mtu: None, group: Some(setup.group), settings, leads_to: None }
    }
}

/// Sets a new link up and notes when it was made. IPv6 autoconfiguration is turned off: on the host's side it
/// serves nobody, and its multicast reaches every port of the bridge.
pub(super) fn set_up(
    netlink: &mut Netlink,
    at: At<'_>,
    setup: Setup<'_>,
    made: Duration,
) -> Result<(), Refusal> {
    let mut alias = format!("{ALIAS_MADE}{}", made.as_secs());
    if let Some(namespace) = setup.leads_to {
        alias.push_str(ALIAS_LEADS_TO);
        alias.push_str(namespace.as_str());
    }
    let address_mode = DefaultNla::new(INET6_ADDR_GEN_MODE, vec![ADDR_GEN_MODE_NONE]);
    let mut families = vec![nest(AF_INET6, &[address_mode])];
    if !setup.settings.is_empty() {
        families.push(settings(setup.settings.iter().map(|setting| (*setting, true))));
    }
    let mut message = LinkMessageBuilder::<LinkUnspec>::default()
        .alias(alias)
        .append_extra_attribute(LinkAttribute::Other(nest(AF_SPEC, &families)));
    message = at.message(message);
    if let Some(mac) = setup.mac {
        message = message.address(mac.as_bytes().to_vec());
    }
    if let Some(mtu) = setup.mtu {
        message = message.mtu(mtu);
    }
    if let Some(group) = setup.group {
        message = message.link_group(group);
    }
    change(netlink, message)
}

/// Turns a setting of a link on or off.
pub(super) fn set_setting(
    netlink: &mut Netlink,
    at: At<'_>,
    setting: LinkSetting,
    on: bool,
) -> Result<(), Refusal> {
    let families = nest(AF_SPEC, &[settings([(setting, on)].into_iter())]);
    let message = LinkMessageBuilder::<LinkUnspec>::default()
        .append_extra_attribute(LinkAttribute::Other(families));
    change(netlink, at.message(message))
}

/// Notes on a VM's namespace's `lo` which namespace it was made in, for those that share a /run/netns.
pub(super) fn set_home(netlink: &mut Netlink, home: u64) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().alias(format!("{ALIAS_OF}{home}"));
    change(netlink, At::Name("lo").message(message))
}

/// Tags a link, with the generation and without. A tag that another link has is an error.
pub(super) fn tag(netlink: &mut Netlink, at: At<'_>, tag: &Tag) -> Result<(), Refusal> {
    let names = [tag.to_string(), tag.identity()].map(Prop::AltIfName);
    let property = LinkAttribute::PropList(names.to_vec());
    let message = at.message(LinkMessageBuilder::<LinkUnspec>::default());
    let message = message.append_extra_attribute(property).build();
    netlink.request(RouteNetlinkMessage::NewLinkProp(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a link a port of the bridge with this index, or of none with index 0.
pub(super) fn set_master(netlink: &mut Netlink, at: At<'_>, bridge: u32) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().controller(bridge);
    change(netlink, at.message(message))
}

/// Keeps a port from the bridge's other isolated ports, or does not, and brings it up or down.
pub(super) fn set_port(
    netlink: &mut Netlink,
    at: At<'_>,
    isolated: bool,
    state: State,
) -> Result<(), Refusal> {
    let message = port(at, isolated);
    let message = match state {
        State::Up => message.up(),
        State::Down => message.down(),
    };
    netlink.request(RouteNetlinkMessage::NewLink(message.build()), 0)
}

/// Keeps a port from the bridge's other isolated ports, or does not.
pub(super) fn set_isolation(
    netlink: &mut Netlink,
    at: At<'_>,
    isolated: bool,
) -> Result<(), Refusal> {
    netlink.request(RouteNetlinkMessage::NewLink(port(at, isolated).build()), 0)
}

fn port(at: At<'_>, isolated: bool) -> LinkMessageBuilder<LinkUnspec> {
    let message = LinkMessageBuilder::<LinkUnspec>::default()
        .set_port_kind(InfoPortKind::Bridge)
        .set_port_data(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(isolated)]));
    at.message(message)
}

pub(super) fn set_state(netlink: &mut Netlink, at: At<'_>, state: State) -> Result<(), Refusal> {
    let message = at.message(LinkMessageBuilder::<LinkUnspec>::default());
    change(
        netlink,
        match state {
            State::Up => message.up(),
            State::Down => message.down(),
        },
    )
}

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Up,
    Down,
}

pub(super) fn set_mac(netlink: &mut Netlink, at: At<'_>, mac: MacAddr6) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().address(mac.as_bytes().to_vec());
    change(netlink, at.message(message))
}

pub(super) fn set_mtu(netlink: &mut Netlink, at: At<'_>, mtu: u32) -> Result<(), Refusal> {
    change(netlink, at.message(LinkMessageBuilder::<LinkUnspec>::default().mtu(mtu)))
}

/// Renames a link. The index is needed since a name in the message is the new name.
pub(super) fn rename(netlink: &mut Netlink, index: u32, to: &str) -> Result<(), Refusal> {
    change(netlink, LinkUnspec::new_with_index(index).name(to))
}

/// Deletes the link that has this tag at the moment of deletion; no other can be hit.
pub(super) fn delete(netlink: &mut Netlink, at: At<'_>) -> Result<(), Refusal> {
    let message = at.message(LinkMessageBuilder::<LinkUnspec>::default()).build();
    netlink.request(RouteNetlinkMessage::DelLink(message), 0)
}

/// Puts a link into a group.
pub(super) fn set_group(netlink: &mut Netlink, at: At<'_>, group: u32) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().link_group(group);
    change(netlink, at.message(message))
}

/// Deletes all links of a group at once. An empty group is an error (`ENODEV`).
pub(super) fn delete_group(netlink: &mut Netlink, group: u32) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().link_group(group).build();
    netlink.request(RouteNetlinkMessage::DelLink(message), 0)
}

fn change<T>(netlink: &mut Netlink, message: LinkMessageBuilder<T>) -> Result<(), Refusal> {
    netlink.request(RouteNetlinkMessage::SetLink(message.build()), 0)
}

fn alternative_name(text: &str) -> LinkAttribute {
    LinkAttribute::Other(DefaultNla::new(ALT_IFNAME, [text.as_bytes(), &[0]].concat()))
}

/// The IPv4 settings of a link in the form of a change, which differs from the form they are read in: by number.
fn settings(settings: impl Iterator<Item = (LinkSetting, bool)>) -> DefaultNla {
    let setting = |(setting, on): (LinkSetting, bool)| {
        DefaultNla::new(setting.number(), u32::from(on).to_ne_bytes().to_vec())
    };
    nest(AF_INET, &[nest(INET_CONF, &settings.map(setting).collect::<Vec<_>>())])
}

impl LinkSetting {
    pub(super) const ALL: [Self; 3] =
        [Self::RouteLocalnet, Self::PromoteSecondaries, Self::ProxyArp];

    /// `IPV4_DEVCONF_*` of `linux/ip.h`.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::ProxyArp => 3,
            Self::PromoteSecondaries => 20,
            Self::RouteLocalnet => 26,
        }
    }
}
