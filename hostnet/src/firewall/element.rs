use super::TableFamily;
use crate::spec::{DeviceName, Protocol, Rate};
use crate::tag::Tag;
use core::fmt;
use core::num::NonZeroU16;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An element of one of the table's sets, or of its maps of port forwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Element {
    /// The prefix of a network of ours.
    Network(IpNet),
    /// Leave for one prefix to open connections to another, of one or two networks of ours.
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
    /// What a guest may send from, at the port it is behind: a MAC, alone or with an address.
    Sender {
        /// In which family of the table: `bridge` for the ports of bridges.
        family: TableFamily,
        /// The device that its packets come in by.
        port: DeviceName,
        /// Its MAC.
        mac: MacAddr6,
        /// One of its addresses; none where only the MAC is looked at.
        address: Option<IpAddr>,
    },
    /// An IPv6 address that a guest may call its own when neighbours ask (RFC 4861, 4.4).
    Announced {
        /// The port of a bridge that its frames come in by.
        port: DeviceName,
        /// Its MAC.
        mac: MacAddr6,
        /// The address.
        address: Ipv6Addr,
    },
    /// How fast a guest may send, at the port it is behind. What comes faster is dropped.
    Limit {
        /// In which family of the table: `bridge` for the ports of bridges.
        family: TableFamily,
        /// The device that its packets come in by.
        port: DeviceName,
        /// How fast.
        rate: Rate,
    },
}

impl Element {
    /// The family of the table that it is in.
    #[must_use]
    pub const fn family(&self) -> TableFamily {
        match self {
            Self::Sender { family, .. } | Self::Limit { family, .. } => *family,
            Self::Announced { .. } => TableFamily::Bridge,
            _ => TableFamily::Inet,
        }
    }

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
            Self::Sender { address: None, .. } => "senders",
            Self::Sender { address: Some(IpAddr::V4(_)), .. } => "senders4",
            Self::Sender { address: Some(IpAddr::V6(_)), .. } => "senders6",
            Self::Announced { .. } => "announced6",
            Self::Limit { .. } => "limits",
        }
    }

    /// What is the same for all elements of which only one can be there: the set and the key in it.
    pub(crate) fn key_only(&self) -> Self {
        let mut key = self.clone();
        match &mut key {
            Self::Forward { to, .. } => {
                let nowhere: IpAddr = match to {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                *to = SocketAddr::new(nowhere, 0);
            }
            Self::Limit { rate, .. } => *rate = Rate::new(core::num::NonZeroU64::MIN),
            _ => {}
        }
        key
    }

    /// Its key as `nft` writes it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Network(prefix) | Self::Masquerade(prefix) => prefix.to_string(),
            Self::Allowed { from, to } => format!("{from} . {to}"),
            Self::Forward { protocol, host_port, .. } => format!("{protocol} . {host_port}"),
            Self::Sender { port, mac, address: None, .. } => format!("\"{port}\" . {mac}"),
            Self::Sender { port, mac, address: Some(address), .. } => {
                format!("\"{port}\" . {mac} . {address}")
            }
            // `nft` has had a name for this field since 1.0.8 only; without one it is a number.
            Self::Announced { port, mac, address } => {
                format!("\"{port}\" . {mac} . {:#034x}", u128::from(*address))
            }
            Self::Limit { port, .. } => format!("\"{port}\""),
        }
    }

    /// The whole element as `nft` writes it.
    pub(crate) fn with_comment(&self, tag: &Tag) -> String {
        let key = self.key();
        match self {
            Self::Forward { to, .. } => {
                format!("{key} comment \"{tag}\" : {} . {}", to.ip(), to.port())
            }
            Self::Limit { rate, .. } => format!("{key} limit rate over {rate} comment \"{tag}\""),
            _ => format!("{key} comment \"{tag}\""),
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
            Self::Sender { port, mac, address: None, .. } => write!(f, "sender {port} {mac}"),
            Self::Sender { port, mac, address: Some(address), .. } => {
                write!(f, "sender {port} {mac} {address}")
            }
            Self::Announced { port, mac, address } => write!(f, "announced {port} {mac} {address}"),
            Self::Limit { port, rate, .. } => write!(f, "limit {port} {rate}"),
        }
    }
}
