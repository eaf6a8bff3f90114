//! The fixed part of our table: the same over netlink as [`TableName::ruleset`] is in words.

use super::element::{comment, read_comment};
use super::expression::{
    Expression, In, Ip, accept, destination_is_local, drop, forward_by, input_device_of, ip_in,
    ip_is_loopback, is_forwarded, is_icmpv6, is_not_ipv6_loopback, is_of, is_reply, masquerade,
    pair_not_in,
};
use super::socket::Change;
use crate::firewall::TableName;
use crate::spec::Family;
use crate::tag::birth_group;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, InetHookNumber, NfTablesMessage, RuleAttribute,
    RuleMessage, SetAttribute, SetDescription, SetFlags, SetMessage, TableAttribute, TableMessage,
};
use rtnetlink::packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE};

/// `nft`'s numbers of its types, which it needs to print what is in a set.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const INET_PROTO: u32 = 12;
const INET_SERVICE: u32 = 13;
/// Types of `ICMPv6` messages (RFC 4861, 4.2 and 4.5).
const ROUTER_ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;
/// How far one type's number is shifted to make room for the next in a concatenation.
const TYPE_BITS: u32 = 6;

/// Everything that makes the table, in order.
pub(super) fn changes(table: &TableName) -> Vec<Change> {
    let mut changes = vec![Change::create(NfTablesMessage::NewTable(TableMessage {
        attributes: vec![
            TableAttribute::Name(table.to_string()),
            TableAttribute::UserData(comment(&table.mark())),
        ],
    }))];
    let sets = [
        set(table, 1, "networks4", SetFlags::Interval, (IPV4_ADDR, 4)),
        set(table, 2, "networks6", SetFlags::Interval, (IPV6_ADDR, 16)),
        pair_set(table, 3, "allowed4", (IPV4_ADDR, 4)),
        pair_set(table, 4, "allowed6", (IPV6_ADDR, 16)),
        set(table, 5, "masquerade4", SetFlags::Interval, (IPV4_ADDR, 4)),
        set(table, 6, "masquerade6", SetFlags::Interval, (IPV6_ADDR, 16)),
        forward_map(table, 7, "forward4", (IPV4_ADDR, 4)),
        forward_map(table, 8, "forward6", (IPV6_ADDR, 16)),
    ];
    changes.extend(sets.into_iter().map(Change::create));
    for chain in chains(birth_group(table.owner())) {
        changes.push(Change::create(chain.message(table)));
        changes.extend(chain.rules.into_iter().map(|rule| Change {
            message: rule_message(table, chain.name, rule),
            flags: NLM_F_CREATE | NLM_F_APPEND,
        }));
    }
    changes
}

/// Whether this table carries our mark.
pub(super) fn is_marked(table: &TableName, message: &TableMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        TableAttribute::UserData(bytes) => read_comment(bytes) == Some(table.mark().as_str()),
        _ => false,
    })
}

struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: InetHookNumber,
    priority: i32,
    rules: Vec<Vec<Expression>>,
}

fn chains(group: u32) -> [Chain; 5] {
    use Family::{V4, V6};
    use Ip::{Destination, Source};
    let forward =
        |family, map| rule([&is_of(family), &destination_is_local(), &forward_by(family, map)]);
    // No device takes packets from ::1, so a forward from there would lead nowhere: it is refused at once instead.
    let forward_from_here = rule([
        &is_of(V6),
        &is_not_ipv6_loopback(),
        &destination_is_local(),
        &forward_by(V6, "forward6"),
    ]);
    let refuse_loopback =
        |field| rule([&is_of(V4), &input_device_of(group), &ip_is_loopback(field), &drop()]);
    let refuse_router =
        |kind| rule([&is_of(V6), &input_device_of(group), &is_icmpv6(kind), &drop()]);
    let between_guests = |family, set| {
        rule([
            &is_of(family),
            &is_forwarded(),
            &ip_in(family, Source, In::Set, set),
            &ip_in(family, Destination, In::Set, set),
            &masquerade(),
        ])
    };
    let leaving = |family, from, networks| {
        rule([
            &is_of(family),
            &ip_in(family, Source, In::Set, from),
            &ip_in(family, Destination, In::NotSet, networks),
            &masquerade(),
        ])
    };
    let isolate = |family, networks, allowed| {
        rule([
            &is_of(family),
            &ip_in(family, Source, In::Set, networks),
            &ip_in(family, Destination, In::Set, networks),
            &pair_not_in(family, allowed),
            &drop(),
        ])
    };
    let from_the_host = rule([
        &is_of(V4),
        &is_forwarded(),
        &ip_is_loopback(Source),
        &ip_in(V4, Destination, In::Set, "networks4"),
        &masquerade(),
    ]);
    [
        Chain {
            name: "guard",
            kind: "filter",
            hook: InetHookNumber::PreRouting,
            priority: -300,
            rules: vec![
                refuse_loopback(Source),
                refuse_loopback(Destination),
                refuse_router(ROUTER_ADVERTISEMENT),
                refuse_router(REDIRECT),
            ],
        },
        Chain {
            name: "isolation",
            kind: "filter",
            hook: InetHookNumber::Forward,
            priority: 0,
            rules: vec![
                rule([&is_forwarded(), &accept()]),
                rule([&is_reply(), &accept()]),
                isolate(V4, "networks4", "allowed4"),
                isolate(V6, "networks6", "allowed6"),
            ],
        },
        Chain {
            name: "prerouting",
            kind: "nat",
            hook: InetHookNumber::PreRouting,
            priority: -100,
            rules: vec![forward(V4, "forward4"), forward(V6, "forward6")],
        },
        Chain {
            name: "output",
            kind: "nat",
            hook: InetHookNumber::LocalOut,
            priority: -100,
            rules: vec![forward(V4, "forward4"), forward_from_here],
        },
        Chain {
            name: "postrouting",
            kind: "nat",
            hook: InetHookNumber::PostRouting,
            priority: 100,
            rules: vec![
                from_the_host,
                between_guests(V4, "networks4"),
                between_guests(V6, "networks6"),
                leaving(V4, "masquerade4", "networks4"),
                leaving(V6, "masquerade6", "networks6"),
            ],
        },
    ]
}

impl Chain {
    fn message(&self, table: &TableName) -> NfTablesMessage {
        NfTablesMessage::NewChain(ChainMessage {
            attributes: vec![
                ChainAttribute::Table(table.to_string()),
                ChainAttribute::Name(self.name.to_owned()),
                ChainAttribute::Hook(vec![
                    Hook::Number(HookNumber::Inet(self.hook)),
                    // The field is a signed number in an unsigned one's clothes.
                    Hook::Priority(self.priority.cast_unsigned()),
                ]),
                ChainAttribute::Type(self.kind.to_owned()),
            ],
        })
    }
}

fn rule<const N: usize>(parts: [&[Expression]; N]) -> Vec<Expression> {
    parts.concat()
}

fn rule_message(table: &TableName, chain: &str, rule: Vec<Expression>) -> NfTablesMessage {
    NfTablesMessage::NewRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(table.to_string()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(rule),
        ],
    })
}

fn set(
    table: &TableName,
    id: u32,
    name: &str,
    flags: SetFlags,
    (key_type, key_len): (u32, u32),
) -> NfTablesMessage {
    NfTablesMessage::NewSet(SetMessage {
        attributes: vec![
            SetAttribute::Table(table.to_string()),
            SetAttribute::Name(name.to_owned()),
            SetAttribute::Flags(flags),
            SetAttribute::KeyType(key_type),
            SetAttribute::KeyLen(key_len),
            SetAttribute::Id(id),
        ],
    })
}

/// A set of pairs of prefixes: intervals of two concatenated addresses.
fn pair_set(
    table: &TableName,
    id: u32,
    name: &str,
    (address_type, address_len): (u32, u32),
) -> NfTablesMessage {
    const FIELD_LEN: u16 = 1;
    const LIST_ELEMENT: u16 = 1 | NLA_F_NESTED;
    let pair_type = address_type << TYPE_BITS | address_type;
    let flags = SetFlags::Interval | SetFlags::Concat;
    let mut pairs = set(table, id, name, flags, (pair_type, address_len * 2));
    if let NfTablesMessage::NewSet(pairs) = &mut pairs {
        // The kernel wants to know where one field ends and the next begins.
        let len = [DefaultNla::new(FIELD_LEN, address_len.to_be_bytes().to_vec())];
        let mut field = vec![0; len.as_slice().buffer_len()];
        len.as_slice().emit(&mut field);
        let fields = vec![DefaultNla::new(LIST_ELEMENT, field); 2];
        pairs.attributes.push(SetAttribute::Description(vec![SetDescription::Concat(fields)]));
    }
    pairs
}

fn forward_map(
    table: &TableName,
    id: u32,
    name: &str,
    (address_type, address_len): (u32, u32),
) -> NfTablesMessage {
    let key_type = INET_PROTO << TYPE_BITS | INET_SERVICE;
    let mut map = set(table, id, name, SetFlags::Map, (key_type, 8));
    if let NfTablesMessage::NewSet(map) = &mut map {
        map.attributes.push(SetAttribute::DataType(address_type << TYPE_BITS | INET_SERVICE));
        map.attributes.push(SetAttribute::DataLen(address_len + 4));
    }
    map
}
