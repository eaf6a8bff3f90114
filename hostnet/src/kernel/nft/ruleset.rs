//! The fixed part of our table: the same over netlink as [`TableName::ruleset`] and [`Gate::ruleset`] are in words.

use super::element::{comment, read_comment};
use super::expression::{
    Claim, Expression, In, Ip, accept, arp_source_is_unspecified, destination_is_local, drop,
    forward_all_to, forward_by, input_device, input_device_in, input_device_not_of,
    input_device_of, ip_in, ip_is_loopback, is_ether, is_forwarded, is_icmpv6,
    is_not_ipv6_loopback, is_of, is_protocol, is_reply, is_udp, masquerade, output_device,
    pair_not_in, sender, source_is_link_local, source_is_not_link_local, source_is_specified,
    source_is_unspecified, target_is_not_link_local,
};
use super::socket::Change;
use crate::firewall::{Gate, TableFamily, TableName, mark};
use crate::op::Rules;
use crate::spec::Family;
use crate::tag::{birth_group, guest_group};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, InetHookNumber, NfTablesMessage, RuleAttribute,
    RuleMessage, SetAttribute, SetDescription, SetFlags, SetMessage, TableAttribute, TableFlags,
    TableMessage,
};
use rtnetlink::packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE};

/// `nft`'s numbers of its types, which it needs to print what is in a set.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const ETHER_ADDR: u32 = 9;
const INET_PROTO: u32 = 12;
const INET_SERVICE: u32 = 13;
const IFNAME: u32 = 41;
/// Types of `ICMPv6` messages (RFC 4861, 4.2, 4.4 and 4.5).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
const ICMPV6: u8 = 58;
/// Types of Ethernet frames.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// The ports that DHCP and `DHCPv6` servers send from (RFC 2131, 4.1; RFC 8415, 7.2).
const DHCP_SERVER: u16 = 67;
const DHCPV6_SERVER: u16 = 547;
/// How far one type's number is shifted to make room for the next in a concatenation.
const TYPE_BITS: u32 = 6;

/// Everything that makes the table, in order. Fails where some of it is there.
pub(super) fn creation(table: &TableName, rules: &Rules, hold: Hold) -> Vec<Change> {
    let families = families(rules);
    let mut changes: Vec<_> =
        families.iter().map(|family| Change::create(*family, table_message(table, hold))).collect();
    for family in families {
        changes.extend(
            sets(table, *family, rules).into_iter().map(|set| Change::create(*family, set)),
        );
    }
    let chains = chains(table, rules);
    changes.extend(chains.iter().map(|chain| Change::create(chain.family, chain.message(table))));
    changes.extend(chains.into_iter().flat_map(|chain| chain.rule_changes(table)));
    changes
}

/// Everything that puts the rules right, in order: what is missing is made, and all rules are replaced.
pub(super) fn repair(table: &TableName, rules: &Rules, hold: Hold) -> Vec<Change> {
    let families = families(rules);
    let mut changes: Vec<_> =
        families.iter().map(|family| Change::make(*family, table_message(table, hold))).collect();
    for family in families {
        let all_rules = RuleMessage { attributes: vec![RuleAttribute::Table(table.to_string())] };
        changes.push(Change::delete(*family, NfTablesMessage::DeleteRule(all_rules)));
        changes
            .extend(sets(table, *family, rules).into_iter().map(|set| Change::make(*family, set)));
    }
    let chains = chains(table, rules);
    changes.extend(chains.iter().map(|chain| Change::make(chain.family, chain.message(table))));
    changes.extend(chains.into_iter().flat_map(|chain| chain.rule_changes(table)));
    changes
}

/// Whether this table carries our mark.
pub(super) fn is_marked(table: &TableName, message: &TableMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        TableAttribute::UserData(bytes) => read_comment(bytes) == Some(table.mark().as_str()),
        _ => false,
    })
}

const fn families(rules: &Rules) -> &'static [TableFamily] {
    match rules {
        Rules::Host => &TableFamily::ALL,
        Rules::Gate(_) => &[TableFamily::Inet],
    }
}

/// Whether a table belongs to the socket that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Whoever may change rule sets may change it.
    Shared,
    /// Nobody else may change it while the socket is open, and it stays when that is closed.
    Exclusive,
}

/// What makes a table, or takes hold of one that nobody holds.
pub(super) fn table_message(table: &TableName, hold: Hold) -> NfTablesMessage {
    let mut attributes = vec![
        TableAttribute::Name(table.to_string()),
        TableAttribute::UserData(comment(&table.mark())),
    ];
    if hold == Hold::Exclusive {
        attributes.push(TableAttribute::Flags(TableFlags::Owner | TableFlags::Persisent));
    }
    NfTablesMessage::NewTable(TableMessage { attributes })
}

/// Whether a socket holds this table.
pub(super) fn is_held(message: &TableMessage) -> bool {
    message.attributes.iter().any(|attribute| matches!(attribute, TableAttribute::Owner(_)))
}

fn sets(table: &TableName, family: TableFamily, rules: &Rules) -> Vec<NfTablesMessage> {
    if matches!(rules, Rules::Gate(_)) {
        return Vec::new();
    }
    let mac = IFNAME << TYPE_BITS | ETHER_ADDR;
    let with = |address_type| mac << TYPE_BITS | address_type;
    let exact = |id, name, key| set(table, id, name, SetFlags::empty(), key);
    let of_guests = [
        exact(1, "senders", (mac, 24)),
        exact(2, "senders4", (with(IPV4_ADDR), 28)),
        exact(3, "senders6", (with(IPV6_ADDR), 40)),
        exact(4, "limits", (IFNAME, 16)),
    ];
    let others = match family {
        TableFamily::Inet => vec![
            set(table, 5, "networks4", SetFlags::Interval, (IPV4_ADDR, 4)),
            set(table, 6, "networks6", SetFlags::Interval, (IPV6_ADDR, 16)),
            pair_set(table, 7, "allowed4", (IPV4_ADDR, 4)),
            pair_set(table, 8, "allowed6", (IPV6_ADDR, 16)),
            set(table, 9, "masquerade4", SetFlags::Interval, (IPV4_ADDR, 4)),
            set(table, 10, "masquerade6", SetFlags::Interval, (IPV6_ADDR, 16)),
            forward_map(table, 11, "forward4", (IPV4_ADDR, 4)),
            forward_map(table, 12, "forward6", (IPV6_ADDR, 16)),
        ],
        TableFamily::Bridge => vec![exact(5, "announced6", (with(IPV6_ADDR), 40))],
    };
    of_guests.into_iter().chain(others).collect()
}

struct Chain {
    family: TableFamily,
    name: &'static str,
    kind: &'static str,
    hook: HookNumber,
    priority: i32,
    /// Each with the comment it is known by.
    rules: Vec<(String, Vec<Expression>)>,
}

fn chains(table: &TableName, rules: &Rules) -> Vec<Chain> {
    match rules {
        Rules::Host => vec![
            guard(table),
            isolation(),
            forwards("prerouting", InetHookNumber::PreRouting),
            forwards("output", InetHookNumber::LocalOut),
            postrouting(),
            senders(table),
        ],
        Rules::Gate(gate) => gate_chains(gate),
    }
}

/// A chain of the host's table, whose rules are numbered.
fn chain(
    name: &'static str,
    kind: &'static str,
    hook: InetHookNumber,
    priority: i32,
    rules: Vec<Vec<Expression>>,
) -> Chain {
    let rules = rules.into_iter().enumerate().map(|(n, rule)| (mark(name, n), rule)).collect();
    Chain { family: TableFamily::Inet, name, kind, hook: HookNumber::Inet(hook), priority, rules }
}

fn guard(table: &TableName) -> Chain {
    use Family::{V4, V6};
    let loopback = |field| rule([&is_of(V4), &ip_is_loopback(field), &drop()]);
    let router = |kind| rule([&is_of(V6), &is_icmpv6(kind), &drop()]);
    let (bridges, guests) = (birth_group(table.owner()), guest_group(table.owner()));
    let rules = vec![
        // What comes from elsewhere is most of it.
        rule([&input_device_not_of(bridges), &input_device_not_of(guests), &accept()]),
        rule([&input_device_in("limits"), &drop()]),
        loopback(Ip::Source),
        loopback(Ip::Destination),
        router(ROUTER_ADVERTISEMENT),
        router(REDIRECT),
        rule([&input_device_of(bridges), &accept()]),
        rule([&sender(Claim::Mac, In::NotSet, "senders"), &drop()]),
        rule([
            &is_of(V4),
            &source_is_specified(V4),
            &sender(Claim::Address(V4), In::NotSet, "senders4"),
            &drop(),
        ]),
        rule([
            &is_of(V6),
            &source_is_specified(V6),
            &source_is_not_link_local(),
            &sender(Claim::Address(V6), In::NotSet, "senders6"),
            &drop(),
        ]),
    ];
    chain("guard", "filter", InetHookNumber::PreRouting, -300, rules)
}

fn isolation() -> Chain {
    let isolate = |family, networks, allowed| {
        rule([
            &is_of(family),
            &ip_in(family, Ip::Source, In::Set, networks),
            &ip_in(family, Ip::Destination, In::Set, networks),
            &pair_not_in(family, allowed),
            &drop(),
        ])
    };
    let rules = vec![
        rule([&is_forwarded(), &accept()]),
        rule([&is_reply(), &accept()]),
        isolate(Family::V4, "networks4", "allowed4"),
        isolate(Family::V6, "networks6", "allowed6"),
    ];
    chain("isolation", "filter", InetHookNumber::Forward, 0, rules)
}

fn forwards(name: &'static str, hook: InetHookNumber) -> Chain {
    // No device takes packets from ::1, so a forward from there would lead nowhere: it is refused at once instead.
    let from_here = is_not_ipv6_loopback();
    let from_here: &[Expression] =
        if matches!(hook, InetHookNumber::LocalOut) { &from_here } else { &[] };
    let forward = |family, from_here, map| {
        rule([&is_of(family), from_here, &destination_is_local(), &forward_by(family, map)])
    };
    let rules =
        vec![forward(Family::V4, &[], "forward4"), forward(Family::V6, from_here, "forward6")];
    chain(name, "nat", hook, -100, rules)
}

fn postrouting() -> Chain {
    use Family::{V4, V6};
    use Ip::{Destination, Source};
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
    let from_the_host = rule([
        &is_of(V4),
        &is_forwarded(),
        &ip_is_loopback(Source),
        &ip_in(V4, Destination, In::Set, "networks4"),
        &masquerade(),
    ]);
    let rules = vec![
        from_the_host,
        between_guests(V4, "networks4"),
        between_guests(V6, "networks6"),
        leaving(V4, "masquerade4", "networks4"),
        leaving(V6, "masquerade6", "networks6"),
    ];
    chain("postrouting", "nat", InetHookNumber::PostRouting, 100, rules)
}

fn senders(table: &TableName) -> Chain {
    use Family::{V4, V6};
    let is = |claim, set| sender(claim, In::Set, set);
    let is_not = |claim, set| sender(claim, In::NotSet, set);
    let icmpv6 = |kind| is_icmpv6(kind);
    let (bridges, guests) = (birth_group(table.owner()), guest_group(table.owner()));
    let rules = vec![
        rule([&input_device_not_of(bridges), &input_device_not_of(guests), &accept()]),
        rule([&input_device_in("limits"), &drop()]),
        rule([&input_device_of(bridges), &accept()]),
        rule([&is_not(Claim::Mac, "senders"), &drop()]),
        rule([&is_ether(IPV4), &is_udp(Ip::Source, DHCP_SERVER), &drop()]),
        rule([&is_ether(IPV4), &is(Claim::Address(V4), "senders4"), &accept()]),
        rule([
            &is_ether(IPV4),
            &source_is_unspecified(V4),
            &is_udp(Ip::Destination, DHCP_SERVER),
            &accept(),
        ]),
        rule([&is_ether(ARP), &is(Claim::ArpAddress, "senders4"), &accept()]),
        rule([
            &is_ether(ARP),
            &arp_source_is_unspecified(),
            &is(Claim::ArpMac, "senders"),
            &accept(),
        ]),
        rule([&is_ether(IPV6), &icmpv6(ROUTER_ADVERTISEMENT), &drop()]),
        rule([&is_ether(IPV6), &icmpv6(REDIRECT), &drop()]),
        rule([&is_ether(IPV6), &is_udp(Ip::Source, DHCPV6_SERVER), &drop()]),
        rule([
            &is_ether(IPV6),
            &icmpv6(NEIGHBOUR_ADVERTISEMENT),
            &target_is_not_link_local(),
            &is_not(Claim::Target, "announced6"),
            &drop(),
        ]),
        rule([&is_ether(IPV6), &is(Claim::Address(V6), "senders6"), &accept()]),
        rule([&is_ether(IPV6), &source_is_link_local(), &accept()]),
        rule([&is_ether(IPV6), &source_is_unspecified(V6), &is_protocol(ICMPV6), &accept()]),
        rule([&drop()]),
    ];
    // Bridges number this hook as IP does.
    Chain {
        family: TableFamily::Bridge,
        ..chain("senders", "filter", InetHookNumber::PreRouting, -300, rules)
    }
}

fn gate_chains(gate: &Gate) -> Vec<Chain> {
    let inward = gate.guest.iter().map(|guest| {
        let family = if guest.is_ipv4() { Family::V4 } else { Family::V6 };
        rule([&input_device(&gate.device), &is_of(family), &forward_all_to(*guest)])
    });
    let outward = rule([&output_device(&gate.device), &masquerade()]);
    let marked = |name, hook, priority, rules: Vec<Vec<Expression>>| Chain {
        rules: gate.chain_marks(name).into_iter().zip(rules).collect(),
        ..chain(name, "nat", hook, priority, Vec::new())
    };
    vec![
        marked("prerouting", InetHookNumber::PreRouting, -100, inward.collect()),
        marked("postrouting", InetHookNumber::PostRouting, 100, vec![outward]),
    ]
}

impl Chain {
    fn message(&self, table: &TableName) -> NfTablesMessage {
        NfTablesMessage::NewChain(ChainMessage {
            attributes: vec![
                ChainAttribute::Table(table.to_string()),
                ChainAttribute::Name(self.name.to_owned()),
                ChainAttribute::Hook(vec![
                    Hook::Number(self.hook),
                    // The field is a signed number in an unsigned one's clothes.
                    Hook::Priority(self.priority.cast_unsigned()),
                ]),
                ChainAttribute::Type(self.kind.to_owned()),
            ],
        })
    }

    fn rule_changes(self, table: &TableName) -> impl Iterator<Item = Change> {
        let Self { family, name, rules, .. } = self;
        rules.into_iter().map(move |(mark, expressions)| Change {
            family,
            message: NfTablesMessage::NewRule(RuleMessage {
                attributes: vec![
                    RuleAttribute::Table(table.to_string()),
                    RuleAttribute::Chain(name.to_owned()),
                    RuleAttribute::Expressions(expressions),
                    RuleAttribute::UserData(comment(&mark)),
                ],
            }),
            flags: NLM_F_CREATE | NLM_F_APPEND,
        })
    }
}

fn rule<const N: usize>(parts: [&[Expression]; N]) -> Vec<Expression> {
    parts.concat()
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
