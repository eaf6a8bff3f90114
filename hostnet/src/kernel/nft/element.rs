//! Elements of the table's sets and map, to and from messages.

use crate::firewall::{Element, TableName};
use crate::kernel::netlink::Refusal;
use crate::spec::{DeviceName, Protocol};
use crate::tag::Tag;
use core::num::NonZeroU16;
use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{
    DataAttribute, ListAttribute, SetElementAttribute, SetElementFlags, SetElementList,
    SetElementMessage,
};
use rtnetlink::packet_core::{DefaultNla, Nla as _};
use std::net::{IpAddr, SocketAddr};

/// The user data's type-length-value entry that `nft` shows as a comment.
const COMMENT: u8 = 0;

/// `NFTA_DATA_VALUE`.
const DATA_VALUE: u16 = 1;

/// The length of an `ifname` key.
const IFNAMSIZ: usize = 16;

/// One element as the kernel tells it.
#[derive(Default)]
pub(super) struct Row {
    key: Vec<u8>,
    /// The last key of an interval of concatenated fields.
    key_end: Vec<u8>,
    data: Vec<u8>,
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

/// Takes an answer apart.
pub(super) fn rows(attributes: &[SetElementList]) -> Vec<Row> {
    let lists = attributes.iter().filter_map(|attribute| match attribute {
        SetElementList::Elements(elements) => Some(elements),
        _ => None,
    });
    lists
        .flatten()
        .filter_map(|element| match element {
            ListAttribute::Element(attributes) => Some(row(attributes)),
            _ => None,
        })
        .collect()
}

/// Reads the rows of one set. An interval has two: its start, and its end as the first address after it.
pub(super) fn read(set: &str, mut rows: Vec<Row>) -> Result<Vec<(Element, Option<Tag>)>, Refusal> {
    let strange = || Refusal::Unreadable(format!("an element of the set `{set}`"));
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
                let prefix = prefix(&start.key, end).ok_or_else(strange)?;
                let element = match set {
                    "networks4" | "networks6" => Element::Network(prefix),
                    _ => Element::Masquerade(prefix),
                };
                elements.push((element, start.tag));
            }
            Ok(elements)
        }
        "allowed4" | "allowed6" => rows
            .into_iter()
            .map(|row| Some((allowed(&row.key, &row.key_end)?, row.tag)))
            .collect::<Option<_>>()
            .ok_or_else(strange),
        "bridges" => rows
            .into_iter()
            .map(|row| Some((Element::Bridge(device(&row.key)?), row.tag)))
            .collect::<Option<_>>()
            .ok_or_else(strange),
        _ => rows
            .into_iter()
            .map(|row| Some((forward(&row.key, &row.data)?, row.tag)))
            .collect::<Option<_>>()
            .ok_or_else(strange),
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
        Element::Bridge(name) => {
            let mut key = name.as_str().as_bytes().to_vec();
            key.resize(IFNAMSIZ, 0);
            key
        }
        Element::Network(prefix) | Element::Masquerade(prefix) => octets(prefix.network()),
        Element::Allowed { from, to } => [octets(from.network()), octets(to.network())].concat(),
        Element::Forward { protocol, host_port, .. } => {
            concatenate([&[protocol.number()], &host_port.get().to_be_bytes()])
        }
    }
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

fn row(attributes: &[SetElementAttribute]) -> Row {
    let mut row = Row::default();
    for attribute in attributes {
        match attribute {
            SetElementAttribute::Key(DataAttribute::Value(bytes)) => row.key.clone_from(bytes),
            SetElementAttribute::KeyEnd(attributes) => {
                let ends = attributes.iter().filter(|nla| nla.kind() == DATA_VALUE);
                row.key_end = ends.flat_map(nla_value).collect();
            }
            SetElementAttribute::Data(DataAttribute::Value(bytes)) => row.data.clone_from(bytes),
            SetElementAttribute::UserData(bytes) => {
                row.tag = read_comment(bytes).and_then(|text| text.parse().ok());
            }
            SetElementAttribute::Flags(flags) => {
                row.is_end = flags.contains(SetElementFlags::IntervalEnd);
            }
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

fn nla_value(nla: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; nla.value_len()];
    nla.emit_value(&mut bytes);
    bytes
}

fn device(key: &[u8]) -> Option<DeviceName> {
    let len = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    DeviceName::new(core::str::from_utf8(key.get(..len)?).ok()?).ok()
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

const fn value(bytes: Vec<u8>) -> DataAttribute {
    DataAttribute::Value(bytes)
}

/// User data with one comment in it, as `nft` writes it: type, length, text and a closing NUL.
pub(super) fn comment(text: &str) -> Vec<u8> {
    // A tag has at most 124 bytes, a table's mark fewer.
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
