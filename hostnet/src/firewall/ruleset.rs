//! The fixed part of the table, as `nft -f` reads it. `kernel::nft::ruleset` builds the same over netlink.

use super::{TableFamily, TableName};
use crate::spec::DeviceName;
use crate::tag::{birth_group, guest_group};
use core::fmt::Write as _;
use std::net::IpAddr;

/// Raised whenever a rule changes, so that rules of another version are found and replaced.
const VERSION: u32 = 1;

/// The comments of the table's rules, chain by chain, which tell whether all of them are there: `CHAIN: COMMENT`.
pub type Marks = Vec<String>;

/// A base chain, and its rules without their comments.
struct Chain {
    family: TableFamily,
    name: &'static str,
    hook: &'static str,
    rules: &'static [&'static str],
}

const SETS: [(TableFamily, &str); 2] = [
    (
        TableFamily::Inet,
        "\
\tset networks4 { type ipv4_addr; flags interval; }
\tset networks6 { type ipv6_addr; flags interval; }
\tset allowed4 { type ipv4_addr . ipv4_addr; flags interval; }
\tset allowed6 { type ipv6_addr . ipv6_addr; flags interval; }
\tset masquerade4 { type ipv4_addr; flags interval; }
\tset masquerade6 { type ipv6_addr; flags interval; }
\tmap forward4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
\tmap forward6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
\tset senders { type ifname . ether_addr; }
\tset senders4 { type ifname . ether_addr . ipv4_addr; }
\tset senders6 { type ifname . ether_addr . ipv6_addr; }
\tset limits { type ifname; limit rate over 1 bytes/second; }
",
    ),
    (
        TableFamily::Bridge,
        "\
\tset senders { type ifname . ether_addr; }
\tset senders4 { type ifname . ether_addr . ipv4_addr; }
\tset senders6 { type ifname . ether_addr . ipv6_addr; }
\tset announced6 { typeof iifname . ether saddr . @th,64,128; }
\tset limits { type ifname; limit rate over 1 bytes/second; }
",
    ),
];

/// * `guard`: `route_localnet` lets 127.0.0.1 reach a guest through a forward; this keeps guests from reaching the
///   host's loopback the other way (CVE-2020-8558). It also keeps a guest from announcing itself as the host's
///   router, and one of a routed network to its own addresses. Devices are known by the link group they are born
///   in, which they keep whatever they are called.
/// * `isolation`: networks do not reach one another, nor themselves by way of the host, but through a forward or where
///   it is allowed; answers come back.
/// * `prerouting` and `output`: forwards, for connections from outside and from the host itself.
/// * `postrouting`: replies must come back through the host, so connections from 127.0.0.1 and from guest to
///   guest through a forward take the host's address; and so does what leaves a masquerading network.
/// * `senders` keeps the guests of bridges to their MAC and addresses, in ARP and neighbour discovery too, and
///   from being a router or a DHCP server. They may ask for an address, and use any link-local one.
const CHAINS: [Chain; 6] = [
    Chain {
        family: TableFamily::Inet,
        name: "guard",
        hook: "filter hook prerouting priority raw",
        rules: &[
            "iifgroup != BRIDGES iifgroup != GUESTS accept",
            "iifname @limits drop",
            "ip saddr 127.0.0.0/8 drop",
            "ip daddr 127.0.0.0/8 drop",
            "icmpv6 type nd-router-advert drop",
            "icmpv6 type nd-redirect drop",
            "iifgroup BRIDGES accept",
            "iifname . ether saddr != @senders drop",
            "ip saddr != 0.0.0.0 iifname . ether saddr . ip saddr != @senders4 drop",
            "ip6 saddr != :: ip6 saddr != fe80::/10 iifname . ether saddr . ip6 saddr != @senders6 drop",
        ],
    },
    Chain {
        family: TableFamily::Inet,
        name: "isolation",
        hook: "filter hook forward priority filter",
        rules: &[
            "ct status dnat accept",
            "ct direction reply accept",
            "ip saddr @networks4 ip daddr @networks4 ip saddr . ip daddr != @allowed4 drop",
            "ip6 saddr @networks6 ip6 daddr @networks6 ip6 saddr . ip6 daddr != @allowed6 drop",
        ],
    },
    Chain {
        family: TableFamily::Inet,
        name: "prerouting",
        hook: "nat hook prerouting priority dstnat",
        rules: &[
            "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @forward4",
            "meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6",
        ],
    },
    Chain {
        family: TableFamily::Inet,
        name: "output",
        hook: "nat hook output priority -100",
        rules: &[
            "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @forward4",
            "meta nfproto ipv6 ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6",
        ],
    },
    Chain {
        family: TableFamily::Inet,
        name: "postrouting",
        hook: "nat hook postrouting priority srcnat",
        rules: &[
            "ct status dnat ip saddr 127.0.0.0/8 ip daddr @networks4 masquerade",
            "ct status dnat ip saddr @networks4 ip daddr @networks4 masquerade",
            "ct status dnat ip6 saddr @networks6 ip6 daddr @networks6 masquerade",
            "ip saddr @masquerade4 ip daddr != @networks4 masquerade",
            "ip6 saddr @masquerade6 ip6 daddr != @networks6 masquerade",
        ],
    },
    Chain {
        family: TableFamily::Bridge,
        name: "senders",
        hook: "filter hook prerouting priority -300",
        rules: &[
            "iifgroup != BRIDGES iifgroup != GUESTS accept",
            "iifname @limits drop",
            "iifgroup BRIDGES accept",
            "iifname . ether saddr != @senders drop",
            "ether type ip udp sport 67 drop",
            "ether type ip iifname . ether saddr . ip saddr @senders4 accept",
            "ether type ip ip saddr 0.0.0.0 udp dport 67 accept",
            "ether type arp iifname . arp saddr ether . arp saddr ip @senders4 accept",
            "ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @senders accept",
            "ether type ip6 icmpv6 type nd-router-advert drop",
            "ether type ip6 icmpv6 type nd-redirect drop",
            "ether type ip6 udp sport 547 drop",
            "ether type ip6 icmpv6 type nd-neighbor-advert @th,64,16 & 0xffc0 != 0xfe80 \
             iifname . ether saddr . @th,64,128 != @announced6 drop",
            "ether type ip6 iifname . ether saddr . ip6 saddr @senders6 accept",
            "ether type ip6 ip6 saddr fe80::/10 accept",
            "ether type ip6 ip6 saddr :: meta l4proto ipv6-icmp accept",
            "drop",
        ],
    },
];

impl TableName {
    /// The table's sets, maps, chains and rules, as `nft -f` reads them.
    #[must_use]
    pub fn ruleset(&self) -> String {
        let mut text = String::new();
        for family in TableFamily::ALL {
            let _ = writeln!(text, "table {family} {self} {{\n\tcomment \"{}\"", self.mark());
            text.extend(SETS.iter().filter(|(of, _)| *of == family).map(|(_, sets)| *sets));
            for chain in CHAINS.iter().filter(|chain| chain.family == family) {
                let rules = chain.rules.iter().map(|rule| self.fill_in(rule));
                write_chain(&mut text, chain.name, chain.hook, rules);
            }
            text.push_str("}\n");
        }
        text
    }

    /// The comments that the rules carry if all of them are there.
    #[must_use]
    pub fn marks() -> Marks {
        let of = |chain: &'static Chain| (0..chain.rules.len()).map(move |n| mark(chain.name, n));
        // As the kernel tells them: a family after the other.
        let (inet, bridge): (Vec<_>, Vec<_>) =
            CHAINS.iter().partition(|chain| chain.family == TableFamily::Inet);
        inet.into_iter().chain(bridge).flat_map(of).collect()
    }

    fn fill_in(&self, rule: &str) -> String {
        rule.replace("BRIDGES", &birth_group(&self.0).to_string())
            .replace("GUESTS", &guest_group(&self.0).to_string())
    }
}

/// What a VM's own namespace does with packets: all that comes in by its veth end goes to the guest, and what leaves by
/// it takes its address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Gate {
    /// The veth end inside the namespace.
    pub device: DeviceName,
    /// The guest's addresses behind the TAP, at most one of each family.
    pub guest: Vec<IpAddr>,
}

impl Gate {
    /// The namespace's table as `nft -f` reads it.
    #[must_use]
    pub fn ruleset(&self, table: &TableName) -> String {
        let mut text = format!("table inet {table} {{\n\tcomment \"{}\"\n", table.mark());
        let inward = self.guest.iter().map(|guest| {
            let (version, family) = if guest.is_ipv4() { (4, "ip") } else { (6, "ip6") };
            format!(
                "iifname \"{}\" meta nfproto ipv{version} dnat {family} to {guest}",
                self.device
            )
        });
        let hook = "nat hook prerouting priority dstnat";
        write_marked_chain(
            &mut text,
            "prerouting",
            hook,
            inward.zip(self.chain_marks("prerouting")),
        );
        let outward = format!("oifname \"{}\" masquerade", self.device);
        let hook = "nat hook postrouting priority srcnat";
        write_marked_chain(
            &mut text,
            "postrouting",
            hook,
            [outward].into_iter().zip(self.chain_marks("postrouting")),
        );
        text.push_str("}\n");
        text
    }

    /// The comments that the rules carry if all of them are there.
    #[must_use]
    pub fn marks(&self) -> Marks {
        ["prerouting", "postrouting"].iter().flat_map(|chain| self.chain_marks(chain)).collect()
    }

    /// The comments of one chain's rules.
    pub(crate) fn chain_marks(&self, chain: &str) -> Marks {
        match chain {
            "prerouting" => {
                self.guest.iter().map(|to| format!("{VERSION}:gate:{}>{to}", self.device)).collect()
            }
            _ => vec![format!("{VERSION}:gate:>{}", self.device)],
        }
    }
}

/// The comment of a rule of the host's table.
pub(crate) fn mark(chain: &str, number: usize) -> String {
    format!("{VERSION}:{chain}:{number}")
}

fn write_chain(text: &mut String, name: &str, hook: &str, rules: impl Iterator<Item = String>) {
    let marks = (0..).map(|n| mark(name, n));
    write_marked_chain(text, name, hook, rules.zip(marks));
}

fn write_marked_chain(
    text: &mut String,
    name: &str,
    hook: &str,
    rules: impl Iterator<Item = (String, String)>,
) {
    let _ = writeln!(text, "\tchain {name} {{\n\t\ttype {hook}; policy accept;");
    for (rule, mark) in rules {
        let _ = writeln!(text, "\t\t{rule} comment \"{mark}\"");
    }
    text.push_str("\t}\n");
}
