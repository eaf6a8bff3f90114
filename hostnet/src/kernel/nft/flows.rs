//! Flows that a forward has let in and that would outlive it: without connections of its own, UDP knows no end.

use crate::kernel::attributes::{address, append, nest};
use rtnetlink::packet_core::DefaultNla;
use std::net::IpAddr;

/// `IPCTNL_MSG_CT_DELETE` of `NFNL_SUBSYS_CTNETLINK`.
pub(super) const DELETE: u16 = 1 << 8 | 2;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_FILTER` and what is nested in them, of
/// `linux/netfilter/nfnetlink_conntrack.h`.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_V4_SOURCE: u16 = 1;
const IP_V6_SOURCE: u16 = 3;
const PROTO_NUMBER: u16 = 1;
const PROTO_DESTINATION: u16 = 3;
const FILTER_ORIGINAL: u16 = 1;
const FILTER_REPLY: u16 = 2;
/// `CTA_FILTER_F_CTA_*` of the kernel's `nf_internals.h`: which fields are looked at.
const BY_SOURCE: u32 = 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// A request to forget all flows of this protocol to this port that a guest answers.
pub(super) fn to_port(protocol: u8, port: u16, guest: IpAddr) -> Vec<u8> {
    let (family, source) = match guest {
        IpAddr::V4(_) => (2, IP_V4_SOURCE),
        IpAddr::V6(_) => (10, IP_V6_SOURCE),
    };
    let number = DefaultNla::new(PROTO_NUMBER, vec![protocol]);
    let destination = DefaultNla::new(PROTO_DESTINATION, port.to_be_bytes().to_vec());
    let original = nest(TUPLE_PROTO, &[number, destination]);
    let reply = nest(TUPLE_IP, &[address(source, guest)]);
    let fields = |kind, fields: u32| DefaultNla::new(kind, fields.to_ne_bytes().to_vec());
    let filter = [
        fields(FILTER_ORIGINAL, BY_PROTOCOL | BY_DESTINATION_PORT),
        fields(FILTER_REPLY, BY_SOURCE),
    ];
    // `nfgenmsg`: the family, no version, no resource.
    let mut body = vec![family, 0, 0, 0];
    append(&mut body, &[nest(ORIGINAL, &[original]), nest(REPLY, &[reply]), nest(FILTER, &filter)]);
    body
}
