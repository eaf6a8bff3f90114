use super::{DeviceName, NetworkName};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use macaddr::MacAddr6;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A bridged network: a bridge on the host that holds the gateways' addresses, of IPv4, IPv6 or both.
///
/// ```
/// use hostnet::{DeviceName, Network, NetworkName};
///
/// let network = Network::bridged(
///     NetworkName::new("default")?,
///     DeviceName::new("br0")?,
///     "172.16.0.1/16".parse()?,
/// )?
/// .with_gateway("fd00:16::1/64".parse()?)?
/// .with_masquerade();
/// let prefixes: Vec<String> = network.prefixes().map(|p| p.to_string()).collect();
/// assert_eq!(prefixes, ["172.16.0.0/16", "fd00:16::/64"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Network {
    name: NetworkName,
    bridge: DeviceName,
    gateway4: Option<Ipv4Net>,
    gateway6: Option<Ipv6Net>,
    mac: MacAddr6,
    mtu: Option<u32>,
    masquerade: bool,
}

/// Why a network cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The prefix leaves no room for a gateway and a guest.
    #[error(
        "{gateway} has no room for a gateway and a guest; use a prefix of /{longest} or shorter"
    )]
    PrefixTooLong {
        /// The refused gateway.
        gateway: IpNet,
        /// The longest prefix that has.
        longest: u8,
    },
    /// The gateway is the network's own or its broadcast address.
    #[error(
        "{gateway} is the network's own or the broadcast address of its prefix; use for example {example}"
    )]
    GatewayReserved {
        /// The refused gateway.
        gateway: IpNet,
        /// An address of the same prefix that would do.
        example: IpNet,
    },
    /// The prefix can never be routed to a guest.
    #[error(
        "{gateway} is loopback, link-local, multicast or unspecified; use a private prefix such as {example}"
    )]
    NotUnicast {
        /// The refused gateway.
        gateway: IpNet,
        /// One that would do.
        example: &'static str,
    },
    /// There is a gateway of that family already.
    #[error(
        "{gateway}: the network has a gateway of that family, {present}; it can have one of each"
    )]
    SecondGateway {
        /// The refused gateway.
        gateway: IpNet,
        /// The one that is there.
        present: IpNet,
    },
    /// There is none at all.
    #[error("the network has no gateway; give it one, such as 172.16.0.1/16")]
    NoGateway,
    /// A group address, or all zeros.
    #[error("{mac} is no unicast MAC address; clear the lowest bit of its first byte")]
    Mac {
        /// The refused address.
        mac: MacAddr6,
    },
    /// Outside what IPv4 and Ethernet devices take.
    #[error("an MTU of {mtu} bytes is outside {least}..=65521")]
    Mtu {
        /// The refused size in bytes.
        mtu: u32,
        /// The least that the network's versions of IP take.
        least: u32,
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
        gateway: IpNet,
    ) -> Result<Self, NetworkError> {
        let mac = derived_mac(&name);
        let bare = Self {
            name,
            bridge,
            gateway4: None,
            gateway6: None,
            mac,
            mtu: None,
            masquerade: false,
        };
        bare.with_gateway(gateway)
    }

    /// Adds a gateway of the other address family.
    ///
    /// # Errors
    /// When there is one of its family already, and for the same reasons as [`bridged`](Self::bridged).
    pub fn with_gateway(mut self, gateway: IpNet) -> Result<Self, NetworkError> {
        let present = self.gateways().find(|g| g.addr().is_ipv4() == gateway.addr().is_ipv4());
        if let Some(present) = present {
            return Err(NetworkError::SecondGateway { gateway, present });
        }
        check_gateway(gateway)?;
        match gateway {
            IpNet::V4(gateway) => self.gateway4 = Some(gateway),
            IpNet::V6(gateway) => self.gateway6 = Some(gateway),
        }
        self.check_mtu()?;
        Ok(self)
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

    /// Sets the MTU of the bridge and its TAPs in bytes; without it that is 1500.
    ///
    /// # Errors
    /// When it is less than IPv4 (576, RFC 791) or IPv6 (1280, RFC 8200) takes, or more than a TAP does (65521).
    pub fn with_mtu(mut self, mtu: u32) -> Result<Self, NetworkError> {
        self.mtu = Some(mtu);
        self.check_mtu()?;
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

    /// The gateways' addresses with their prefix lengths, IPv4 first.
    pub fn gateways(&self) -> impl Iterator<Item = IpNet> + use<> {
        let v4 = self.gateway4.map(IpNet::V4);
        v4.into_iter().chain(self.gateway6.map(IpNet::V6))
    }

    /// The prefixes the guests' addresses are in, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + use<> {
        self.gateways().map(|gateway| gateway.trunc())
    }

    const fn check_mtu(&self) -> Result<(), NetworkError> {
        let least = if self.gateway6.is_some() { 1280 } else { 576 };
        match self.mtu {
            Some(mtu) if mtu < least || mtu > 65521 => Err(NetworkError::Mtu { mtu, least }),
            _ => Ok(()),
        }
    }

    /// Everything the bridge is to have: the gateways, and with IPv6 a link-local address, from which the host asks for
    /// neighbours on behalf of others (RFC 4861, 7.2.2). It is not left to the kernel, which would look for a duplicate
    /// first and keep the network unusable for that second.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpNet> + use<> {
        let link_local = self.gateway6.and_then(|_| Ipv6Net::new(link_local(self.mac), 64).ok());
        self.gateways().chain(link_local.map(IpNet::V6))
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

/// A network as it is written down.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Unchecked {
    name: NetworkName,
    bridge: DeviceName,
    gateways: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddr6>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(default)]
    masquerade: bool,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Network {
    type Error = NetworkError;

    fn try_from(raw: Unchecked) -> Result<Self, NetworkError> {
        let mut gateways = raw.gateways.into_iter();
        let first = gateways.next().ok_or(NetworkError::NoGateway)?;
        let mut network = Self::bridged(raw.name, raw.bridge, first)?;
        for gateway in gateways {
            network = network.with_gateway(gateway)?;
        }
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

#[cfg(feature = "serde")]
impl From<Network> for Unchecked {
    fn from(network: Network) -> Self {
        Self {
            gateways: network.gateways().collect(),
            name: network.name,
            bridge: network.bridge,
            mac: Some(network.mac),
            mtu: network.mtu,
            masquerade: network.masquerade,
        }
    }
}

fn check_gateway(gateway: IpNet) -> Result<(), NetworkError> {
    let (longest, example) = match gateway {
        IpNet::V4(_) => (30, "172.16.0.1/16"),
        IpNet::V6(_) => (126, "fd00:16::1/64"),
    };
    if gateway.prefix_len() > longest {
        return Err(NetworkError::PrefixTooLong { gateway, longest });
    }
    let address = gateway.addr();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let unspecified = gateway.network().is_unspecified();
    if address.is_loopback() || address.is_multicast() || link_local || unspecified {
        return Err(NetworkError::NotUnicast { gateway, example });
    }
    // IPv6 has no broadcast; its first address is every router's (RFC 4291, 2.6.1).
    let last = gateway.addr().is_ipv4() && address == gateway.broadcast();
    if last || address == gateway.network() {
        let example = match gateway.trunc() {
            IpNet::V4(prefix) => {
                let first = Ipv4Addr::from(u32::from(prefix.network()).saturating_add(1));
                IpNet::new(first.into(), prefix.prefix_len())
            }
            IpNet::V6(prefix) => {
                let first = Ipv6Addr::from(u128::from(prefix.network()).saturating_add(1));
                IpNet::new(first.into(), prefix.prefix_len())
            }
        };
        return Err(NetworkError::GatewayReserved { gateway, example: example.unwrap_or(gateway) });
    }
    Ok(())
}

pub(super) fn is_unicast(mac: MacAddr6) -> bool {
    mac.is_unicast() && !mac.is_nil()
}

/// The link-local address with this MAC in its lower half (RFC 4291, appendix A).
fn link_local(mac: MacAddr6) -> Ipv6Addr {
    let mac = mac.into_array();
    let (oui, rest) = mac.split_at(3);
    let interface = oui.iter().chain(&[0xff, 0xfe]).chain(rest);
    let mut address = [0; 16];
    address.iter_mut().zip([0xfe, 0x80]).for_each(|(to, from)| *to = from);
    address.iter_mut().skip(8).zip(interface).for_each(|(to, from)| *to = *from);
    address[8] ^= 0b10;
    address.into()
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
        network("fd00:16::1/64").unwrap();
        network("fd00::2/126").unwrap();
        for bad in [
            "10.0.0.1/31",
            "10.0.0.1/32",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "0.0.0.1/0",
            "169.254.0.1/16",
            "fd00::1/127",
            "fd00::/64",
            "fe80::1/64",
            "ff02::1/16",
            "::1/64",
        ] {
            network(bad).unwrap_err();
        }
        let error = network("10.0.0.0/24").unwrap_err();
        assert!(error.to_string().ends_with("use for example 10.0.0.1/24"), "{error}");
        let both = network("10.0.0.1/24").unwrap().with_gateway("fd00::1/64".parse().unwrap());
        let third = both.unwrap().with_gateway("fd01::1/64".parse().unwrap()).unwrap_err();
        assert!(third.to_string().contains("fd00::1/64"), "{third}");
    }

    #[test]
    fn derived_macs_are_unicast_and_stable() {
        let mac = network("10.0.0.1/24").unwrap().mac();
        assert!(is_unicast(mac));
        assert_eq!(mac, network("10.0.1.1/24").unwrap().mac());
    }
}
