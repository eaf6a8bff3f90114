//! The single steps a plan is made of.

mod change;
mod print;

pub use change::{LinkChange, LinkSetting};

use crate::firewall::{Element, Gate, TableName};
use crate::spec::{DeviceName, Family, NamespaceName, Owner, TapOptions, Vxlan};
use crate::tag::Tag;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::net::IpAddr;

/// One step of a plan. `Display` gives the `ip`, `tc`, `bridge`, `nft` or `sysctl` commands it stands for.
///
/// Devices are addressed by their tag wherever they exist already.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case", tag = "op"))]
#[non_exhaustive]
pub enum Op {
    /// Turn on forwarding in the namespace. Others may rely on it, so it is never turned off again.
    ///
    /// A host that forwards IPv6 stops to heed router advertisements and would lose its default route; devices
    /// that do heed them are told to go on (`accept_ra=2`) first.
    EnableForwarding {
        /// Of which version of IP.
        family: Family,
    },
    /// Make our own nf_tables table with its sets, maps, chains and fixed rules.
    CreateTable {
        /// The table.
        table: TableName,
        /// Which rules it has.
        rules: Rules,
    },
    /// Put our table's rules right, where some are missing or of another version. Its elements stay.
    RepairTable {
        /// The table.
        table: TableName,
        /// Which rules it has.
        rules: Rules,
    },
    /// Delete our table if nothing is in its sets.
    RemoveTable {
        /// The table.
        table: TableName,
    },
    /// Make a bridge with a fixed MAC, tag it and bring it up.
    CreateBridge {
        /// The device's name.
        name: DeviceName,
        /// Its MAC.
        mac: MacAddr6,
        /// Its MTU in bytes.
        mtu: u32,
        /// The tag it gets.
        tag: Tag,
    },
    /// Delete a device whose making was cut short before it had its tag.
    DeleteHalfMade {
        /// The device's name.
        name: String,
        /// Its index.
        index: u32,
        /// Whose it would have been.
        owner: Owner,
    },
    /// Make a persistent TAP, exclusively, and tag it.
    CreateTap {
        /// The device's name.
        name: DeviceName,
        /// The MAC of the host's side.
        mac: MacAddr6,
        /// Its MTU in bytes.
        mtu: u32,
        /// How it is made.
        options: TapOptions,
        /// How it is set up.
        setup: DeviceSetup,
        /// The tag it gets.
        tag: Tag,
    },
    /// Make a veth pair and tag both ends. Inside a namespace, `there` is born outside of it.
    CreateVeth {
        /// The end where the step is carried out. It is up from the start.
        here: VethEnd,
        /// The other end.
        there: VethEnd,
        /// The MTU of both in bytes.
        mtu: u32,
    },
    /// Make a VXLAN device and tag it. It comes up as a port.
    CreateVxlan {
        /// The device, less its entries.
        vxlan: Vxlan,
        /// Its MTU in bytes.
        mtu: u32,
        /// The tag it gets.
        tag: Tag,
    },
    /// Make a device a port of a bridge and bring it up.
    AttachPort {
        /// The device.
        port: Tag,
        /// The bridge.
        bridge: Tag,
        /// Whether it is kept from the bridge's other isolated ports.
        isolated: bool,
        /// Where the device was before.
        was: PortState,
    },
    /// Put a device back to where it was.
    RestorePort {
        /// The device.
        port: Tag,
        /// Where it was.
        to: PortState,
    },
    /// Change a property of a device.
    SetLink {
        /// The device.
        tag: Tag,
        /// What changes.
        change: LinkChange,
    },
    /// Give a device an address.
    AddAddress {
        /// The device.
        tag: Tag,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Take an address from a device.
    RemoveAddress {
        /// The device.
        tag: Tag,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Add a route that leads to a device.
    AddRoute {
        /// The device.
        tag: Tag,
        /// The route.
        route: Route,
    },
    /// Remove a route that leads to a device.
    RemoveRoute {
        /// The device.
        tag: Tag,
        /// The route.
        route: Route,
    },
    /// Say for good which MAC an address has on a device, or that the host answers for it there.
    AddNeighbour {
        /// The device.
        tag: Tag,
        /// The entry.
        entry: NeighbourEntry,
    },
    /// Take such an entry back.
    RemoveNeighbour {
        /// The device.
        tag: Tag,
        /// The entry.
        entry: NeighbourEntry,
    },
    /// Say behind which host a MAC is; for all zeros, which host gets what has no known place.
    AddPeer {
        /// The VXLAN device.
        tag: Tag,
        /// The peer.
        peer: VxlanPeer,
    },
    /// Take such an entry back.
    RemovePeer {
        /// The VXLAN device.
        tag: Tag,
        /// The peer.
        peer: VxlanPeer,
    },
    /// Put an element into a set or map of our table.
    AddElement {
        /// The table.
        table: TableName,
        /// The element.
        element: Element,
        /// What it belongs to.
        tag: Tag,
    },
    /// Take an element out of a set or map of our table, if it still belongs to `tag`.
    RemoveElement {
        /// The table.
        table: TableName,
        /// The element.
        element: Element,
        /// What it belongs to.
        tag: Tag,
    },
    /// Make a named network namespace with everything in it. It gets its name last, so a crash leaves nothing.
    CreateNamespace {
        /// Its name.
        name: NamespaceName,
        /// What is done inside.
        inside: Vec<Self>,
        /// The tag that its `lo` gets.
        tag: Tag,
    },
    /// Do something inside the namespace of this name, if it has this tag.
    InNamespace {
        /// Its name.
        name: NamespaceName,
        /// What is done inside.
        inside: Vec<Self>,
        /// The tag that its `lo` has.
        tag: Tag,
    },
    /// Delete the namespace of this name, if it has this tag. What is in it goes when nobody uses it any more.
    DeleteNamespace {
        /// Its name.
        name: NamespaceName,
        /// The tag that its `lo` has.
        tag: Tag,
    },
    /// Delete the device with this tag.
    DeleteLink {
        /// The device.
        tag: Tag,
    },
}

/// Which rules a table of ours has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Rules {
    /// The host's.
    Host,
    /// Those of a VM's namespace.
    Gate(Gate),
}

/// How a guest's device is set up before it is tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DeviceSetup {
    /// Its link group, by which the rules know it.
    pub group: u32,
    /// Whether it is a routed network's: the host answers there for whatever it has a route to (proxy ARP, and NDP
    /// for single addresses), and packets from 127.0.0.0/8 may leave by it.
    pub proxy: bool,
}

/// One end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VethEnd {
    /// The device's name.
    pub name: DeviceName,
    /// Its MAC; one that the kernel draws if there is none.
    pub mac: Option<MacAddr6>,
    /// How it is set up.
    pub setup: DeviceSetup,
    /// The tag it gets.
    pub tag: Tag,
}

/// A route that leads to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Route {
    /// Which addresses it is for.
    pub destination: IpNet,
    /// The router there; none if they are reached directly.
    pub via: Option<IpAddr>,
    /// The address that the host's own packets have, if it is not for the kernel to choose.
    pub source: Option<IpAddr>,
}

/// A permanent entry of a device's neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NeighbourEntry {
    /// The address.
    pub address: IpAddr,
    /// Its MAC; none if the host is to answer for it (a proxy entry).
    pub mac: Option<MacAddr6>,
}

/// Where a VXLAN device finds a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VxlanPeer {
    /// The MAC; all zeros for a host that gets what has no known place.
    pub mac: MacAddr6,
    /// The host.
    pub host: IpAddr,
}

/// Of which bridge a device is a port, and whether it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PortState {
    /// The bridge's index, if it is a port of one.
    pub master: Option<u32>,
    /// Whether it is kept from the bridge's other isolated ports.
    pub isolated: bool,
    /// Whether it is up.
    pub up: bool,
}

impl Op {
    /// Whose objects the step is about; nobody's where a setting is shared.
    const fn owner(&self) -> Option<&Owner> {
        match self {
            Self::EnableForwarding { .. } => None,
            Self::CreateTable { table, .. }
            | Self::RepairTable { table, .. }
            | Self::RemoveTable { table }
            | Self::AddElement { table, .. }
            | Self::RemoveElement { table, .. } => Some(table.owner()),
            Self::DeleteHalfMade { owner, .. } => Some(owner),
            Self::CreateVeth { here, .. } => Some(here.tag.owner()),
            Self::CreateBridge { tag, .. }
            | Self::CreateTap { tag, .. }
            | Self::CreateVxlan { tag, .. }
            | Self::AttachPort { port: tag, .. }
            | Self::RestorePort { port: tag, .. }
            | Self::SetLink { tag, .. }
            | Self::AddAddress { tag, .. }
            | Self::RemoveAddress { tag, .. }
            | Self::AddRoute { tag, .. }
            | Self::RemoveRoute { tag, .. }
            | Self::AddNeighbour { tag, .. }
            | Self::RemoveNeighbour { tag, .. }
            | Self::AddPeer { tag, .. }
            | Self::RemovePeer { tag, .. }
            | Self::CreateNamespace { tag, .. }
            | Self::InNamespace { tag, .. }
            | Self::DeleteNamespace { tag, .. }
            | Self::DeleteLink { tag } => Some(tag.owner()),
        }
    }

    /// Whose objects the step is about, or one inside it, if not this owner's.
    pub(crate) fn other_owner(&self, owner: &Owner) -> Option<&Owner> {
        let inside: &[Self] = match self {
            Self::CreateNamespace { inside, .. } | Self::InNamespace { inside, .. } => inside,
            _ => &[],
        };
        let other = self.owner().filter(|own| *own != owner);
        other.or_else(|| inside.iter().find_map(|op| op.other_owner(owner)))
    }

    /// The step that undoes this one, if it can and may be undone.
    ///
    /// A shared setting is not turned back, for others may have come to rely on it; a deletion is not undone,
    /// since nothing is deleted that is still wanted.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::EnableForwarding { .. }
            | Self::RepairTable { .. }
            | Self::RemoveTable { .. }
            | Self::DeleteHalfMade { .. }
            | Self::RestorePort { .. }
            | Self::DeleteNamespace { .. }
            | Self::DeleteLink { .. } => return None,
            Self::CreateTable { table, .. } => Self::RemoveTable { table },
            Self::CreateBridge { tag, .. }
            | Self::CreateTap { tag, .. }
            | Self::CreateVxlan { tag, .. } => Self::DeleteLink { tag },
            // The other end goes with it.
            Self::CreateVeth { here, .. } => Self::DeleteLink { tag: here.tag },
            Self::AttachPort { port, was, .. } => Self::RestorePort { port, to: was },
            Self::SetLink { tag, change } => Self::SetLink { tag, change: change.inverse() },
            Self::AddAddress { tag, address } => Self::RemoveAddress { tag, address },
            Self::RemoveAddress { tag, address } => Self::AddAddress { tag, address },
            Self::AddRoute { tag, route } => Self::RemoveRoute { tag, route },
            Self::RemoveRoute { tag, route } => Self::AddRoute { tag, route },
            Self::AddNeighbour { tag, entry } => Self::RemoveNeighbour { tag, entry },
            Self::RemoveNeighbour { tag, entry } => Self::AddNeighbour { tag, entry },
            Self::AddPeer { tag, peer } => Self::RemovePeer { tag, peer },
            Self::RemovePeer { tag, peer } => Self::AddPeer { tag, peer },
            Self::AddElement { table, element, tag } => Self::RemoveElement { table, element, tag },
            Self::RemoveElement { table, element, tag } => Self::AddElement { table, element, tag },
            Self::CreateNamespace { name, tag, .. } => Self::DeleteNamespace { name, tag },
            Self::InNamespace { name, inside, tag } => Self::InNamespace {
                name,
                inside: inside.iter().rev().filter_map(Self::inverse).collect(),
                tag,
            },
        })
    }
}
