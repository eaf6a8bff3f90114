use super::{DeviceName, NetworkName};
use ipnet::Ipv4Net;
use macaddr::MacAddr6;
use std::net::Ipv4Addr;

/// A bridged network: a bridge on the host that holds the gateway's address.
///
/// ```
/// use hostnet::{DeviceName, Network, NetworkName};
///
/// let network = Network::bridged(
///     NetworkName::new("default")?,
///     DeviceName::new("br0")?,
///     "172.16.0.1/16".parse()?,
/// )?
/// .with_masquerade();
/// assert_eq!(network.prefix().to_string(), "172.16.0.0/16");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked"))]
pub struct Network {
    name: NetworkName,
    bridge: DeviceName,
    gateway: Ipv4Net,
    mac: MacAddr6,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    mtu: Option<u32>,
    masquerade: bool,
}

/// Why a network cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The prefix leaves no room for a gateway and a guest.
    #[error("{gateway} has no room for a gateway and a guest; use a prefix of /30 or shorter")]
    PrefixTooLong {
        /// The refused gateway.
        gateway: Ipv4Net,
    },
    /// The gateway is the network's own or its broadcast address.
    #[error(
        "{gateway} is the network or broadcast address of its prefix; use for example {example}"
    )]
    GatewayReserved {
        /// The refused gateway.
        gateway: Ipv4Net,
        /// An address of the same prefix that would do.
        example: Ipv4Net,
    },
    /// The prefix can never be routed to a guest.
    #[error(
        "{gateway} is loopback, multicast or unspecified; use a private prefix such as 172.16.0.1/16"
    )]
    NotUnicast {
        /// The refused gateway.
        gateway: Ipv4Net,
    },
    /// A group address, or all zeros.
    #[error("{mac} is no unicast MAC address; clear the lowest bit of its first byte")]
    Mac {
        /// The refused address.
        mac: MacAddr6,
    },
    /// Outside what IPv4 and Ethernet devices take.
    #[error("an MTU of {mtu} bytes is outside 576..=65535")]
    Mtu {
        /// The refused size in bytes.
        mtu: u32,
    },
}

impl Network {
    /// A bridge named `bridge` with the address `gateway`; the guests' prefix is `gateway`'s.
    ///
    /// The bridge's MAC is fixed from the first message on (a bridge without one changes it as ports come
    /// and go) and derived from the network's name.
    ///
    /// # Errors
    /// When the prefix has no room for a guest, or `gateway` is its first or last address or no unicast address.
    pub fn bridged(
        name: NetworkName,
        bridge: DeviceName,
        gateway: Ipv4Net,
    ) -> Result<Self, NetworkError> {
        if gateway.prefix_len() > 30 {
            return Err(NetworkError::PrefixTooLong { gateway });
        }
        let address = gateway.addr();
        let prefix = gateway.trunc();
        if address.is_loopback() || address.is_multicast() || prefix.addr().is_unspecified() {
            return Err(NetworkError::NotUnicast { gateway });
        }
        if address == prefix.network() || address == prefix.broadcast() {
            let first = Ipv4Addr::from(u32::from(prefix.network()).saturating_add(1));
            let example = Ipv4Net::new(first, gateway.prefix_len()).unwrap_or(gateway);
            return Err(NetworkError::GatewayReserved { gateway, example });
        }
        let mac = derived_mac(&name);
        Ok(Self { name, bridge, gateway, mac, mtu: None, masquerade: false })
    }

    /// Gives the bridge this MAC instead of the derived one.
    ///
    /// # Errors
    /// When it is a group address or all zeros.
    pub fn with_mac(mut self, mac: MacAddr6) -> Result<Self, NetworkError> {
        if !is_unicast(mac) {
            return Err(NetworkError::Mac { mac });
        }
        self.mac = mac;
        Ok(self)
    }

    /// Sets the MTU in bytes, 576..=65535; without it the kernel's default of 1500 stays.
    ///
    /// # Errors
    /// When it is outside that range.
    pub fn with_mtu(mut self, mtu: u32) -> Result<Self, NetworkError> {
        if !(576..=65535).contains(&mtu) {
            return Err(NetworkError::Mtu { mtu });
        }
        self.mtu = Some(mtu);
        Ok(self)
    }

    /// Lets the guests out: traffic that leaves the network takes the host's address.
    #[must_use]
    pub const fn with_masquerade(mut self) -> Self {
        self.masquerade = true;
        self
    }

    /// The network's name.
    #[must_use]
    pub const fn name(&self) -> &NetworkName {
        &self.name
    }

    /// The bridge's device name.
    #[must_use]
    pub const fn bridge(&self) -> &DeviceName {
        &self.bridge
    }

    /// The gateway's address with the prefix length.
    #[must_use]
    pub const fn gateway(&self) -> Ipv4Net {
        self.gateway
    }

    /// The prefix the guests' addresses are in.
    #[must_use]
    pub fn prefix(&self) -> Ipv4Net {
        self.gateway.trunc()
    }

    /// The bridge's MAC.
    #[must_use]
    pub const fn mac(&self) -> MacAddr6 {
        self.mac
    }

    /// The MTU in bytes, if one was set.
    #[must_use]
    pub const fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    /// Whether traffic that leaves the network takes the host's address.
    #[must_use]
    pub const fn masquerades(&self) -> bool {
        self.masquerade
    }
}

/// A network as it was written down, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    name: NetworkName,
    bridge: DeviceName,
    gateway: Ipv4Net,
    #[serde(default)]
    mac: Option<MacAddr6>,
    #[serde(default)]
    mtu: Option<u32>,
    #[serde(default)]
    masquerade: bool,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Network {
    type Error = NetworkError;

    fn try_from(raw: Unchecked) -> Result<Self, NetworkError> {
        let mut network = Self::bridged(raw.name, raw.bridge, raw.gateway)?;
        if let Some(mac) = raw.mac {
            network = network.with_mac(mac)?;
        }
        if let Some(mtu) = raw.mtu {
            network = network.with_mtu(mtu)?;
        }
        network.masquerade = raw.masquerade;
        Ok(network)
    }
}

pub(super) fn is_unicast(mac: MacAddr6) -> bool {
    mac.is_unicast() && !mac.is_nil()
}

/// A locally administered unicast MAC from the network's name (64-bit FNV-1a, cut to five bytes).
fn derived_mac(name: &NetworkName) -> MacAddr6 {
    let hash = crate::tag::fnv1a(name.as_str().as_bytes());
    let mut mac = [0x02; 6];
    mac.iter_mut().skip(1).zip(hash.to_be_bytes()).for_each(|(to, from)| *to = from);
    MacAddr6::from(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(gateway: &str) -> Result<Network, NetworkError> {
        Network::bridged(
            NetworkName::new("n").unwrap(),
            DeviceName::new("br0").unwrap(),
            gateway.parse().unwrap(),
        )
    }

    #[test]
    fn gateways_are_checked() {
        network("172.16.0.1/16").unwrap();
        network("10.0.0.2/30").unwrap();
        for bad in [
            "10.0.0.1/31",
            "10.0.0.1/32",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "0.0.0.1/0",
        ] {
            network(bad).unwrap_err();
        }
        let error = network("10.0.0.0/24").unwrap_err();
        assert!(error.to_string().ends_with("use for example 10.0.0.1/24"), "{error}");
    }

    #[test]
    fn derived_macs_are_unicast_and_stable() {
        let mac = network("10.0.0.1/24").unwrap().mac();
        assert!(is_unicast(mac));
        assert_eq!(mac, network("10.0.1.1/24").unwrap().mac());
    }
}
