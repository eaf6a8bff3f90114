//! Netlink attributes as bytes: what the message crates have no type for, or take long to parse.

use rtnetlink::packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED};
use std::net::IpAddr;

/// `NLA_F_NET_BYTEORDER`: set beside the kind, as is `NLA_F_NESTED`.
const NET_BYTEORDER: u16 = 0x4000;

/// The attributes in these bytes, each with its kind and value; what is torn is left out.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (head, _) = bytes.split_first_chunk::<4>()?;
        let [a, b, c, d] = *head;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !(NLA_F_NESTED | NET_BYTEORDER), value))
    })
}

/// The first attribute of this kind.
pub(super) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// An attribute that holds others.
pub(super) fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}

/// Adds attributes to the end of a message.
pub(super) fn append(body: &mut Vec<u8>, attributes: &[DefaultNla]) {
    let start = body.len();
    body.resize(start + attributes.buffer_len(), 0);
    attributes.emit(body.get_mut(start..).unwrap_or_default());
}

/// An attribute with an IP address.
pub(super) fn address(kind: u16, address: IpAddr) -> DefaultNla {
    DefaultNla::new(
        kind,
        match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        },
    )
}

/// Reads an IP address.
pub(super) fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// `AF_INET`, `AF_INET6`.
pub(super) const fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

/// A number as the host has it.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

/// A text that ends at its first NUL.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()
}
