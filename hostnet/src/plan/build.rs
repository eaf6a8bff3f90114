use super::elements::{self, Wanted};
use super::error::PlanError;
use super::{Plan, PlanKind, check};
use crate::firewall::{Element, TableName};
use crate::observed::{Coverage, Link, LinkAddress, Observed, Table};
use crate::op::{LinkChange, Op, PortState};
use crate::spec::{Attachment, Desired, DeviceName, Family, Forward, Network, Owner, Peering};
use crate::tag::{Role, Subject, Tag};
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

/// The most ports one bridge can have (`BR_MAX_PORTS` is 1,024 and port number 0 is not used).
const MAX_PORTS: usize = 1023;

/// The MTU that bridges and TAPs are born with.
const DEFAULT_MTU: u32 = 1500;

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
    check::generations(desired, observed)?;
    let table = TableName::new(desired.owner().clone());
    let changes = elements::reconcile(&table, &wanted_elements(desired), observed)?;
    let mut builder = Builder::new(desired, observed, changes.additions);
    builder.check_ports()?;
    builder.table(table)?;
    builder.ops.extend(changes.removals);
    for network in desired.networks() {
        builder.network(network)?;
    }
    for attachment in desired.attachments() {
        builder.attachment(attachment)?;
    }
    check::prefixes(desired, observed)?;
    Ok(Plan { kind: PlanKind::Build, ops: builder.ops })
}

/// The elements that everything `desired` names is to have.
fn wanted_elements(desired: &Desired) -> Vec<Wanted> {
    let owner = desired.owner();
    let of_network = |network: &Network| {
        let mut elements: BTreeSet<_> = network.prefixes().map(Element::Network).collect();
        if network.masquerades() {
            elements.extend(network.prefixes().map(Element::Masquerade));
        }
        // A network reaches itself, which has to be said where br_netfilter shows bridged frames to IP rules.
        elements.extend(network.prefixes().map(|own| Element::Allowed { from: own, to: own }));
        // Each network keeps what it may reach, so that it goes with the network.
        elements.extend(desired.peerings().flat_map(|peering| reaches(desired, network, peering)));
        Wanted { tag: network_tag(owner, network.name()), elements }
    };
    let of_attachment = |attachment: &Attachment| {
        let elements = attachment.forwards().iter().flat_map(|forward| {
            let Forward { protocol, host_port, guest_port } = *forward;
            attachment.addresses().map(move |address| {
                let to = SocketAddr::new(address, guest_port.get());
                Element::Forward { protocol, host_port, to }
            })
        });
        Wanted {
            tag: attachment_tag(owner, attachment, Role::Forward),
            elements: elements.collect(),
        }
    };
    desired.networks().map(of_network).chain(desired.attachments().map(of_attachment)).collect()
}

struct Builder<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    by_tag: HashMap<&'a Tag, &'a Link>,
    by_name: HashMap<&'a str, &'a Link>,
    /// The elements that are still to be added, by whom they are for.
    additions: HashMap<Subject, Vec<Op>>,
    ops: Vec<Op>,
}

impl<'a> Builder<'a> {
    fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        additions: HashMap<Subject, Vec<Op>>,
    ) -> Self {
        Self {
            desired,
            observed,
            by_tag: observed.our_links().map(|(link, tag)| (tag, link)).collect(),
            by_name: observed.links.iter().map(|link| (link.name.as_str(), link)).collect(),
            additions,
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

    fn table(&mut self, table: TableName) -> Result<(), PlanError> {
        match self.observed.table {
            Table::Ours(_) => {}
            Table::Foreign => {
                return Err(PlanError::ForeignTable { table });
            }
            Table::Absent => {
                if self.desired.networks().next().is_some() {
                    self.ops.push(Op::CreateTable { table });
                }
            }
        }
        // Packets cross the host on their way out of a network, and in through a forward.
        let leaving = self.desired.networks().filter(|network| network.masquerades());
        let leaving = leaving.flat_map(Network::prefixes).map(|prefix| prefix.addr());
        let reached = self.desired.attachments().filter(|guest| !guest.forwards().is_empty());
        let reached = reached.flat_map(Attachment::addresses);
        let families: BTreeSet<Family> = leaving
            .chain(reached)
            .map(|address| if address.is_ipv4() { Family::V4 } else { Family::V6 })
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
        self.add_elements(tag.subject());
        let present = bridge.map(|link| link.addresses.as_slice()).unwrap_or_default();
        // What goes goes first: an address whose prefix length changes is another to us and the same to the kernel. An
        // address that somebody else gave our bridge is none of our business.
        for LinkAddress { address, ours } in present {
            if *ours && !network.addresses().any(|wanted| wanted == *address) {
                self.ops.push(Op::RemoveAddress { tag: tag.clone(), address: *address });
            }
        }
        for address in network.addresses() {
            if !present.iter().any(|present| present.address == address) {
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
                let was = PortState { master: link.master, up: link.up };
                self.ops.push(Op::AttachPort { port: tag, bridge, was });
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
            self.ops.push(Op::AttachPort { port: tag, bridge, was: PortState::default() });
        }
        self.add_elements(&Subject::Attachment(attachment.id().clone()));
        Ok(())
    }

    /// Finds the device with this tag, or the half-made one with its name, or makes sure that the name is free.
    fn device(
        &mut self,
        tag: &Tag,
        name: &DeviceName,
        kind: &'static str,
    ) -> Result<Option<&'a Link>, PlanError> {
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
                let (name, index) = (half.name.clone(), half.index);
                let owner = tag.owner().clone();
                self.ops.push(Op::DeleteHalfMade { name, index, owner });
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

    /// Puts name, MAC and MTU right where somebody changed them.
    fn mend(&mut self, tag: &Tag, link: &Link, name: &DeviceName, mac: MacAddr6, mtu: Option<u32>) {
        if link.name != name.as_str() {
            self.set(tag, LinkChange::Name { from: link.name.clone(), to: name.to_string() });
        }
        if let Some(from) = link.mac.filter(|from| *from != mac) {
            self.set(tag, LinkChange::Mac { from, to: mac });
        }
        let to = mtu.unwrap_or(DEFAULT_MTU);
        if to != link.mtu {
            self.set(tag, LinkChange::Mtu { from: link.mtu, to });
        }
    }

    fn add_elements(&mut self, subject: &Subject) {
        self.ops.extend(self.additions.remove(subject).unwrap_or_default());
    }

    fn set(&mut self, tag: &Tag, change: LinkChange) {
        self.ops.push(Op::SetLink { tag: tag.clone(), change });
    }
}

/// What a network may reach by a peering, if it is one of the two.
fn reaches(desired: &Desired, network: &Network, peering: &Peering) -> Vec<Element> {
    let (other, exposed) = if peering.first() == network.name() {
        (peering.second(), peering.second_exposes())
    } else if peering.second() == network.name() {
        (peering.first(), peering.first_exposes())
    } else {
        return Vec::new();
    };
    let all: Vec<_> = desired.network(other).map(|o| o.prefixes().collect()).unwrap_or_default();
    let exposed = if exposed.is_empty() { all.as_slice() } else { exposed };
    let pairs = network.prefixes().flat_map(|from| exposed.iter().map(move |to| (from, *to)));
    pairs
        .filter(|(from, to)| from.addr().is_ipv4() == to.addr().is_ipv4())
        .map(|(from, to)| Element::Allowed { from, to })
        .collect()
}

pub(crate) fn network_tag(owner: &Owner, name: &crate::NetworkName) -> Tag {
    Tag::new(owner.clone(), Subject::Network(name.clone()), Role::Bridge, 0)
}

pub(crate) fn attachment_tag(owner: &Owner, attachment: &Attachment, role: Role) -> Tag {
    let subject = Subject::Attachment(attachment.id().clone());
    Tag::new(owner.clone(), subject, role, attachment.generation())
}
