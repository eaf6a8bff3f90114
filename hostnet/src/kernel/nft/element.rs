//! Elements of the table's sets and map, to and from messages.

use super::expression::{limit_over, name_bytes};
use crate::firewall::{Element, TableFamily, TableName};
use crate::kernel::attributes::{attribute, attributes, nest};
use crate::spec::{DeviceName, Protocol, Rate};
use crate::tag::Tag;
use core::num::{NonZeroU16, NonZeroU64};
use ipnet::IpNet;
use macaddr::MacAddr6;
use netlink_packet_netfilter::nftables::{
    DataAttribute, ListAttribute, SetElementAttribute, SetElementFlags, SetElementList,
    SetElementMessage,
};
use rtnetlink::packet_core::DefaultNla;
use std::net::{IpAddr, SocketAddr};

/// The user data's type-length-value entry that `nft` shows as a comment.
const COMMENT: u8 = 0;

/// The length of a device's name as a key.
const NAME_LEN: usize = 16;
/// The length of the header before the attributes, `nfgenmsg`.
const NFGENMSG_LEN: usize = 4;
/// `NFTA_RULE_USERDATA`, `NFTA_SET_ELEM_LIST_ELEMENTS`, `NFTA_DATA_VALUE` and `NFTA_SET_ELEM_*` of `linux/netfilter/nf_tables.h`.
const RULE_USERDATA: u16 = 7;
const LIST_ELEMENTS: u16 = 3;
const DATA_VALUE: u16 = 1;
const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const ELEM_FLAGS: u16 = 3;
const ELEM_USERDATA: u16 = 6;
const ELEM_EXPR: u16 = 7;
const ELEM_KEY_END: u16 = 10;
/// `NFTA_EXPR_NAME`, `NFTA_EXPR_DATA`, `NFTA_LIMIT_RATE` and `NFTA_LIMIT_BURST`.
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const LIMIT_RATE: u16 = 1;
const LIMIT_BURST: u16 = 3;
/// `NFT_SET_ELEM_INTERVAL_END`, in the last byte of the flags, which are in network order.
const INTERVAL_END: u8 = 1;

/// One element as the kernel tells it.
#[derive(Default)]
pub(super) struct Row {
    key: Vec<u8>,
    /// The last key of an interval of concatenated fields.
    key_end: Vec<u8>,
    data: Vec<u8>,
    limit: Option<Rate>,
    tag: Option<Tag>,
    is_end: bool,
}

/// An element with everything, to be added.
pub(super) fn full(table: &TableName, element: &Element, tag: &Tag) -> SetElementMessage {
    let mut first = keys(element);
    if let Element::Forward { to, .. } = element {
        let target = concatenate([&octets(to.ip()), &to.port().to_be_bytes()]);
        first.push(SetElementAttribute::Data(value(target)));
    }
    if let Element::Limit { rate, .. } = element {
        let (name, parameters) = limit_over(*rate);
        let name = [name.as_bytes(), &[0]].concat();
        let expression = [DefaultNla::new(EXPR_NAME, name), nest(EXPR_DATA, &parameters)];
        first.push(SetElementAttribute::Other(nest(ELEM_EXPR, &expression)));
    }
    first.push(SetElementAttribute::UserData(comment(&tag.to_string())));
    message(table, element, first)
}

/// An element's key alone, to be asked for or deleted.
pub(super) fn key_only(table: &TableName, element: &Element) -> SetElementMessage {
    message(table, element, keys(element))
}

/// All elements of a set, to be asked for.
pub(super) fn whole_set(table: &TableName, set: &str) -> SetElementMessage {
    let attributes =
        vec![SetElementList::Table(table.to_string()), SetElementList::Set(set.to_owned())];
    SetElementMessage { attributes }
}

/// Takes an answer apart, without the help of the message crate: its parser formats every element's bytes into an error
/// text that nobody reads, half a millisecond each.
pub(super) fn rows(body: &[u8]) -> Vec<Row> {
    let message = body.get(NFGENMSG_LEN..).unwrap_or_default();
    attribute(message, LIST_ELEMENTS)
        .into_iter()
        .flat_map(attributes)
        .map(|(_, e)| row(e))
        .collect()
}

/// The comment of a rule, as the kernel tells the rule.
pub(super) fn rule_mark(body: &[u8]) -> Option<String> {
    let message = body.get(NFGENMSG_LEN..).unwrap_or_default();
    attribute(message, RULE_USERDATA).and_then(read_comment).map(str::to_owned)
}

/// Reads the rows of one set. An interval has two: its start, and its end as the first address after it. What is of
/// no form of ours was put there by somebody else, and is left out.
pub(super) fn read(
    family: TableFamily,
    set: &str,
    mut rows: Vec<Row>,
) -> Vec<(Element, Option<Tag>)> {
    match set {
        "networks4" | "networks6" | "masquerade4" | "masquerade6" => {
            // Where one interval ends and another starts at the same key, the end comes first.
            rows.sort_by(|a, b| (&a.key, !a.is_end).cmp(&(&b.key, !b.is_end)));
            let mut elements = Vec::new();
            let mut rows = rows.into_iter().peekable();
            while let Some(start) = rows.next() {
                if start.is_end {
                    continue;
                }
                let end = rows.peek().filter(|row| row.is_end).map(|row| row.key.as_slice());
                let Some(prefix) = prefix(&start.key, end) else { continue };
                let element = match set {
                    "networks4" | "networks6" => Element::Network(prefix),
                    _ => Element::Masquerade(prefix),
                };
                elements.push((element, start.tag));
            }
            elements
        }
        "allowed4" | "allowed6" => rows
            .into_iter()
            .filter_map(|row| Some((allowed(&row.key, &row.key_end)?, row.tag)))
            .collect(),
        "forward4" | "forward6" => rows
            .into_iter()
            .filter_map(|row| Some((forward(&row.key, &row.data)?, row.tag)))
            .collect(),
        _ => rows
            .into_iter()
            .filter_map(|row| Some((of_guest(family, set, &row)?, row.tag)))
            .collect(),
    }
}

fn message(
    table: &TableName,
    element: &Element,
    first: Vec<SetElementAttribute>,
) -> SetElementMessage {
    let mut elements = vec![ListAttribute::Element(first)];
    if let Element::Network(prefix) | Element::Masquerade(prefix) = element
        && let Some(after) = after(prefix.broadcast())
    {
        elements.push(ListAttribute::Element(vec![
            SetElementAttribute::Key(value(octets(after))),
            SetElementAttribute::Flags(SetElementFlags::IntervalEnd),
        ]));
    }
    let mut message = whole_set(table, element.set());
    message.attributes.push(SetElementList::Elements(elements));
    message
}

/// The key, and the end of it where it is an interval of concatenated fields.
fn keys(element: &Element) -> Vec<SetElementAttribute> {
    let mut keys = vec![SetElementAttribute::Key(value(key(element)))];
    if let Element::Allowed { from, to } = element {
        let end = [octets(from.broadcast()), octets(to.broadcast())].concat();
        keys.push(SetElementAttribute::KeyEnd(vec![DefaultNla::new(DATA_VALUE, end)]));
    }
    keys
}

fn key(element: &Element) -> Vec<u8> {
    match element {
        Element::Network(prefix) | Element::Masquerade(prefix) => octets(prefix.network()),
        Element::Allowed { from, to } => [octets(from.network()), octets(to.network())].concat(),
        Element::Forward { protocol, host_port, .. } => {
            concatenate([&[protocol.number()], &host_port.get().to_be_bytes()])
        }
        Element::Sender { port, mac, address: None, .. } => of_port(port, *mac, &[]),
        Element::Sender { port, mac, address: Some(address), .. } => {
            of_port(port, *mac, &octets(*address))
        }
        Element::Announced { port, mac, address } => of_port(port, *mac, &address.octets()),
        Element::Limit { port, .. } => name_bytes(port),
    }
}

/// A device's name, a MAC, and perhaps an address.
fn of_port(port: &DeviceName, mac: MacAddr6, address: &[u8]) -> Vec<u8> {
    let port_and_mac = [name_bytes(port), mac.as_bytes().to_vec()].concat();
    concatenate([&port_and_mac, address])
}

/// Concatenated fields start at multiples of four bytes.
fn concatenate(fields: [&[u8]; 2]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    for field in fields {
        bytes.extend_from_slice(field);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn row(element: &[u8]) -> Row {
    let mut row = Row::default();
    let value = |bytes| attribute(bytes, DATA_VALUE).unwrap_or_default().to_vec();
    for (kind, bytes) in attributes(element) {
        match kind {
            ELEM_KEY => row.key = value(bytes),
            ELEM_KEY_END => row.key_end = value(bytes),
            ELEM_DATA => row.data = value(bytes),
            ELEM_FLAGS => row.is_end = bytes.last().is_some_and(|flags| flags & INTERVAL_END != 0),
            ELEM_EXPR => row.limit = limit(bytes),
            ELEM_USERDATA => row.tag = read_comment(bytes).and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    row
}

/// The prefix that starts at `start` and ends before `end`, or at the end of the address space.
fn prefix(start: &[u8], end: Option<&[u8]>) -> Option<IpNet> {
    let first = address(start)?;
    let longest = if first.is_ipv4() { 32 } else { 128 };
    let end = match end {
        Some(end) => Some(address(end)?),
        None => None,
    };
    (0..=longest)
        .filter_map(|len| IpNet::new(first, len).ok())
        .find(|prefix| prefix.network() == first && after(prefix.broadcast()) == end)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The next address; none after the last.
fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => Some(IpAddr::V4(u32::from(address).checked_add(1)?.into())),
        IpAddr::V6(address) => Some(IpAddr::V6(u128::from(address).checked_add(1)?.into())),
    }
}

fn allowed(start: &[u8], end: &[u8]) -> Option<Element> {
    let half = start.len() / 2;
    let (from, to) = start.split_at_checked(half)?;
    let (from_end, to_end) = end.split_at_checked(half)?;
    let between = |first: &[u8], last: &[u8]| match after(address(last)?) {
        Some(end) => prefix(first, Some(&octets(end))),
        None => prefix(first, None),
    };
    Some(Element::Allowed { from: between(from, from_end)?, to: between(to, to_end)? })
}

fn forward(key: &[u8], data: &[u8]) -> Option<Element> {
    let (protocol, host_port) = key.split_first_chunk::<4>()?;
    // The port has four bytes to itself, of which it uses two.
    let (to, guest_port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    let port = |field: &[u8]| Some(u16::from_be_bytes(*field.first_chunk()?));
    Some(Element::Forward {
        protocol: Protocol::from_number(*protocol.first()?)?,
        host_port: NonZeroU16::new(port(host_port)?)?,
        to: SocketAddr::new(address(to)?, port(guest_port)?),
    })
}

fn of_guest(family: TableFamily, set: &str, row: &Row) -> Option<Element> {
    let (name, rest) = row.key.split_at_checked(NAME_LEN)?;
    let name = name.split(|byte| *byte == 0).next()?;
    let port = DeviceName::new(core::str::from_utf8(name).ok()?).ok()?;
    if set == "limits" {
        return Some(Element::Limit { family, port, rate: row.limit? });
    }
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let mac = MacAddr6::from(*mac);
    // The MAC has eight bytes to itself, of which it uses six.
    let address = rest.get(2..)?;
    match set {
        "senders" => Some(Element::Sender { family, port, mac, address: None }),
        "announced6" => {
            let address = <[u8; 16]>::try_from(address).ok()?.into();
            Some(Element::Announced { port, mac, address })
        }
        _ => Some(Element::Sender { family, port, mac, address: Some(self::address(address)?) }),
    }
}

fn limit(expression: &[u8]) -> Option<Rate> {
    let data = attribute(expression, EXPR_DATA)?;
    let rate = attribute(data, LIMIT_RATE)?.first_chunk().copied().map(u64::from_be_bytes)?;
    let burst = attribute(data, LIMIT_BURST)?.first_chunk().copied().map(u32::from_be_bytes)?;
    Some(Rate::new(NonZeroU64::new(rate)?).with_burst(burst))
}

const fn value(bytes: Vec<u8>) -> DataAttribute {
    DataAttribute::Value(bytes)
}

/// User data with one comment in it, as `nft` writes it: type, length, text and a closing NUL.
pub(super) fn comment(text: &str) -> Vec<u8> {
    // A tag has at most 127 bytes, a table's mark fewer.
    let len = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![COMMENT, len];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment in this user data.
pub(super) fn read_comment(mut bytes: &[u8]) -> Option<&str> {
    while let [kind, len, rest @ ..] = bytes {
        let (text, after) = rest.split_at_checked(usize::from(*len))?;
        if *kind == COMMENT {
            return core::str::from_utf8(text.strip_suffix(&[0]).unwrap_or(text)).ok();
        }
        bytes = after;
    }
    None
}
