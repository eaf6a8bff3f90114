use super::{
    AttachmentId, DeviceName, NetworkName, Vxlan, check_gateway, derived_mac, is_unicast,
    link_local,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use macaddr::MacAddr6;

/// A network of guests: a device on the host that holds the gateways' addresses, of IPv4, IPv6 or both, and what
/// the guests on it may do.
///
/// Guests of one network do not reach one another, nor another network's, unless that is
/// [allowed](Self::with_guest_to_guest), but through a port forward. Each can send from its own addresses only.
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each with a method of its own"
)]
pub struct Network {
    name: NetworkName,
    shape: NetworkShape,
    device: DeviceName,
    gateway4: Option<Ipv4Net>,
    gateway6: Option<Ipv6Net>,
    mac: MacAddr6,
    mtu: Option<u32>,
    masquerade: bool,
    guest_to_guest: bool,
    unchecked_sources: bool,
    static_neighbours: bool,
    shards: Vec<Shard>,
    vxlan: Option<Vxlan>,
}

/// How guests are joined to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum NetworkShape {
    /// By a bridge: they share a link, and broadcasts reach the host. At most 1,023 on each bridge.
    Bridged,
    /// By a route to each: nothing is flooded, and there may be as many as the prefix has addresses.
    Routed,
}

/// A further bridge of a network that outgrows one, and the veth pair that joins it to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Shard {
    pub(crate) bridge: DeviceName,
    /// The pair's end on this bridge.
    pub(crate) uplink: DeviceName,
    /// The pair's end on the first bridge.
    pub(crate) downlink: DeviceName,
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
    /// Only a bridge can be extended.
    #[error("a routed network has no bridge for {what}; make it a bridged one")]
    NotBridged {
        /// What was to be added.
        what: &'static str,
    },
    /// Permanent neighbours belong to a guest's own device.
    #[error("a bridged network learns its neighbours; make it a routed one to have them fixed")]
    NotRouted,
    /// More bridges than are numbered.
    #[error("a network has at most {most} bridges; use a routed network or a second one")]
    TooManyShards {
        /// How many it can have.
        most: usize,
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
        Self::new(name, NetworkShape::Bridged, bridge).with_gateway(gateway)
    }

    /// A network without a bridge: each guest's TAP gets a route of its own, and the host answers for whatever a guest
    /// asks for on its link (proxy ARP).
    ///
    /// The address `gateway` is on `device`, a bridge that never has ports. A guest may have its IPv4
    /// address with the whole prefix or as a /32. Its IPv6 address should be a /128: whatever it takes to be on
    /// its link is asked for there, and the host answers for the gateway alone.
    ///
    /// # Errors
    /// As for [`bridged`](Self::bridged).
    pub fn routed(
        name: NetworkName,
        device: DeviceName,
        gateway: IpNet,
    ) -> Result<Self, NetworkError> {
        Self::new(name, NetworkShape::Routed, device).with_gateway(gateway)
    }

    fn new(name: NetworkName, shape: NetworkShape, device: DeviceName) -> Self {
        Self {
            mac: derived_mac(&name),
            name,
            shape,
            device,
            gateway4: None,
            gateway6: None,
            mtu: None,
            masquerade: false,
            guest_to_guest: false,
            unchecked_sources: false,
            static_neighbours: false,
            shards: Vec::new(),
            vxlan: None,
        }
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

    /// Sets the MTU of the bridge and its TAPs in bytes; without it that is 1500, less what VXLAN adds to each frame.
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

    /// Lets the guests reach one another, on the bridge as well as by way of the host.
    #[must_use]
    pub const fn with_guest_to_guest(mut self) -> Self {
        self.guest_to_guest = true;
        self
    }

    /// Lets guests send from any MAC and address, as one does that is a router or a bridge itself.
    #[must_use]
    pub const fn with_unchecked_sources(mut self) -> Self {
        self.unchecked_sources = true;
        self
    }

    /// Tells the host each guest's MAC (a permanent neighbour entry), so that it never asks.
    ///
    /// Such an entry says nothing about whether the guest is there.
    ///
    /// # Errors
    /// When the network is bridged: there the entries would outlive the guests.
    pub fn with_static_neighbours(mut self) -> Result<Self, NetworkError> {
        match self.shape {
            NetworkShape::Bridged => return Err(NetworkError::NotRouted),
            NetworkShape::Routed => self.static_neighbours = true,
        }
        Ok(self)
    }

    /// Adds a further bridge, since one takes no more than 1,023 ports: `bridge`, joined to the first by a veth pair with
    /// the end `uplink` on it and the end `downlink` on the first.
    ///
    /// Which bridge an attachment is on follows from its id; one that is on a bridge of the network stays there.
    ///
    /// # Errors
    /// When the network is routed, which has no such limit, or has 64 bridges already.
    pub fn with_shard(
        mut self,
        bridge: DeviceName,
        uplink: DeviceName,
        downlink: DeviceName,
    ) -> Result<Self, NetworkError> {
        self.check_bridged("a further bridge")?;
        if self.shards.len() + 1 >= Self::MAX_BRIDGES {
            return Err(NetworkError::TooManyShards { most: Self::MAX_BRIDGES });
        }
        self.shards.push(Shard { bridge, uplink, downlink });
        Ok(self)
    }

    /// Joins the bridge to those of other hosts.
    ///
    /// # Errors
    /// When the network is routed.
    pub fn with_vxlan(mut self, vxlan: Vxlan) -> Result<Self, NetworkError> {
        self.check_bridged("a VXLAN device")?;
        self.vxlan = Some(vxlan);
        Ok(self)
    }

    /// The network's name.
    #[must_use]
    pub const fn name(&self) -> &NetworkName {
        &self.name
    }

    /// How its guests are joined to the host.
    #[must_use]
    pub const fn shape(&self) -> NetworkShape {
        self.shape
    }

    /// The name of the device that holds the gateways' addresses: the first bridge, or a routed network's device.
    #[must_use]
    pub const fn device(&self) -> &DeviceName {
        &self.device
    }

    /// The names of all its bridges, the first one first.
    pub fn bridges(&self) -> impl Iterator<Item = &DeviceName> {
        core::iter::once(&self.device).chain(self.shards.iter().map(|shard| &shard.bridge))
    }

    /// The VXLAN device, if it has one.
    #[must_use]
    pub const fn vxlan(&self) -> Option<&Vxlan> {
        self.vxlan.as_ref()
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

    /// The most bridges a network can have.
    pub const MAX_BRIDGES: usize = 64;

    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Which of its bridges an attachment belongs on, counted from 0.
    pub(crate) fn bridge_of(&self, id: &AttachmentId) -> usize {
        let bridges = self.shards.len() as u64 + 1;
        usize::try_from(crate::tag::fnv1a(id.as_str().as_bytes()) % bridges).unwrap_or(0)
    }

    /// The MTU that its devices are to have.
    pub(crate) fn device_mtu(&self) -> u32 {
        self.mtu.unwrap_or_else(|| 1500 - self.vxlan.as_ref().map_or(0, Vxlan::overhead))
    }

    /// The MAC of one of its bridges, by number.
    pub(crate) fn bridge_mac(&self, number: usize) -> MacAddr6 {
        let mut mac = self.mac.into_array();
        // Far from the bits that tell networks apart, and unchanged for the first one.
        mac[0] ^= u8::try_from(number << 2).unwrap_or(0xfc) & 0xfc;
        mac.into()
    }

    const fn check_bridged(&self, what: &'static str) -> Result<(), NetworkError> {
        match self.shape {
            NetworkShape::Bridged => Ok(()),
            NetworkShape::Routed => Err(NetworkError::NotBridged { what }),
        }
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

    /// Whether its guests reach one another.
    #[must_use]
    pub const fn guest_to_guest(&self) -> bool {
        self.guest_to_guest
    }

    /// Whether guests are kept to their own addresses.
    #[must_use]
    pub const fn checks_sources(&self) -> bool {
        !self.unchecked_sources
    }

    /// Whether the host is told each guest's MAC.
    #[must_use]
    pub const fn static_neighbours(&self) -> bool {
        self.static_neighbours
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each with a method of its own"
)]
struct Unchecked {
    name: NetworkName,
    shape: NetworkShape,
    device: DeviceName,
    gateways: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddr6>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(default)]
    masquerade: bool,
    #[serde(default)]
    guest_to_guest: bool,
    #[serde(default)]
    any_source: bool,
    #[serde(default)]
    static_neighbours: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shards: Vec<Shard>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vxlan: Option<Vxlan>,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Network {
    type Error = NetworkError;

    fn try_from(raw: Unchecked) -> Result<Self, NetworkError> {
        if raw.gateways.is_empty() {
            return Err(NetworkError::NoGateway);
        }
        let bare = Self::new(raw.name, raw.shape, raw.device);
        let mut network = raw.gateways.into_iter().try_fold(bare, Self::with_gateway)?;
        if let Some(mac) = raw.mac {
            network = network.with_mac(mac)?;
        }
        if let Some(mtu) = raw.mtu {
            network = network.with_mtu(mtu)?;
        }
        if let Some(vxlan) = raw.vxlan {
            network = network.with_vxlan(vxlan)?;
        }
        for Shard { bridge, uplink, downlink } in raw.shards {
            network = network.with_shard(bridge, uplink, downlink)?;
        }
        network.masquerade = raw.masquerade;
        network.guest_to_guest = raw.guest_to_guest;
        network.unchecked_sources = raw.any_source;
        if raw.static_neighbours {
            network = network.with_static_neighbours()?;
        }
        Ok(network)
    }
}

#[cfg(feature = "serde")]
impl From<Network> for Unchecked {
    fn from(network: Network) -> Self {
        Self {
            gateways: network.gateways().collect(),
            name: network.name,
            shape: network.shape,
            device: network.device,
            mac: Some(network.mac),
            mtu: network.mtu,
            masquerade: network.masquerade,
            guest_to_guest: network.guest_to_guest,
            any_source: network.unchecked_sources,
            static_neighbours: network.static_neighbours,
            shards: network.shards,
            vxlan: network.vxlan,
        }
    }
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
