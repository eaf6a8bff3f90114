//! Requests about links. A link of ours is addressed by its tag, in the same message that acts on it.

use super::netlink::{Netlink, Refusal};
use crate::error::Errno;
use crate::observed::Link;
use crate::spec::DeviceName;
use crate::tag::{Tag, birth_group};
use core::time::Duration;
use macaddr::MacAddr6;
use rtnetlink::packet_core::{DefaultNla, Emitable as _, NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, Prop,
};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec};

/// `IFLA_ALT_IFNAME`, which addresses a link outside of a property list.
const ALT_IFNAME: u16 = 53;
/// `IFLA_AF_SPEC` and what is nested in it, in the form the kernel takes on change.
const AF_SPEC: u16 = 26;
const NESTED: u16 = 0x8000;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const INET_CONF: u16 = 1;
const PROMOTE_SECONDARIES: u16 = 20;
const ROUTE_LOCALNET: u16 = 26;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// What every alias of ours starts with; the time of making follows.
const ALIAS_MADE: &str = "hostnet: made at ";

/// How a link is addressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    Index(u32),
    Name(&'a str),
    Tag(&'a Tag),
}

impl At<'_> {
    fn message<T: Default>(self, message: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        match self {
            At::Index(index) => message.index(index),
            At::Name(name) => message.name(name),
            At::Tag(tag) => message.append_extra_attribute(alternative_name(tag)),
        }
    }
}

/// Finds one link.
pub(super) fn find(netlink: &mut Netlink, at: At<'_>) -> Result<Option<Link>, Refusal> {
    let message = at.message(LinkMessageBuilder::<LinkUnspec>::default()).build();
    // The statistics are most of an answer's bytes.
    match netlink.get(RouteNetlinkMessage::GetLink(without_statistics(message))) {
        Ok(RouteNetlinkMessage::NewLink(message)) => Ok(Some(parse(&message))),
        Ok(_) => Err(Refusal::Unreadable("not a link".to_owned())),
        Err(Refusal::Kernel { errno: Errno::ENODEV, .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// All links.
pub(super) fn list(netlink: &mut Netlink) -> Result<Vec<Link>, Refusal> {
    dump(netlink, LinkMessage::default())
}

/// The names of a bridge's ports.
pub(super) fn ports(netlink: &mut Netlink, bridge: u32) -> Result<Vec<String>, Refusal> {
    let mut message = LinkMessage::default();
    // With strict checking the kernel dumps these alone.
    message.attributes.push(LinkAttribute::Controller(bridge));
    let links = dump(netlink, message)?.into_iter();
    Ok(links.filter(|link| link.master == Some(bridge)).map(|link| link.name).collect())
}

fn dump(netlink: &mut Netlink, message: LinkMessage) -> Result<Vec<Link>, Refusal> {
    let messages = netlink.dump(&RouteNetlinkMessage::GetLink(without_statistics(message)))?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(message) => Some(parse(message)),
            _ => None,
        })
        .collect())
}

/// Makes a bridge, down, in its owner's birth group. A name that is taken is an error.
pub(super) fn create_bridge(
    netlink: &mut Netlink,
    index: u32,
    name: &DeviceName,
    mac: MacAddr6,
    mtu: Option<u32>,
    tag: &Tag,
) -> Result<(), Refusal> {
    let mut message = LinkBridge::new(name.as_str())
        .index(index)
        .down()
        .address(mac.as_bytes().to_vec())
        .link_group(birth_group(tag.owner()));
    if let Some(mtu) = mtu {
        message = message.mtu(mtu);
    }
    netlink.request(RouteNetlinkMessage::NewLink(message.build()), NLM_F_CREATE | NLM_F_EXCL)
}

/// How a link of ours is set up before it is tagged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setup {
    pub(super) mac: Option<MacAddr6>,
    pub(super) mtu: Option<u32>,
    /// Whether it is a bridge, by which packets from 127.0.0.1 may leave, for forwards that are used from the host itself.
    pub(super) bridge: bool,
}

/// Sets a new link up and notes when it was made. IPv6 autoconfiguration is turned off: on the host's side it
/// serves nobody, and its multicast reaches every port of the bridge.
pub(super) fn set_up(
    netlink: &mut Netlink,
    at: At<'_>,
    setup: Setup,
    made: Duration,
) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default()
        .alias(format!("{ALIAS_MADE}{}", made.as_secs()))
        .append_extra_attribute(family_settings(setup.bridge));
    let message = at.message(message);
    let message = match setup.mac {
        Some(mac) => message.address(mac.as_bytes().to_vec()),
        None => message,
    };
    let message = match setup.mtu {
        Some(mtu) => message.mtu(mtu),
        None => message,
    };
    change(netlink, message)
}

/// Tags a link. A tag that another link has is an error.
pub(super) fn tag(netlink: &mut Netlink, at: At<'_>, tag: &Tag) -> Result<(), Refusal> {
    let property = LinkAttribute::PropList(vec![Prop::AltIfName(tag.to_string())]);
    let message = at.message(LinkMessageBuilder::<LinkUnspec>::default());
    let message = message.append_extra_attribute(property).build();
    netlink.request(RouteNetlinkMessage::NewLinkProp(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a link a port of the bridge with this index, and brings it up.
pub(super) fn attach(netlink: &mut Netlink, at: At<'_>, bridge: u32) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().controller(bridge).up();
    change(netlink, at.message(message))
}

/// Makes a link a port of this bridge, or of none, and brings it up or down.
pub(super) fn restore_port(
    netlink: &mut Netlink,
    at: At<'_>,
    master: Option<u32>,
    state: State,
) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::default().controller(master.unwrap_or(0));
    let message = match state {
        State::Up => message.up(),
        State::Down => message.down(),
    };
    change(netlink, at.message(message))
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

fn without_statistics(mut message: LinkMessage) -> LinkMessage {
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

fn alternative_name(tag: &Tag) -> LinkAttribute {
    let mut text = tag.to_string().into_bytes();
    text.push(0);
    LinkAttribute::Other(DefaultNla::new(ALT_IFNAME, text))
}

/// `IFLA_AF_SPEC` in the form of a change, which differs from the form it is read in: settings by number.
fn family_settings(bridge: bool) -> LinkAttribute {
    let address_mode = DefaultNla::new(INET6_ADDR_GEN_MODE, vec![ADDR_GEN_MODE_NONE]);
    let mut families = vec![nest(AF_INET6, &[address_mode])];
    if bridge {
        // Without promotion the removal of one address takes the later ones of its prefix with it, strangers' included.
        let on = |setting| DefaultNla::new(setting, 1_u32.to_ne_bytes().to_vec());
        let settings = nest(INET_CONF, &[on(PROMOTE_SECONDARIES), on(ROUTE_LOCALNET)]);
        families.push(nest(AF_INET, &[settings]));
    }
    LinkAttribute::Other(nest(AF_SPEC, &families))
}

fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    DefaultNla::new(kind | NESTED, bytes)
}

fn parse(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: String::new(),
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        master: None,
        group: 0,
        tag: None,
        made: None,
        addresses: Vec::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                link.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr6::from);
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(master) => link.master = Some(*master),
            LinkAttribute::Group(group) => link.group = *group,
            LinkAttribute::IfAlias(alias) => link.made = made(alias),
            LinkAttribute::PropList(properties) => {
                link.tag = properties.iter().find_map(|property| match property {
                    Prop::AltIfName(name) => name.parse().ok(),
                    _ => None,
                });
            }
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn made(alias: &str) -> Option<Duration> {
    alias.strip_prefix(ALIAS_MADE)?.parse().ok().map(Duration::from_secs)
}
