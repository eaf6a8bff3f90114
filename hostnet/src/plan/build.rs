use super::elements;
use super::error::PlanError;
use super::wanted::{self, bridge_tag, port_tag};
use super::{Plan, PlanKind, check};
use crate::firewall::TableName;
use crate::observed::{Coverage, Link, LinkAddress, Observed, Table};
use crate::op::{LinkChange, LinkSetting, NeighbourEntry, Op, Route, Rules};
use crate::spec::{Desired, DeviceName, Owner};
use crate::tag::{Subject, Tag};
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most ports one bridge can have (`BR_MAX_PORTS` is 1,024 and port number 0 is not used).
const MAX_PORTS: usize = 1023;

/// What is to be done so that everything `desired` names is there, in order.
///
/// It only makes and mends: what `desired` does not name is left alone, so an empty wish removes nothing. To
/// remove, see [`teardown`](super::teardown) and [`garbage`](super::garbage). If all is there the plan is empty.
///
/// # Errors
/// When a foreign device, namespace, table or forward is in the way. It is named and nothing is planned.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, PlanError> {
    if desired.owner() != &observed.owner {
        return Err(PlanError::OtherOwner {
            desired: desired.owner().clone(),
            observed: observed.owner.clone(),
        });
    }
    match &observed.coverage {
        Coverage::Everything => {}
        Coverage::Wish(seen) if desired.subjects().is_subset(seen) => {}
        _ => return Err(PlanError::NotObserved),
    }
    check::generations(desired, observed)?;
    let table = TableName::new(desired.owner().clone());
    let changes = elements::reconcile(&table, &wanted::elements(desired), observed)?;
    let mut builder = Builder::new(desired.owner(), observed, changes.additions);
    builder.check_ports(desired)?;
    if desired.networks().next().is_some() {
        builder.table(&table, Rules::Host)?;
    }
    for family in wanted::forwarding(desired).difference(&observed.forwarding) {
        builder.ops.push(Op::EnableForwarding { family: *family });
    }
    builder.ops.extend(changes.removals);
    for network in desired.networks() {
        builder.network(network)?;
    }
    for attachment in desired.attachments() {
        if let Some(network) = desired.network(attachment.network()) {
            builder.attachment(attachment, network)?;
        }
    }
    check::prefixes(desired, observed)?;
    Ok(Plan { kind: PlanKind::Build, ops: builder.ops })
}

/// A plan in the making, for one namespace.
pub(super) struct Builder<'a> {
    pub(super) owner: &'a Owner,
    pub(super) observed: &'a Observed,
    pub(super) by_tag: HashMap<&'a Tag, &'a Link>,
    by_name: HashMap<&'a str, &'a Link>,
    /// The elements that are still to be added, by whom they are for.
    additions: HashMap<Subject, Vec<Op>>,
    pub(super) ops: Vec<Op>,
}

/// What a device is to have, whatever it is.
pub(super) struct Properties<'a> {
    pub(super) name: &'a DeviceName,
    pub(super) mac: Option<MacAddr6>,
    pub(super) mtu: u32,
    pub(super) group: u32,
    pub(super) settings: &'static [LinkSetting],
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        owner: &'a Owner,
        observed: &'a Observed,
        additions: HashMap<Subject, Vec<Op>>,
    ) -> Self {
        Self {
            owner,
            observed,
            by_tag: observed.our_links().map(|(link, tag)| (tag, link)).collect(),
            by_name: observed.links.iter().map(|link| (link.name.as_str(), link)).collect(),
            additions,
            ops: Vec::new(),
        }
    }

    /// Refuses the 1,024th port before the kernel does, as far as all ports were looked at.
    fn check_ports(&self, desired: &Desired) -> Result<(), PlanError> {
        if self.observed.coverage != Coverage::Everything {
            return Ok(());
        }
        for network in desired.networks() {
            let tags: Vec<_> = (0..network.bridges().count())
                .map(|number| bridge_tag(self.owner, network.name(), number))
                .collect();
            let index = |tag| self.by_tag.get(tag).map(|bridge| bridge.index);
            let bridges: Vec<Option<u32>> = tags.iter().map(index).collect();
            let on_one = |link: &Link| link.master.is_some() && bridges.contains(&link.master);
            let mut new: BTreeMap<usize, usize> = BTreeMap::new();
            for attachment in desired.attachments().filter(|a| a.network() == network.name()) {
                let port = self.by_tag.get(&port_tag(self.owner, attachment));
                if !port.is_some_and(|link| on_one(link)) {
                    *new.entry(network.bridge_of(attachment.id())).or_default() += 1;
                }
            }
            for (number, new) in new {
                let index = bridges.get(number).copied().flatten();
                let present = self.observed.links.iter().filter(|l| l.master.is_some());
                // A first bridge has ports for the others too, and one for VXLAN.
                let own = match (number, index) {
                    (_, Some(_)) => 0,
                    (0, None) => network.shards().len() + usize::from(network.vxlan().is_some()),
                    (_, None) => 1,
                };
                let ports = present.filter(|l| l.master == index).count() + new + own;
                if ports > MAX_PORTS {
                    return Err(PlanError::BridgeFull { network: network.name().clone(), ports });
                }
            }
        }
        Ok(())
    }

    /// Makes our table be there with all its rules.
    pub(super) fn table(&mut self, table: &TableName, rules: Rules) -> Result<(), PlanError> {
        let table = table.clone();
        match &self.observed.table {
            Table::Foreign => return Err(PlanError::ForeignTable { table }),
            Table::Absent => self.ops.push(Op::CreateTable { table, rules }),
            Table::Ours { marks, .. } => {
                let wanted = match &rules {
                    Rules::Host => TableName::marks(),
                    Rules::Gate(gate) => gate.marks(),
                };
                if *marks != wanted {
                    self.ops.push(Op::RepairTable { table, rules });
                }
            }
        }
        Ok(())
    }

    /// Finds the device with this tag, or the half-made one with its name, or makes sure that the name is free.
    pub(super) fn device(
        &mut self,
        tag: &Tag,
        name: &DeviceName,
        kind: &'static str,
    ) -> Result<Option<&'a Link>, PlanError> {
        let subject = || tag.subject().clone();
        let named = self.by_name.get(name.as_str()).copied();
        let taken = |by: &Link| PlanError::NameTaken {
            subject: subject(),
            name: name.clone(),
            by: by.describe(),
        };
        let link = match (self.by_tag.get(tag).copied(), named) {
            (Some(link), Some(other)) if link.index != other.index => return Err(taken(other)),
            (Some(link), _) => link,
            (None, None) => return Ok(None),
            (None, Some(half)) if half.is_half_made(tag.owner()) && half.kind == kind => {
                // Nobody knows how far its making got: it is made anew.
                let (name, index) = (half.name.clone(), half.index);
                let owner = tag.owner().clone();
                self.ops.push(Op::DeleteHalfMade { name, index, owner });
                return Ok(None);
            }
            (None, Some(other)) => return Err(taken(other)),
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

    /// Puts right what somebody changed, or what the wish now says otherwise.
    pub(super) fn mend(&mut self, tag: &Tag, link: &Link, wanted: &Properties<'_>) {
        if link.name != wanted.name.as_str() {
            let (from, to) = (link.name.clone(), wanted.name.to_string());
            self.set(tag, LinkChange::Name { from, to });
        }
        if let (Some(from), Some(to)) = (link.mac, wanted.mac)
            && from != to
        {
            self.set(tag, LinkChange::Mac { from, to });
        }
        if link.mtu != wanted.mtu {
            self.set(tag, LinkChange::Mtu { from: link.mtu, to: wanted.mtu });
        }
        if link.group != wanted.group {
            self.set(tag, LinkChange::Group { from: link.group, to: wanted.group });
        }
        for setting in wanted.settings {
            if !link.settings.contains(setting) {
                let device = wanted.name.to_string();
                self.set(
                    tag,
                    LinkChange::Setting { device, setting: *setting, from: false, to: true },
                );
            }
        }
    }

    pub(super) fn up(&mut self, tag: &Tag, link: Option<&Link>) {
        if !link.is_some_and(|link| link.up) {
            self.set(tag, LinkChange::Up);
        }
    }

    /// Makes our addresses of a device be these.
    pub(super) fn addresses(&mut self, tag: &Tag, link: Option<&Link>, wanted: &[IpNet]) {
        let present = link.map(|link| link.addresses.as_slice()).unwrap_or_default();
        // What goes goes first: an address whose prefix length changes is another to us and the same to the kernel. An
        // address that somebody else gave our device is none of our business.
        for LinkAddress { address, ours } in present {
            if *ours && !wanted.contains(address) {
                self.ops.push(Op::RemoveAddress { tag: tag.clone(), address: *address });
            }
        }
        for address in wanted {
            if !present.iter().any(|present| present.address == *address) {
                self.ops.push(Op::AddAddress { tag: tag.clone(), address: *address });
            }
        }
    }

    /// Makes our routes to a device be these.
    pub(super) fn routes(&mut self, tag: &Tag, link: Option<&Link>, wanted: &[Route]) {
        let present = link.map(|link| link.routes.as_slice()).unwrap_or_default();
        self.settle(
            (present, wanted),
            |route| Op::RemoveRoute { tag: tag.clone(), route },
            |route| Op::AddRoute { tag: tag.clone(), route },
        );
    }

    /// Makes our permanent neighbours of a device be these.
    pub(super) fn neighbours(&mut self, tag: &Tag, link: Option<&Link>, wanted: &[NeighbourEntry]) {
        let present = link.map(|link| link.neighbours.as_slice()).unwrap_or_default();
        self.settle(
            (present, wanted),
            |entry| Op::RemoveNeighbour { tag: tag.clone(), entry },
            |entry| Op::AddNeighbour { tag: tag.clone(), entry },
        );
    }

    /// Removes what is not wanted, and adds what is not there.
    pub(super) fn settle<T: Copy + PartialEq>(
        &mut self,
        (present, wanted): (&[T], &[T]),
        remove: impl Fn(T) -> Op,
        add: impl Fn(T) -> Op,
    ) {
        let goes = present.iter().filter(|entry| !wanted.contains(entry));
        let comes = wanted.iter().filter(|entry| !present.contains(entry));
        self.ops.extend(goes.copied().map(remove));
        self.ops.extend(comes.copied().map(add));
    }

    pub(super) fn add_elements(&mut self, subject: &Subject) {
        self.ops.extend(self.additions.remove(subject).unwrap_or_default());
    }

    pub(super) fn set(&mut self, tag: &Tag, change: LinkChange) {
        self.ops.push(Op::SetLink { tag: tag.clone(), change });
    }

    /// The indexes of those of a network's bridges that are there.
    pub(super) fn bridge_indexes(&self, network: &crate::Network) -> BTreeSet<u32> {
        let tags = (0..network.bridges().count())
            .map(|number| bridge_tag(self.owner, network.name(), number));
        tags.filter_map(|tag| self.by_tag.get(&tag).map(|link| link.index)).collect()
    }
}
