//! The expressions our rules are made of, by the names `nft` gives them.

use crate::spec::{DeviceName, Family, Rate};
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute,
    Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict, VerdictAttribute,
};
use rtnetlink::packet_core::DefaultNla;
use std::net::{IpAddr, Ipv6Addr};

/// One expression of a rule.
pub(super) type Expression = ListAttribute<ExpressionAttribute>;

/// The register that single values go through, and the first of a concatenation.
const FIRST: Register = Register::Reg1;
/// The second field of a concatenation whose first is 32 bits long.
const SECOND: Register = Register::Reg32_01;
/// The second field of a concatenation whose first is an IPv6 address or a device's name.
const AFTER_16: Register = Register::Reg2;
/// The third field of a concatenation of a device's name, a MAC and something else.
const THIRD: Register = Register::Reg32_06;

const LINK_HEADER: u32 = 0;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

const RTN_LOCAL: u32 = 2;
const IPS_DST_NAT: u32 = 1 << 5;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const LOOKUP_INVERTED: u32 = 1;

const ICMPV6: u8 = 58;
const UDP: u8 = 17;
/// Where an ARP packet for IPv4 over Ethernet has its sender's address (RFC 826).
const ARP_SOURCE_IP: u32 = 14;
/// `NFTA_NAT_*`, `NFTA_LIMIT_*` of `linux/netfilter/nf_tables.h`.
const NAT_TYPE: u16 = 1;
const NAT_FAMILY: u16 = 2;
const NAT_ADDRESS: u16 = 3;
const NAT_PORT: u16 = 5;
const NAT_DESTINATION: u32 = 1;
const LIMIT_RATE: u16 = 1;
const LIMIT_UNIT: u16 = 2;
const LIMIT_BURST: u16 = 3;
const LIMIT_TYPE: u16 = 4;
const LIMIT_FLAGS: u16 = 5;

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

/// `iifgroup != GROUP`
pub(super) fn input_device_not_of(group: u32) -> [Expression; 2] {
    [load_meta(MetaKey::Iifgroup), compare(Operator::NotEqual, group.to_ne_bytes().to_vec())]
}

/// `iifname "DEVICE"`
pub(super) fn input_device(name: &DeviceName) -> [Expression; 2] {
    [load_meta(MetaKey::Iifname), compare(Operator::Equal, name_bytes(name))]
}

/// `oifname "DEVICE"`
pub(super) fn output_device(name: &DeviceName) -> [Expression; 2] {
    [load_meta(MetaKey::Oifname), compare(Operator::Equal, name_bytes(name))]
}

/// `iifname @SET`
pub(super) fn input_device_in(set: &str) -> [Expression; 2] {
    [load_meta(MetaKey::Iifname), look_up(set, In::Set)]
}

/// `ether type TYPE`
pub(super) fn is_ether(kind: u16) -> [Expression; 2] {
    let load = load(FIRST, LINK_HEADER, 12, 2);
    [load, compare(Operator::Equal, kind.to_be_bytes().to_vec())]
}

/// `meta l4proto PROTOCOL`
pub(super) fn is_protocol(number: u8) -> [Expression; 2] {
    [load_meta(MetaKey::L4Proto), compare(Operator::Equal, vec![number])]
}

/// `icmpv6 type TYPE`
pub(super) fn is_icmpv6(kind: u8) -> [Expression; 4] {
    let [load_protocol, is_icmpv6] = is_protocol(ICMPV6);
    let load_kind = load(FIRST, TRANSPORT_HEADER, 0, 1);
    [load_protocol, is_icmpv6, load_kind, compare(Operator::Equal, vec![kind])]
}

/// `udp sport PORT`, `udp dport PORT`
pub(super) fn is_udp(field: Ip, port: u16) -> [Expression; 4] {
    let [load_protocol, is_udp] = is_protocol(UDP);
    let offset = match field {
        Ip::Source => 0,
        Ip::Destination => 2,
    };
    let load_port = load(FIRST, TRANSPORT_HEADER, offset, 2);
    [load_protocol, is_udp, load_port, compare(Operator::Equal, port.to_be_bytes().to_vec())]
}

/// `ip6 daddr != ::1`
pub(super) fn is_not_ipv6_loopback() -> [Expression; 2] {
    let loopback = Ipv6Addr::LOCALHOST.octets().to_vec();
    [load_ip(Family::V6, Ip::Destination), compare(Operator::NotEqual, loopback)]
}

/// `ip saddr 0.0.0.0`, `ip6 saddr ::`
pub(super) fn source_is_unspecified(family: Family) -> [Expression; 2] {
    [load_ip(family, Ip::Source), compare(Operator::Equal, unspecified(family))]
}

/// `ip saddr != 0.0.0.0`, `ip6 saddr != ::`
pub(super) fn source_is_specified(family: Family) -> [Expression; 2] {
    [load_ip(family, Ip::Source), compare(Operator::NotEqual, unspecified(family))]
}

/// `arp saddr ip 0.0.0.0`
pub(super) fn arp_source_is_unspecified() -> [Expression; 2] {
    let load = load(FIRST, NETWORK_HEADER, ARP_SOURCE_IP, 4);
    [load, compare(Operator::Equal, unspecified(Family::V4))]
}

/// `ip6 saddr fe80::/10`
pub(super) fn source_is_link_local() -> [Expression; 3] {
    link_local(load(FIRST, NETWORK_HEADER, 8, 2), Operator::Equal)
}

/// `ip6 saddr != fe80::/10`
pub(super) fn source_is_not_link_local() -> [Expression; 3] {
    link_local(load(FIRST, NETWORK_HEADER, 8, 2), Operator::NotEqual)
}

/// `@th,64,16 & 0xffc0 != 0xfe80`: the target of a neighbour advertisement.
pub(super) fn target_is_not_link_local() -> [Expression; 3] {
    link_local(load(FIRST, TRANSPORT_HEADER, 8, 2), Operator::NotEqual)
}

/// What a packet says of its sender, besides the device it came in by and the frame's MAC.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim {
    /// `iifname . ether saddr`
    Mac,
    /// `iifname . ether saddr . ip saddr`, `iifname . ether saddr . ip6 saddr`
    Address(Family),
    /// `iifname . arp saddr ether`
    ArpMac,
    /// `iifname . arp saddr ether . arp saddr ip`
    ArpAddress,
    /// `iifname . ether saddr . @th,64,128`: the target of a neighbour advertisement.
    Target,
}

/// `CLAIM @SET`, `CLAIM != @SET`
pub(super) fn sender(claim: Claim, membership: In, set: &str) -> Vec<Expression> {
    let mut expressions = vec![load_meta(MetaKey::Iifname)];
    expressions.push(match claim {
        Claim::Mac | Claim::Address(_) | Claim::Target => load(AFTER_16, LINK_HEADER, 6, 6),
        Claim::ArpMac | Claim::ArpAddress => load(AFTER_16, NETWORK_HEADER, 8, 6),
    });
    expressions.extend(match claim {
        Claim::Mac | Claim::ArpMac => None,
        Claim::Address(family) => Some(load_ip_into(THIRD, family, Ip::Source)),
        Claim::ArpAddress => Some(load(THIRD, NETWORK_HEADER, ARP_SOURCE_IP, 4)),
        Claim::Target => Some(load(THIRD, TRANSPORT_HEADER, 8, 16)),
    });
    expressions.push(look_up(set, membership));
    expressions
}

/// `limit rate over RATE`, as the name and the attributes of an expression.
pub(super) fn limit_over(rate: Rate) -> (&'static str, Vec<DefaultNla>) {
    let attribute = |kind, bytes: &[u8]| DefaultNla::new(kind, bytes.to_vec());
    let (per_second, in_bytes, inverted) = (1_u64, 1_u32, 1_u32);
    let attributes = vec![
        attribute(LIMIT_RATE, &rate.bytes_per_second().to_be_bytes()),
        attribute(LIMIT_UNIT, &per_second.to_be_bytes()),
        attribute(LIMIT_BURST, &rate.burst().to_be_bytes()),
        attribute(LIMIT_TYPE, &in_bytes.to_be_bytes()),
        attribute(LIMIT_FLAGS, &inverted.to_be_bytes()),
    ];
    ("limit", attributes)
}

/// `dnat ip to ADDRESS`, `dnat ip6 to ADDRESS`
pub(super) fn forward_all_to(address: IpAddr) -> [Expression; 2] {
    let (family, octets) = match address {
        IpAddr::V4(address) => (Family::V4, address.octets().to_vec()),
        IpAddr::V6(address) => (Family::V6, address.octets().to_vec()),
    };
    let target = Expressions::Immediate(vec![
        Immediate::DestinationRegister(FIRST),
        Immediate::Data(DataAttribute::Value(octets)),
    ]);
    let nat = other(
        "nat",
        [
            (NAT_TYPE, NAT_DESTINATION),
            (NAT_FAMILY, number(family).into()),
            (NAT_ADDRESS, FIRST.into()),
        ],
    );
    [target.into(), nat]
}

/// A device's name as the kernel compares it.
pub(super) fn name_bytes(name: &DeviceName) -> Vec<u8> {
    let mut bytes = name.as_str().as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// `ip saddr @SET`, `ip daddr != @SET`
pub(super) fn ip_in(family: Family, field: Ip, membership: In, set: &str) -> [Expression; 2] {
    [load_ip(family, field), look_up(set, membership)]
}

/// `ip saddr . ip daddr != @SET`
pub(super) fn pair_not_in(family: Family, set: &str) -> [Expression; 3] {
    let second = match family {
        Family::V4 => SECOND,
        Family::V6 => AFTER_16,
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
    let target = Expressions::Lookup(vec![
        Lookup::Set(map.to_owned()),
        Lookup::SourceRegister(FIRST),
        Lookup::DestinationRegister(FIRST),
    ]);
    let target_port = match family {
        Family::V4 => SECOND,
        Family::V6 => AFTER_16,
    };
    let nat = other(
        "nat",
        [
            (NAT_TYPE, NAT_DESTINATION),
            (NAT_FAMILY, number(family).into()),
            (NAT_ADDRESS, FIRST.into()),
            (NAT_PORT, target_port.into()),
        ],
    );
    [load_meta(MetaKey::L4Proto), load(SECOND, TRANSPORT_HEADER, 2, 2), target.into(), nat]
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
    load(register, NETWORK_HEADER, offset, address_len(family))
}

fn load(register: Register, header: u32, offset: u32, len: u32) -> Expression {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(header),
        Payload::Offset(offset),
        Payload::Len(len),
    ])
    .into()
}

/// Whether the first two bytes of an IPv6 address are those of `fe80::/10`.
fn link_local(load: Expression, operator: Operator) -> [Expression; 3] {
    [load, bitwise_and([0xff, 0xc0]), compare(operator, vec![0xfe, 0x80])]
}

fn unspecified(family: Family) -> Vec<u8> {
    match family {
        Family::V4 => vec![0; 4],
        Family::V6 => vec![0; 16],
    }
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

fn bitwise_and<const N: usize>(mask: [u8; N]) -> Expression {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(FIRST),
        Bitwise::DestinationRegister(FIRST),
        Bitwise::Length(u32::try_from(N).unwrap_or_default()),
        Bitwise::Mask(DataAttribute::Value(mask.to_vec())),
        Bitwise::Xor(DataAttribute::Value(vec![0; N])),
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
