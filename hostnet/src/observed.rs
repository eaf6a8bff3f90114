//! What is there: links, addresses and our own table, as the kernel tells it.

use crate::firewall::{Element, Marks};
use crate::op::{LinkSetting, NeighbourEntry, Route, VxlanPeer};
use crate::spec::{Family, NamespaceName, Owner, Rate, TapOptions};
use crate::tag::{BIRTH_INDEXES, Subject, Tag, birth_group, guest_group};
use core::time::Duration;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What was found in a namespace: everything, or what a [`Desired`](crate::Desired) names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Observed {
    /// Whose view it is: only this owner's tags count as ours.
    pub owner: Owner,
    /// Whether everything was looked at, or only what was asked for.
    pub coverage: Coverage,
    /// The devices, ours and foreign ones.
    pub links: Vec<Link>,
    /// Our table.
    pub table: Table,
    /// Which versions of IP the namespace forwards packets of.
    pub forwarding: BTreeSet<Family>,
    /// The named namespaces that are VMs' own.
    pub namespaces: Vec<ObservedNamespace>,
}

/// A VM's own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ObservedNamespace {
    /// Its name.
    pub name: NamespaceName,
    /// The tag on its `lo`; none if it is not one of this crate's.
    pub tag: Option<Tag>,
    /// What is in it, if it is this owner's.
    pub inside: Option<Box<Observed>>,
}

/// How much of the namespace an observation covers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Coverage {
    /// Every device and every element.
    Everything,
    /// What belongs to these subjects, and what stands in the way of what is wanted of them.
    Wish(BTreeSet<Subject>),
    /// What belongs to these subjects, and the ports of their bridges.
    Subjects(BTreeSet<Subject>),
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Link {
    /// Its index, which the kernel gives and may give again.
    pub index: u32,
    /// Its present name.
    pub name: String,
    /// Its kind as `ip -d link` shows it (`bridge`, `tun`, `veth`, …), empty for hardware.
    pub kind: String,
    /// Its MAC, if it has one of six bytes.
    pub mac: Option<MacAddr6>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it was set up (not whether it has a carrier).
    pub up: bool,
    /// The index of the bridge it is a port of.
    pub master: Option<u32>,
    /// Its link group.
    pub group: u32,
    /// Its tag, if it carries one of any owner.
    pub tag: Option<Tag>,
    /// When it was made, since the Unix epoch, if it is one of ours and says so.
    pub made: Option<Duration>,
    /// The namespace that the other end of a veth pair is in, if it is one of ours and says so.
    pub leads_to: Option<NamespaceName>,
    /// Whether, as a port of a bridge, it is kept from the other isolated ports.
    pub isolated: bool,
    /// How a TAP was made.
    pub tap: Option<TapOptions>,
    /// Which of the settings that matter here are on.
    pub settings: BTreeSet<LinkSetting>,
    /// How fast packets may leave by it, as far as `tbf` sees to that.
    pub rate: Option<Rate>,
    /// A VXLAN device's network identifier, local end and UDP port.
    pub vxlan: Option<VxlanEnd>,
    /// Its addresses.
    pub addresses: Vec<LinkAddress>,
    /// The routes that lead to it and carry our number.
    pub routes: Vec<Route>,
    /// Its permanent neighbours that carry our number.
    pub neighbours: Vec<NeighbourEntry>,
    /// Where a VXLAN device finds MACs, as far as it was told.
    pub peers: Vec<VxlanPeer>,
}

/// What a VXLAN device was made with and cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VxlanEnd {
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The host's end.
    pub local: Option<IpAddr>,
    /// The UDP port.
    pub port: u16,
    /// Whether it learns where MACs are.
    pub learns: bool,
}

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LinkAddress {
    /// The address with its prefix length.
    pub address: IpNet,
    /// Whether it was given by this crate: it carries our number as its protocol (`IFA_PROTO`, Linux 5.18).
    pub ours: bool,
}

/// Our nf_tables table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Table {
    /// There is none.
    Absent,
    /// A table of its name is there that we did not make.
    Foreign,
    /// It is there.
    Ours {
        /// The elements, and what they belong to.
        elements: Vec<(Element, Option<Tag>)>,
        /// The comments of its rules.
        marks: Marks,
    },
}

impl Table {
    /// Its elements; none if it is not there or not ours.
    pub fn elements(&self) -> impl Iterator<Item = (&Element, Option<&Tag>)> {
        match self {
            Self::Ours { elements, .. } => elements.as_slice(),
            Self::Absent | Self::Foreign => &[],
        }
        .iter()
        .map(|(element, tag)| (element, tag.as_ref()))
    }
}

impl Observed {
    /// An empty namespace.
    pub(crate) const fn nothing(owner: Owner) -> Self {
        Self {
            owner,
            coverage: Coverage::Everything,
            links: Vec::new(),
            table: Table::Absent,
            forwarding: BTreeSet::new(),
            namespaces: Vec::new(),
        }
    }

    /// The devices that carry a tag of ours.
    pub fn our_links(&self) -> impl Iterator<Item = (&Link, &Tag)> {
        self.links
            .iter()
            .filter_map(|link| Some((link, link.tag.as_ref()?)))
            .filter(|(_, tag)| *tag.owner() == self.owner)
    }

    /// The inventory: every network and attachment of ours of which something is there.
    #[must_use]
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let links = self.our_links().map(|(_, tag)| tag);
        let elements = self.table.elements().filter_map(|(_, tag)| tag);
        let namespaces = self.namespaces.iter().filter_map(|namespace| namespace.tag.as_ref());
        links
            .chain(elements)
            .chain(namespaces)
            .filter(|tag| *tag.owner() == self.owner)
            .map(|tag| tag.subject().clone())
            .collect()
    }

    /// The devices of this owner's that were born but not yet tagged.
    pub(crate) fn half_made(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.is_half_made(&self.owner))
    }

    /// The namespace that this wish's name stands for, if it is there.
    pub(crate) fn namespace(&self, name: &NamespaceName) -> Option<&ObservedNamespace> {
        self.namespaces.iter().find(|namespace| namespace.name == *name)
    }

    /// The device that carries exactly this tag.
    #[must_use]
    pub fn link(&self, tag: &Tag) -> Option<&Link> {
        self.links.iter().find(|link| link.tag.as_ref() == Some(tag))
    }

    /// The device that has this name now.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

impl Link {
    /// A device of which nothing is known but this.
    pub(crate) const fn new(index: u32) -> Self {
        Self {
            index,
            name: String::new(),
            kind: String::new(),
            mac: None,
            mtu: 0,
            up: false,
            master: None,
            group: 0,
            tag: None,
            made: None,
            leads_to: None,
            isolated: false,
            tap: None,
            settings: BTreeSet::new(),
            rate: None,
            vxlan: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Whether it is a device of this owner's that was born but not yet tagged.
    pub(crate) fn is_half_made(&self, owner: &Owner) -> bool {
        // A TAP goes with its maker until it has its tag.
        let kind = matches!(self.kind.as_str(), "bridge" | "veth" | "vxlan");
        // The end of a veth pair that a guest is behind is born among the guests' devices.
        let group = [birth_group(owner), guest_group(owner)].contains(&self.group);
        self.tag.is_none() && kind && group && BIRTH_INDEXES.contains(&self.index)
    }

    /// What it is, for an error message.
    pub(crate) fn describe(&self) -> String {
        let kind = if self.kind.is_empty() { "hardware" } else { &self.kind };
        match &self.tag {
            Some(tag) => format!("the {kind} device `{}` tagged {tag}", self.name),
            None => format!("a foreign {kind} device (index {})", self.index),
        }
    }
}
