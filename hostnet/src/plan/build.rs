use super::{Plan, PlanKind};
use crate::firewall::{Element, TableName};
use crate::observed::{Coverage, Link, Observed, Table};
use crate::op::{LinkChange, Op};
use crate::spec::{Attachment, Desired, DeviceName, Family, Forward, Network, Owner, Protocol};
use crate::tag::{Role, Subject, Tag};
use core::num::NonZeroU16;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

/// Why what is wanted cannot be reached from what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The observation is another owner's.
    #[error("`{observed}`'s view was given for what `{desired}` wants; observe as the same owner")]
    OtherOwner {
        /// Whose wish it is.
        desired: Owner,
        /// Whose view it is.
        observed: Owner,
    },
    /// A device that is not ours, or another one of ours, has the name.
    #[error(
        "{subject} wants the device name `{name}`, which is taken by {by}; it is left alone: rename it or choose another name"
    )]
    NameTaken {
        /// Who wants the name.
        subject: Subject,
        /// The name.
        name: DeviceName,
        /// What has it.
        by: String,
    },
    /// A device of ours that is of another kind than was wanted.
    #[error(
        "{subject}: the device tagged {tag} is of kind `{found}`, not `{wanted}`; tear it down first"
    )]
    OtherKind {
        /// Whose device it is.
        subject: Subject,
        /// Its tag.
        tag: Tag,
        /// The kind it has.
        found: String,
        /// The kind it should have.
        wanted: &'static str,
    },
    /// Something of an earlier or later making of the same attachment is there.
    #[error(
        "{subject} is there in generation {found}, wanted is {wanted}; tear the other one down first"
    )]
    OtherGeneration {
        /// Whose it is.
        subject: Subject,
        /// The generation that is there.
        found: u64,
        /// The generation that is wanted.
        wanted: u64,
    },
    /// A host port leads to somebody else already.
    #[error("{subject} wants {element}, but the port is taken by {by}; choose another host port")]
    PortTaken {
        /// Who wants the port.
        subject: Subject,
        /// The wanted forward.
        element: Element,
        /// What has it.
        by: String,
    },
    /// More ports than a bridge can have.
    #[error(
        "network `{network}` would have {ports} ports on one bridge, at most 1023 fit; use a second network"
    )]
    BridgeFull {
        /// The network.
        network: crate::NetworkName,
        /// How many ports it would have.
        ports: usize,
    },
    /// A table that has our name but not our mark.
    #[error(
        "the table `inet {table}` was not made here, or by another version; remove it or choose another owner"
    )]
    ForeignTable {
        /// The table.
        table: TableName,
    },
}

/// The most ports one bridge can have (`BR_MAX_PORTS` is 1,024 and port number 0 is not used).
const MAX_PORTS: usize = 1023;

/// What is to be done so that everything `desired` names is there, in order.
///
/// It only makes and mends: what `desired` does not name is left alone, so an empty wish removes nothing. To
/// remove, see [`teardown`](super::teardown) and [`garbage`](super::garbage). If all is there the plan is empty.
///
/// # Errors
/// When a foreign device, table or forward is in the way. It is named and nothing is planned.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, PlanError> {
    if desired.owner() != &observed.owner {
        return Err(PlanError::OtherOwner {
            desired: desired.owner().clone(),
            observed: observed.owner.clone(),
        });
    }
    let mut builder = Builder::new(desired, observed);
    builder.check_ports()?;
    builder.table()?;
    for network in desired.networks() {
        builder.network(network)?;
    }
    for attachment in desired.attachments() {
        builder.attachment(attachment)?;
    }
    Ok(Plan { kind: PlanKind::Build, ops: builder.ops })
}

struct Builder<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    table: TableName,
    by_tag: HashMap<&'a Tag, &'a Link>,
    by_name: HashMap<&'a str, &'a Link>,
    /// The generations of everything of ours that is there.
    generations: HashMap<(&'a Subject, Role), u64>,
    elements: BTreeMap<&'a Element, Option<&'a Tag>>,
    forwards: HashMap<&'a Subject, Vec<&'a Element>>,
    /// Which host ports are taken, and by what.
    ports: HashMap<Option<Port>, Option<&'a Tag>>,
    ops: Vec<Op>,
}

impl<'a> Builder<'a> {
    fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        let ours = |tag: &&Tag| *tag.owner() == observed.owner;
        let mut generations = HashMap::new();
        let mut forwards: HashMap<_, Vec<_>> = HashMap::new();
        for (_, tag) in observed.our_links() {
            generations.insert((tag.subject(), tag.role()), tag.generation());
        }
        for (element, tag) in observed.table.elements() {
            if let Some(tag) = tag.filter(ours) {
                generations.insert((tag.subject(), tag.role()), tag.generation());
                if matches!(element, Element::Forward { .. }) {
                    forwards.entry(tag.subject()).or_default().push(element);
                }
            }
        }
        Self {
            desired,
            observed,
            table: TableName::new(desired.owner().clone()),
            by_tag: observed.our_links().map(|(link, tag)| (tag, link)).collect(),
            by_name: observed.links.iter().map(|link| (link.name.as_str(), link)).collect(),
            generations,
            elements: observed.table.elements().collect(),
            ports: observed.table.elements().map(|(e, tag)| (port(e), tag)).collect(),
            forwards,
            ops: Vec::new(),
        }
    }

    /// Refuses the 1,024th port before the kernel does, as far as all ports were looked at.
    fn check_ports(&self) -> Result<(), PlanError> {
        if self.observed.coverage != Coverage::Everything {
            return Ok(());
        }
        let mut new: BTreeMap<_, usize> = BTreeMap::new();
        for attachment in self.desired.attachments() {
            let tag = attachment_tag(self.desired.owner(), attachment, Role::Tap);
            let attached = self.by_tag.get(&tag).is_some_and(|link| link.master.is_some());
            *new.entry(attachment.network()).or_default() += usize::from(!attached);
        }
        for (name, new) in new {
            let tag = network_tag(self.desired.owner(), name);
            let index = self.by_tag.get(&tag).map(|bridge| bridge.index);
            let present =
                self.observed.links.iter().filter(|l| l.master.is_some() && l.master == index);
            let ports = present.count() + new;
            if ports > MAX_PORTS && new > 0 {
                return Err(PlanError::BridgeFull { network: name.clone(), ports });
            }
        }
        Ok(())
    }

    fn table(&mut self) -> Result<(), PlanError> {
        match self.observed.table {
            Table::Ours(_) => {}
            Table::Foreign => {
                return Err(PlanError::ForeignTable { table: self.table.clone() });
            }
            Table::Absent => {
                if self.desired.networks().next().is_some() {
                    self.ops.push(Op::CreateTable { table: self.table.clone() });
                }
            }
        }
        let leaving = self.desired.networks().filter(|network| network.masquerades());
        let families: BTreeSet<Family> = leaving
            .flat_map(Network::prefixes)
            .map(|prefix| if prefix.addr().is_ipv4() { Family::V4 } else { Family::V6 })
            .collect();
        for family in families.difference(&self.observed.forwarding) {
            self.ops.push(Op::EnableForwarding { family: *family });
        }
        Ok(())
    }

    fn network(&mut self, network: &'a Network) -> Result<(), PlanError> {
        let tag = network_tag(self.desired.owner(), network.name());
        let bridge = self.device(&tag, network.bridge(), "bridge")?;
        match bridge {
            Some(link) => {
                self.mend(&tag, link, network.bridge(), network.mac(), network.mtu());
                if !link.up {
                    self.set(&tag, LinkChange::Up);
                }
            }
            None => self.ops.push(Op::CreateBridge {
                name: network.bridge().clone(),
                mac: network.mac(),
                mtu: network.mtu(),
                tag: tag.clone(),
            }),
        }
        self.element(Element::Bridge(network.bridge().clone()), &tag);
        for prefix in network.prefixes() {
            self.element(Element::Network(prefix), &tag);
            if network.masquerades() {
                self.element(Element::Masquerade(prefix), &tag);
            } else {
                self.drop_element(Element::Masquerade(prefix), &tag);
            }
        }
        for address in network.gateways() {
            if !bridge.is_some_and(|link| link.addresses.contains(&address)) {
                self.ops.push(Op::AddAddress { tag: tag.clone(), address });
            }
        }
        Ok(())
    }

    fn attachment(&mut self, attachment: &'a Attachment) -> Result<(), PlanError> {
        let owner = self.desired.owner();
        let tag = attachment_tag(owner, attachment, Role::Tap);
        let bridge = network_tag(owner, attachment.network());
        let mtu = self.desired.network(attachment.network()).and_then(Network::mtu);
        let tap = self.device(&tag, attachment.tap_name(), "tun")?;
        let bridge_index = self.by_tag.get(&bridge).map(|link| link.index);
        if let Some(link) = tap {
            self.mend(&tag, link, attachment.tap_name(), attachment.host_mac(), mtu);
            if link.master.is_none() || link.master != bridge_index {
                self.ops.push(Op::AttachPort { port: tag, bridge });
            } else if !link.up {
                self.set(&tag, LinkChange::Up);
            }
        } else {
            self.ops.push(Op::CreateTap {
                name: attachment.tap_name().clone(),
                mac: attachment.host_mac(),
                mtu,
                options: attachment.tap_options(),
                tag: tag.clone(),
            });
            self.ops.push(Op::AttachPort { port: tag, bridge });
        }
        self.forwards(attachment)
    }

    /// Finds the device with this tag, or the half-made one with its name, or makes sure that the name is free.
    fn device(
        &mut self,
        tag: &Tag,
        name: &DeviceName,
        kind: &'static str,
    ) -> Result<Option<&'a Link>, PlanError> {
        self.check_generation(tag)?;
        let subject = || tag.subject().clone();
        let named = self.by_name.get(name.as_str()).copied();
        let link = match (self.by_tag.get(tag).copied(), named) {
            (Some(link), Some(other)) if link.index != other.index => {
                return Err(PlanError::NameTaken {
                    subject: subject(),
                    name: name.clone(),
                    by: other.describe(),
                });
            }
            (Some(link), _) => link,
            (None, None) => return Ok(None),
            (None, Some(half)) if half.is_half_made(tag.owner(), kind) => {
                // Nobody knows how far its making got: it is made anew.
                self.ops.push(Op::TagHalfMade { name: name.clone(), tag: tag.clone() });
                self.ops.push(Op::DeleteLink { tag: tag.clone() });
                return Ok(None);
            }
            (None, Some(other)) => {
                return Err(PlanError::NameTaken {
                    subject: subject(),
                    name: name.clone(),
                    by: other.describe(),
                });
            }
        };
        if link.kind != kind {
            let found = link.kind.clone();
            return Err(PlanError::OtherKind {
                subject: subject(),
                tag: tag.clone(),
                found,
                wanted: kind,
            });
        }
        Ok(Some(link))
    }

    fn check_generation(&self, tag: &Tag) -> Result<(), PlanError> {
        match self.generations.get(&(tag.subject(), tag.role())) {
            Some(&found) if found != tag.generation() => Err(PlanError::OtherGeneration {
                subject: tag.subject().clone(),
                found,
                wanted: tag.generation(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts name, MAC and MTU right where somebody changed them.
    fn mend(&mut self, tag: &Tag, link: &Link, name: &DeviceName, mac: MacAddr6, mtu: Option<u32>) {
        // A name that is no valid one cannot be named in a step; the kernel takes only valid ones.
        if link.name != name.as_str()
            && let Ok(from) = DeviceName::new(&link.name)
        {
            self.set(tag, LinkChange::Name { from, to: name.clone() });
        }
        if let Some(from) = link.mac.filter(|from| *from != mac) {
            self.set(tag, LinkChange::Mac { from, to: mac });
        }
        if let Some(to) = mtu.filter(|to| *to != link.mtu) {
            self.set(tag, LinkChange::Mtu { from: link.mtu, to });
        }
    }

    fn forwards(&mut self, attachment: &Attachment) -> Result<(), PlanError> {
        let tag = attachment_tag(self.desired.owner(), attachment, Role::Forward);
        self.check_generation(&tag)?;
        let elements = |f: &Forward| {
            let Forward { protocol, host_port, guest_port } = *f;
            attachment.addresses().map(move |address| {
                let to = SocketAddr::new(address, guest_port.get());
                Element::Forward { protocol, host_port, to }
            })
        };
        let wanted: BTreeSet<Element> = attachment.forwards().iter().flat_map(elements).collect();
        // What leads there and is not wanted any more goes first: its port may be wanted for another.
        for element in self.forwards.get(tag.subject()).cloned().unwrap_or_default() {
            if !wanted.contains(element) {
                self.drop_element(element.clone(), &tag);
            }
        }
        for element in wanted {
            let by = self.ports.get(&port(&element)).copied().flatten();
            if let Some(by) = by.filter(|by| *by != &tag) {
                let by = by.to_string();
                return Err(PlanError::PortTaken { subject: tag.subject().clone(), element, by });
            }
            self.element(element, &tag);
        }
        Ok(())
    }

    fn element(&mut self, element: Element, tag: &Tag) {
        if !self.elements.contains_key(&element) {
            let table = self.table.clone();
            self.ops.push(Op::AddElement { table, element, tag: tag.clone() });
        }
    }

    fn drop_element(&mut self, element: Element, tag: &Tag) {
        if self.elements.contains_key(&element) {
            let table = self.table.clone();
            self.ops.push(Op::RemoveElement { table, element, tag: tag.clone() });
        }
    }

    fn set(&mut self, tag: &Tag, change: LinkChange) {
        self.ops.push(Op::SetLink { tag: tag.clone(), change });
    }
}

/// A port of the host, as the key of a forward, and whether it is IPv4's.
type Port = (Protocol, NonZeroU16, bool);

const fn port(element: &Element) -> Option<Port> {
    match element {
        Element::Forward { protocol, host_port, to } => Some((*protocol, *host_port, to.is_ipv4())),
        _ => None,
    }
}

pub(crate) fn network_tag(owner: &Owner, name: &crate::NetworkName) -> Tag {
    Tag::new(owner.clone(), Subject::Network(name.clone()), Role::Bridge, 0)
}

pub(crate) fn attachment_tag(owner: &Owner, attachment: &Attachment, role: Role) -> Tag {
    let subject = Subject::Attachment(attachment.id().clone());
    Tag::new(owner.clone(), subject, role, attachment.generation())
}
