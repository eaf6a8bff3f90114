//! What is there: links, addresses and our own table, as the kernel tells it.

use crate::firewall::Element;
use crate::spec::{Family, Owner};
use crate::tag::{Subject, Tag, birth_group};
use core::time::Duration;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::BTreeSet;

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
}

/// How much of the namespace an observation covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Coverage {
    /// Every device and every element.
    Everything,
    /// The devices and elements that were asked for, and those that stand in their way.
    Named,
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
    /// Its addresses.
    pub addresses: Vec<LinkAddress>,
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
    /// A table of its name is there that we did not make, or of another version.
    Foreign,
    /// It is there, with these elements and what they belong to.
    Ours(Vec<(Element, Option<Tag>)>),
}

impl Table {
    /// Its elements; none if it is not there or not ours.
    pub fn elements(&self) -> impl Iterator<Item = (&Element, Option<&Tag>)> {
        match self {
            Self::Ours(elements) => elements.as_slice(),
            Self::Absent | Self::Foreign => &[],
        }
        .iter()
        .map(|(element, tag)| (element, tag.as_ref()))
    }
}

impl Observed {
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
        links
            .chain(elements)
            .filter(|tag| *tag.owner() == self.owner)
            .map(|tag| tag.subject().clone())
            .collect()
    }

    /// The bridges of this owner's that were born but not yet tagged.
    pub(crate) fn half_made(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.is_half_made(&self.owner, "bridge"))
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
    /// Whether it is a device of this owner's that was born but not yet tagged.
    pub(crate) fn is_half_made(&self, owner: &Owner, kind: &str) -> bool {
        self.tag.is_none() && self.group == birth_group(owner) && self.kind == kind
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
