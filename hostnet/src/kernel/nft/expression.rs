//! The expressions our rules are made of, by the names `nft` gives them.

use crate::spec::Family;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute,
    Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict, VerdictAttribute,
};
use rtnetlink::packet_core::DefaultNla;
use std::net::Ipv6Addr;

/// One expression of a rule.
pub(super) type Expression = ListAttribute<ExpressionAttribute>;

/// The register that single values go through, and the first of a concatenation.
const FIRST: Register = Register::Reg1;
/// The second field of a concatenation whose first is 32 bits long.
const SECOND: Register = Register::Reg32_01;
/// The second field of a concatenation whose first is an IPv6 address.
const AFTER_IPV6: Register = Register::Reg2;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

const RTN_LOCAL: u32 = 2;
const IPS_DST_NAT: u32 = 1 << 5;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const LOOKUP_INVERTED: u32 = 1;

/// An address in the IP header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ip {
    Source,
    Destination,
}

/// Whether a value must be in a set, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Set,
    NotSet,
}

/// `meta nfproto ipv4`, `meta nfproto ipv6`
pub(super) fn is_of(family: Family) -> [Expression; 2] {
    [load_meta(MetaKey::Nfproto), compare(Operator::Equal, vec![number(family)])]
}

/// `iifgroup GROUP`
pub(super) fn input_device_of(group: u32) -> [Expression; 2] {
    [load_meta(MetaKey::Iifgroup), compare(Operator::Equal, group.to_ne_bytes().to_vec())]
}

/// `icmpv6 type TYPE`
pub(super) fn is_icmpv6(kind: u8) -> [Expression; 4] {
    const ICMPV6: u8 = 58;
    let load = Expressions::Payload(vec![
        Payload::DestinationRegister(FIRST),
        Payload::Base(TRANSPORT_HEADER),
        Payload::Offset(0),
        Payload::Len(1),
    ]);
    [
        load_meta(MetaKey::L4Proto),
        compare(Operator::Equal, vec![ICMPV6]),
        load.into(),
        compare(Operator::Equal, vec![kind]),
    ]
}

/// `ip6 daddr != ::1`
pub(super) fn is_not_ipv6_loopback() -> [Expression; 2] {
    let loopback = Ipv6Addr::LOCALHOST.octets().to_vec();
    [load_ip(Family::V6, Ip::Destination), compare(Operator::NotEqual, loopback)]
}

/// `ip saddr @SET`, `ip daddr != @SET`
pub(super) fn ip_in(family: Family, field: Ip, membership: In, set: &str) -> [Expression; 2] {
    [load_ip(family, field), look_up(set, membership)]
}

/// `ip saddr . ip daddr != @SET`
pub(super) fn pair_not_in(family: Family, set: &str) -> [Expression; 3] {
    let second = match family {
        Family::V4 => SECOND,
        Family::V6 => AFTER_IPV6,
    };
    [
        load_ip(family, Ip::Source),
        load_ip_into(second, family, Ip::Destination),
        look_up(set, In::NotSet),
    ]
}

/// `accept`
pub(super) fn accept() -> [Expression; 1] {
    [verdict(NF_ACCEPT)]
}

/// `ct direction reply`
pub(super) fn is_reply() -> [Expression; 2] {
    const DREG: u16 = 1;
    const KEY: u16 = 2;
    const DIRECTION: u32 = 1;
    const REPLY: u8 = 1;
    [other("ct", [(DREG, FIRST.into()), (KEY, DIRECTION)]), compare(Operator::Equal, vec![REPLY])]
}

/// `ip saddr 127.0.0.0/8`
pub(super) fn ip_is_loopback(field: Ip) -> [Expression; 3] {
    let first_byte = bitwise_and([0xff, 0, 0, 0]);
    [load_ip(Family::V4, field), first_byte, compare(Operator::Equal, vec![127, 0, 0, 0])]
}

/// `fib daddr type local`
pub(super) fn destination_is_local() -> [Expression; 2] {
    const DREG: u16 = 1;
    const RESULT: u16 = 2;
    const FLAGS: u16 = 3;
    const RESULT_ADDRESS_TYPE: u32 = 3;
    const OF_DESTINATION: u32 = 2;
    let fib = other(
        "fib",
        [(DREG, FIRST.into()), (RESULT, RESULT_ADDRESS_TYPE), (FLAGS, OF_DESTINATION)],
    );
    [fib, compare(Operator::Equal, RTN_LOCAL.to_ne_bytes().to_vec())]
}

/// `ct status dnat`
pub(super) fn is_forwarded() -> [Expression; 3] {
    const DREG: u16 = 1;
    const KEY: u16 = 2;
    const STATUS: u32 = 2;
    [
        other("ct", [(DREG, FIRST.into()), (KEY, STATUS)]),
        bitwise_and(IPS_DST_NAT.to_ne_bytes()),
        compare(Operator::NotEqual, vec![0; 4]),
    ]
}

/// `dnat ip to meta l4proto . th dport map @MAP`, `dnat ip6 to …`
pub(super) fn forward_by(family: Family, map: &str) -> [Expression; 4] {
    const TYPE: u16 = 1;
    const FAMILY: u16 = 2;
    const ADDRESS: u16 = 3;
    const PORT: u16 = 5;
    const DESTINATION: u32 = 1;
    let port = Expressions::Payload(vec![
        Payload::DestinationRegister(SECOND),
        Payload::Base(TRANSPORT_HEADER),
        Payload::Offset(2),
        Payload::Len(2),
    ]);
    let target = Expressions::Lookup(vec![
        Lookup::Set(map.to_owned()),
        Lookup::SourceRegister(FIRST),
        Lookup::DestinationRegister(FIRST),
    ]);
    let target_port = match family {
        Family::V4 => SECOND,
        Family::V6 => AFTER_IPV6,
    };
    let nat = other(
        "nat",
        [
            (TYPE, DESTINATION),
            (FAMILY, number(family).into()),
            (ADDRESS, FIRST.into()),
            (PORT, target_port.into()),
        ],
    );
    [load_meta(MetaKey::L4Proto), port.into(), target.into(), nat]
}

/// `masquerade`
pub(super) fn masquerade() -> [Expression; 1] {
    [other("masq", [])]
}

/// `drop`
pub(super) fn drop() -> [Expression; 1] {
    [verdict(NF_DROP)]
}

fn verdict(code: u32) -> Expression {
    let verdict = VerdictAttribute::Code(Verdict::Other(code));
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![verdict])),
    ])
    .into()
}

fn load_meta(key: MetaKey) -> Expression {
    Expressions::Meta(vec![Meta::DestinationRegister(FIRST), Meta::Key(key)]).into()
}

fn load_ip(family: Family, field: Ip) -> Expression {
    load_ip_into(FIRST, family, field)
}

fn load_ip_into(register: Register, family: Family, field: Ip) -> Expression {
    let offset = match (family, field) {
        (Family::V4, Ip::Source) => 12,
        (Family::V4, Ip::Destination) => 16,
        (Family::V6, Ip::Source) => 8,
        (Family::V6, Ip::Destination) => 24,
    };
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(NETWORK_HEADER),
        Payload::Offset(offset),
        Payload::Len(address_len(family)),
    ])
    .into()
}

fn look_up(set: &str, membership: In) -> Expression {
    let mut attributes = vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(FIRST)];
    if membership == In::NotSet {
        attributes.push(Lookup::Flags(LOOKUP_INVERTED));
    }
    Expressions::Lookup(attributes).into()
}

fn compare(operator: Operator, value: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(FIRST),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
    .into()
}

fn bitwise_and(mask: [u8; 4]) -> Expression {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(FIRST),
        Bitwise::DestinationRegister(FIRST),
        Bitwise::Length(4),
        Bitwise::Mask(DataAttribute::Value(mask.to_vec())),
        Bitwise::Xor(DataAttribute::Value(vec![0; 4])),
    ])
    .into()
}

/// An expression that the message crate has no type for: numbers by attribute.
fn other<const N: usize>(kind: &str, attributes: [(u16, u32); N]) -> Expression {
    let attributes = attributes
        .into_iter()
        .map(|(attribute, value)| DefaultNla::new(attribute, value.to_be_bytes().to_vec()))
        .collect();
    Expressions::Other { expression_type: kind.to_owned(), attributes }.into()
}

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// The length of an address in bytes.
const fn address_len(family: Family) -> u32 {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}
