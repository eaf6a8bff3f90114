//! The firewall as data: one table of our own with fixed rules, and elements in its sets and map.

use crate::spec::{Owner, Protocol};
use crate::tag::{Tag, birth_group};
use core::fmt;
use core::num::NonZeroU16;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The name of an owner's nf_tables table, in the `inet` family: `hostnet-OWNER`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct TableName(Owner);

impl TableName {
    /// The table of this owner.
    #[must_use]
    pub const fn new(owner: Owner) -> Self {
        Self(owner)
    }

    /// Whose table it is.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.0
    }

    /// What the table's user data holds; a table without it is not ours, whatever it is called.
    pub(crate) fn mark(&self) -> String {
        format!("hostnet:{}:table:{RULESET_VERSION}", self.0)
    }

    /// The table's sets, map, chains and rules, as `nft -f` reads them.
    #[must_use]
    pub fn ruleset(&self) -> String {
        let rules = RULESET.replace("GROUP", &birth_group(&self.0).to_string());
        format!("table inet {self} {{\n\tcomment \"{}\"\n{rules}}}\n", self.mark())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostnet-{}", self.0)
    }
}

/// Raised whenever [`RULESET`] changes, so that a table of another version is told apart.
const RULESET_VERSION: u32 = 1;

/// The fixed part of the table. `kernel::nft::ruleset` builds the same over netlink.
///
/// * `guard`: `route_localnet` lets 127.0.0.1 reach a guest through a forward; this keeps guests from reaching the
///   host's loopback the other way (CVE-2020-8558). It also keeps a guest from announcing itself as the host's
///   router. Bridges are known by the link group they are born in, which they keep whatever they are called.
/// * `isolation`: networks do not reach one another, but through a forward or where it is allowed; answers come back.
/// * `prerouting` and `output`: forwards, for connections from outside and from the host itself.
/// * `postrouting`: replies must come back through the host, so connections from 127.0.0.1 and from guest to
///   guest through a forward take the host's address; and so does what leaves a masquerading network.
const RULESET: &str = "\
\tset networks4 { type ipv4_addr; flags interval; }
\tset networks6 { type ipv6_addr; flags interval; }
\tset allowed4 { type ipv4_addr . ipv4_addr; flags interval; }
\tset allowed6 { type ipv6_addr . ipv6_addr; flags interval; }
\tset masquerade4 { type ipv4_addr; flags interval; }
\tset masquerade6 { type ipv6_addr; flags interval; }
\tmap forward4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
\tmap forward6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
\tchain guard {
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifgroup GROUP ip saddr 127.0.0.0/8 drop
\t\tiifgroup GROUP ip daddr 127.0.0.0/8 drop
\t\tiifgroup GROUP icmpv6 type nd-router-advert drop
\t\tiifgroup GROUP icmpv6 type nd-redirect drop
\t}
\tchain isolation {
\t\ttype filter hook forward priority filter; policy accept;
\t\tct status dnat accept
\t\tct direction reply accept
\t\tip saddr @networks4 ip daddr @networks4 ip saddr . ip daddr != @allowed4 drop
\t\tip6 saddr @networks6 ip6 daddr @networks6 ip6 saddr . ip6 daddr != @allowed6 drop
\t}
\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tmeta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @forward4
\t\tmeta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6
\t}
\tchain output {
\t\ttype nat hook output priority -100; policy accept;
\t\tmeta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @forward4
\t\tmeta nfproto ipv6 ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @forward6
\t}
\tchain postrouting {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\tct status dnat ip saddr 127.0.0.0/8 ip daddr @networks4 masquerade
\t\tct status dnat ip saddr @networks4 ip daddr @networks4 masquerade
\t\tct status dnat ip6 saddr @networks6 ip6 daddr @networks6 masquerade
\t\tip saddr @masquerade4 ip daddr != @networks4 masquerade
\t\tip6 saddr @masquerade6 ip6 daddr != @networks6 masquerade
\t}
";

/// An element of one of the table's sets, or of its map of port forwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Element {
    /// The prefix of a network of ours.
    Network(IpNet),
    /// Leave for one prefix to open connections to another, of two networks of ours.
    Allowed {
        /// Who may open connections.
        from: IpNet,
        /// Where to.
        to: IpNet,
    },
    /// A prefix whose traffic takes the host's address when it leaves.
    Masquerade(IpNet),
    /// A port forward. The protocol and the host's port are the key, so one port can only lead to one guest.
    Forward {
        /// The transport protocol.
        protocol: Protocol,
        /// The port on the host.
        host_port: NonZeroU16,
        /// The guest's address and port.
        to: SocketAddr,
    },
}

impl Element {
    /// The set or map it is in.
    #[must_use]
    pub const fn set(&self) -> &'static str {
        match self {
            Self::Network(IpNet::V4(_)) => "networks4",
            Self::Network(IpNet::V6(_)) => "networks6",
            Self::Allowed { from: IpNet::V4(_), .. } => "allowed4",
            Self::Allowed { from: IpNet::V6(_), .. } => "allowed6",
            Self::Masquerade(IpNet::V4(_)) => "masquerade4",
            Self::Masquerade(IpNet::V6(_)) => "masquerade6",
            Self::Forward { to: SocketAddr::V4(_), .. } => "forward4",
            Self::Forward { to: SocketAddr::V6(_), .. } => "forward6",
        }
    }

    /// What is the same for all elements of which only one can be there: the set and the key in it.
    pub(crate) fn key_only(&self) -> Self {
        let mut key = self.clone();
        if let Self::Forward { to, .. } = &mut key {
            let nowhere: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            *to = SocketAddr::new(nowhere, 0);
        }
        key
    }

    /// Its key as `nft` writes it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Network(prefix) | Self::Masquerade(prefix) => prefix.to_string(),
            Self::Allowed { from, to } => format!("{from} . {to}"),
            Self::Forward { protocol, host_port, .. } => format!("{protocol} . {host_port}"),
        }
    }

    /// The whole element as `nft` writes it.
    pub(crate) fn with_comment(&self, tag: &Tag) -> String {
        let key = format!("{} comment \"{tag}\"", self.key());
        match self {
            Self::Forward { to, .. } => format!("{key} : {} . {}", to.ip(), to.port()),
            _ => key,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(prefix) => write!(f, "network {prefix}"),
            Self::Allowed { from, to } => write!(f, "allowed {from} -> {to}"),
            Self::Masquerade(prefix) => write!(f, "masquerade {prefix}"),
            Self::Forward { protocol, host_port, to } => {
                write!(f, "forward {protocol} {host_port} -> {to}")
            }
        }
    }
}
