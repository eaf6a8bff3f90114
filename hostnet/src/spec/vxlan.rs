use super::{DeviceName, is_unicast};
use core::num::NonZeroU16;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A VXLAN device (RFC 7348) on a network's bridge, by which the network spans several hosts.
///
/// Where a guest's host is not known, frames go to every [flooded](Self::with_flooded_peer) peer, and the device learns
/// from what comes back. A [static](Self::with_static_peer) entry says where one MAC is.
///
/// ```
/// use hostnet::{DeviceName, Vxlan};
///
/// let vxlan = Vxlan::new(DeviceName::new("vx_4711")?, 4711, "192.0.2.1".parse()?)?
///     .with_flooded_peer("192.0.2.2".parse()?)?;
/// assert_eq!(vxlan.overhead(), 50);
/// assert!(Vxlan::new(DeviceName::new("vx")?, 1 << 24, "192.0.2.1".parse()?).is_err(), "a VNI has 24 bits");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Vxlan {
    device: DeviceName,
    vni: u32,
    local: IpAddr,
    port: NonZeroU16,
    flooded: BTreeSet<IpAddr>,
    fixed: BTreeMap<MacAddr6, IpAddr>,
}

/// Why a VXLAN device cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VxlanError {
    /// More than 24 bits, or 0, which Linux takes for "none".
    #[error("{vni} is no VXLAN network identifier; use 1 to 16777215")]
    Vni {
        /// The refused number.
        vni: u32,
    },
    /// No tunnel can end there.
    #[error("{address} cannot be a tunnel's end; use a unicast address of a host")]
    Address {
        /// The refused address.
        address: IpAddr,
    },
    /// The ends are of different families.
    #[error(
        "{peer} and the local end {local} are of different families; use one for all of a network's hosts"
    )]
    OtherFamily {
        /// The refused peer.
        peer: IpAddr,
        /// The local end.
        local: IpAddr,
    },
    /// A group address, or all zeros.
    #[error("{mac} is no unicast MAC address; clear the lowest bit of its first byte")]
    Mac {
        /// The refused address.
        mac: MacAddr6,
    },
}

impl Vxlan {
    /// The UDP port that IANA gave VXLAN.
    pub const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(4789).unwrap();

    /// A device for this VXLAN network identifier (VNI, 1 to 16,777,215) that sends from the host's address `local`.
    ///
    /// # Errors
    /// When the VNI is out of range, or `local` is no unicast address.
    pub fn new(device: DeviceName, vni: u32, local: IpAddr) -> Result<Self, VxlanError> {
        if vni == 0 || vni >= 1 << 24 {
            return Err(VxlanError::Vni { vni });
        }
        check_end(local)?;
        Ok(Self {
            device,
            vni,
            local,
            port: Self::DEFAULT_PORT,
            flooded: BTreeSet::new(),
            fixed: BTreeMap::new(),
        })
    }

    /// Uses this UDP port instead of 4789, here and at all peers.
    #[must_use]
    pub const fn with_port(mut self, port: NonZeroU16) -> Self {
        self.port = port;
        self
    }

    /// Sends what has no known place, broadcasts included, to this host too.
    ///
    /// # Errors
    /// When it is no unicast address, or not of the local end's family.
    pub fn with_flooded_peer(mut self, peer: IpAddr) -> Result<Self, VxlanError> {
        self.check_peer(peer)?;
        self.flooded.insert(peer);
        Ok(self)
    }

    /// Says that this MAC is behind this host. A second entry for a MAC replaces the first.
    ///
    /// # Errors
    /// When the MAC is a group's, or `peer` is no unicast address or not of the local end's family.
    pub fn with_static_peer(mut self, mac: MacAddr6, peer: IpAddr) -> Result<Self, VxlanError> {
        if !is_unicast(mac) {
            return Err(VxlanError::Mac { mac });
        }
        self.check_peer(peer)?;
        self.fixed.insert(mac, peer);
        Ok(self)
    }

    /// The device's name.
    #[must_use]
    pub const fn device(&self) -> &DeviceName {
        &self.device
    }

    /// The VXLAN network identifier.
    #[must_use]
    pub const fn vni(&self) -> u32 {
        self.vni
    }

    /// The host's address that the tunnel ends at.
    #[must_use]
    pub const fn local(&self) -> IpAddr {
        self.local
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(&self) -> NonZeroU16 {
        self.port
    }

    /// How many bytes each frame grows by: 50 over IPv4, 70 over IPv6 (RFC 7348, 5).
    #[must_use]
    pub const fn overhead(&self) -> u32 {
        if self.local.is_ipv4() { 50 } else { 70 }
    }

    /// Whether the device learns where MACs are from what comes back, rather than being told all of them.
    #[must_use]
    pub fn learns(&self) -> bool {
        !self.flooded.is_empty()
    }

    /// Where frames go: for each MAC its peer, and for all zeros the peers that get what has no known place.
    pub fn entries(&self) -> impl Iterator<Item = (MacAddr6, IpAddr)> + '_ {
        let flooded = self.flooded.iter().map(|peer| (MacAddr6::nil(), *peer));
        flooded.chain(self.fixed.iter().map(|(mac, peer)| (*mac, *peer)))
    }

    const fn check_peer(&self, peer: IpAddr) -> Result<(), VxlanError> {
        if peer.is_ipv4() != self.local.is_ipv4() {
            return Err(VxlanError::OtherFamily { peer, local: self.local });
        }
        check_end(peer)
    }
}

const fn check_end(address: IpAddr) -> Result<(), VxlanError> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(VxlanError::Address { address });
    }
    Ok(())
}

/// A VXLAN device as it is written down.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Unchecked {
    device: DeviceName,
    vni: u32,
    local: IpAddr,
    #[serde(default = "default_port")]
    port: NonZeroU16,
    #[serde(default)]
    flooded: Vec<IpAddr>,
    #[serde(default)]
    fixed: Vec<(MacAddr6, IpAddr)>,
}

#[cfg(feature = "serde")]
const fn default_port() -> NonZeroU16 {
    Vxlan::DEFAULT_PORT
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Vxlan {
    type Error = VxlanError;

    fn try_from(raw: Unchecked) -> Result<Self, VxlanError> {
        let bare = Self::new(raw.device, raw.vni, raw.local)?.with_port(raw.port);
        let flooded = raw.flooded.into_iter().try_fold(bare, Self::with_flooded_peer)?;
        raw.fixed.into_iter().try_fold(flooded, |v, (mac, peer)| v.with_static_peer(mac, peer))
    }
}

#[cfg(feature = "serde")]
impl From<Vxlan> for Unchecked {
    fn from(vxlan: Vxlan) -> Self {
        Self {
            device: vxlan.device,
            vni: vxlan.vni,
            local: vxlan.local,
            port: vxlan.port,
            flooded: vxlan.flooded.into_iter().collect(),
            fixed: vxlan.fixed.into_iter().collect(),
        }
    }
}
