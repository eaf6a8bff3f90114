use super::effect;
use crate::backend::Effect;
use crate::error::{Cause, Errno};
use crate::firewall::{Element, Marks, TableName};
use crate::observed::{Link, LinkAddress, Table, VxlanEnd};
use crate::op::{DeviceSetup, LinkChange, LinkSetting, Op, Rules};
use crate::spec::{DeviceName, NamespaceName, Owner};
use crate::tag::{Tag, birth_group};
use core::time::Duration;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, HashMap};

/// The most ports a bridge can have.
const MAX_PORTS: usize = 1023;

/// Where something is: in the host's own namespace, or in a named one.
type Place<'a> = Option<&'a NamespaceName>;

/// Everything that is in a [`Fake`](super::Fake), to be compared.
#[derive(Debug, Clone, Default)]
pub struct State {
    host: Space,
    namespaces: BTreeMap<NamespaceName, (Tag, Space)>,
    /// The two ends of each veth pair, by index.
    pairs: Vec<(u32, u32)>,
    last_index: u32,
    pub(super) now: Duration,
}

/// One network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Space {
    links: BTreeMap<u32, Link>,
    tables: HashMap<TableName, Contents>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Contents {
    elements: BTreeMap<Element, (Element, Tag)>,
    marks: Marks,
}

/// What is there is the same; how often the kernel counted up an index is not looked at.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.host == other.host && self.namespaces == other.namespaces && self.pairs == other.pairs
    }
}

impl Eq for State {}

impl State {
    pub(super) fn links(&self, place: Place<'_>) -> impl Iterator<Item = &Link> {
        self.space(place).into_iter().flat_map(|space| space.links.values())
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = &NamespaceName> {
        self.namespaces.keys()
    }

    pub(super) fn namespace_tag(&self, name: &NamespaceName) -> Option<&Tag> {
        self.namespaces.get(name).map(|(tag, _)| tag)
    }

    pub(super) fn table(&self, place: Place<'_>, owner: &Owner) -> Table {
        let space = self.space(place);
        let contents = space.and_then(|space| space.tables.get(&TableName::new(owner.clone())));
        contents.map_or(Table::Absent, |contents| Table::Ours {
            elements: contents
                .elements
                .values()
                .map(|(e, t)| (e.clone(), Some(t.clone())))
                .collect(),
            marks: contents.marks.clone(),
        })
    }

    pub(super) fn create_namespace(
        &mut self,
        name: &NamespaceName,
        tag: &Tag,
    ) -> Result<(), Cause> {
        if self.namespaces.contains_key(name) {
            return Err(Cause::NamespaceTaken { name: name.to_string() });
        }
        self.namespaces.insert(name.clone(), (tag.clone(), Space::default()));
        Ok(())
    }

    pub(super) fn delete_namespace(&mut self, name: &NamespaceName) {
        if let Some((_, space)) = self.namespaces.remove(name) {
            space.links.keys().for_each(|index| self.delete(*index));
        }
    }

    pub(super) fn delete_named(&mut self, name: &str) -> Option<()> {
        let spaces = self.namespaces.values().map(|(_, space)| space);
        let links = [&self.host].into_iter().chain(spaces).flat_map(|s| s.links.values());
        let found = links.filter(|link| link.name == name).map(|link| link.index).next();
        self.delete(found?);
        Some(())
    }

    /// Deletes a device wherever it is, and the other end of a veth pair with it.
    fn delete(&mut self, index: u32) {
        let pair = self.pairs.iter().position(|(a, b)| *a == index || *b == index);
        let other = pair.map(|at| {
            let (a, b) = self.pairs.remove(at);
            if a == index { b } else { a }
        });
        for index in other.into_iter().chain([index]) {
            let spaces = self.namespaces.values_mut().map(|(_, space)| space);
            for space in [&mut self.host].into_iter().chain(spaces) {
                space.links.remove(&index);
                let ports = space.links.values_mut().filter(|link| link.master == Some(index));
                ports.for_each(|port| port.master = None);
            }
        }
    }

    /// Carries out a step that is about one namespace only, wholly or not at all.
    pub(super) fn carry_out(&mut self, place: Place<'_>, op: &Op) -> Result<Effect, Cause> {
        match op {
            Op::CreateTable { table, rules } => {
                let marks = match rules {
                    Rules::Host => TableName::marks(),
                    Rules::Gate(gate) => gate.marks(),
                };
                let tables = &mut self.space_mut(place)?.tables;
                let new = !tables.contains_key(table);
                if new {
                    let elements = BTreeMap::new();
                    tables.insert(table.clone(), Contents { elements, marks });
                }
                Ok(effect(new))
            }
            Op::RepairTable { table, rules } => {
                let tables = &mut self.space_mut(place)?.tables;
                tables.get_mut(table).ok_or(Errno::ENOENT)?.marks = match rules {
                    Rules::Host => TableName::marks(),
                    Rules::Gate(gate) => gate.marks(),
                };
                Ok(Effect::Changed)
            }
            Op::RemoveTable { table } => {
                let tables = &mut self.space_mut(place)?.tables;
                let empty = tables.get(table).is_some_and(|contents| contents.elements.is_empty());
                Ok(effect(empty && tables.remove(table).is_some()))
            }
            Op::AddElement { table, element, tag } => {
                let tables = &mut self.space_mut(place)?.tables;
                let elements = &mut tables.get_mut(table).ok_or(Errno::ENOENT)?.elements;
                match elements.get(&element.key_only()) {
                    Some((other, by)) if other == element && by == tag => Ok(Effect::Unchanged),
                    Some((_, by)) => Err(Cause::ElementTaken { by: Some(by.to_string()) }),
                    None => {
                        elements.insert(element.key_only(), (element.clone(), tag.clone()));
                        Ok(Effect::Changed)
                    }
                }
            }
            Op::RemoveElement { table, element, tag } => {
                let tables = &mut self.space_mut(place)?.tables;
                let Some(contents) = tables.get_mut(table) else { return Ok(Effect::Unchanged) };
                let key = element.key_only();
                let is_it =
                    contents.elements.get(&key).is_some_and(|(e, t)| e == element && t == tag);
                Ok(effect(is_it && contents.elements.remove(&key).is_some()))
            }
            op => self.device(place, op),
        }
    }

    fn device(&mut self, place: Place<'_>, op: &Op) -> Result<Effect, Cause> {
        match op {
            Op::CreateBridge { name, mac, mtu, tag } => {
                let link = self.create(place, name, "bridge", Some(*mac), *mtu, tag)?;
                link.up = true;
                if !matches!(tag.role(), crate::Role::Shard(_)) {
                    link.settings =
                        [LinkSetting::PromoteSecondaries, LinkSetting::RouteLocalnet].into();
                }
            }
            Op::CreateTap { name, mac, mtu, options, setup, tag } => {
                let link = self.create(place, name, "tun", Some(*mac), *mtu, tag)?;
                link.tap = Some(*options);
                set_up(link, *setup);
            }
            Op::CreateVxlan { vxlan, mtu, tag } => {
                let link = self.create(place, vxlan.device(), "vxlan", None, *mtu, tag)?;
                link.vxlan = Some(VxlanEnd {
                    vni: vxlan.vni(),
                    local: Some(vxlan.local()),
                    port: vxlan.port().get(),
                    learns: vxlan.learns(),
                });
            }
            Op::CreateVeth { here, there, mtu } => {
                // The other end of a namespace's pair is on the host; both are on the host otherwise.
                self.check_free(None, &there.name, &there.tag)?;
                let link = self.create(place, &here.name, "veth", here.mac, *mtu, &here.tag)?;
                set_up(link, here.setup);
                link.up = true;
                let first = link.index;
                let link = self.create(None, &there.name, "veth", there.mac, *mtu, &there.tag)?;
                set_up(link, there.setup);
                link.leads_to = place.cloned();
                let second = link.index;
                self.pairs.push((first, second));
            }
            Op::DeleteHalfMade { index, owner, .. } => {
                let half = self.links(place).find(|l| l.index == *index && l.is_half_made(owner));
                let Some(index) = half.map(|link| link.index) else {
                    return Ok(Effect::Unchanged);
                };
                self.delete(index);
            }
            Op::DeleteLink { tag } => {
                let Ok(index) = self.tagged(place, tag).map(|link| link.index) else {
                    return Ok(Effect::Unchanged);
                };
                let on_it = self.links(place).filter(|link| link.master == Some(index));
                let mut ports: Vec<_> = on_it.map(|link| link.name.clone()).collect();
                ports.sort();
                if !ports.is_empty() {
                    return Err(Cause::InUse { ports });
                }
                self.delete(index);
            }
            Op::AttachPort { port, bridge, isolated, .. } => {
                let bridge = self.tagged(place, bridge)?.index;
                let ports = self.links(place).filter(|link| link.master == Some(bridge)).count();
                let link = self.tagged(place, port)?;
                if link.master != Some(bridge) && ports >= MAX_PORTS {
                    return Err(Errno::EXFULL.into());
                }
                (link.master, link.isolated, link.up) = (Some(bridge), *isolated, true);
            }
            Op::RestorePort { port, to } => {
                let link = self.tagged(place, port)?;
                (link.master, link.isolated, link.up) = (to.master, to.isolated, to.up);
            }
            Op::SetLink { tag, change: LinkChange::Name { to, .. } } => {
                if let Some(other) = self.named(place, to) {
                    return Err(Cause::NameTaken { name: to.clone(), by: other.describe() });
                }
                self.tagged(place, tag)?.name.clone_from(to);
            }
            Op::SetLink { tag, change } => self::change(self.tagged(place, tag)?, change),
            op => return self.on_device(place, op),
        }
        Ok(Effect::Changed)
    }

    /// Carries out a step about what a device has: addresses, routes, neighbours and peers.
    fn on_device(&mut self, place: Place<'_>, op: &Op) -> Result<Effect, Cause> {
        match op {
            Op::AddAddress { tag, address } => {
                let address = LinkAddress { address: *address, ours: true };
                add(&mut self.tagged(place, tag)?.addresses, address, |a, b| a.address == b.address)
            }
            Op::RemoveAddress { tag, address } => Ok(self.take(place, tag, |link| {
                remove(&mut link.addresses, |present| present.address == *address)
            })),
            Op::AddRoute { tag, route } => {
                let is_taken = self
                    .links(place)
                    .flat_map(|link| &link.routes)
                    .any(|other| other.destination == route.destination);
                if is_taken {
                    return Err(Errno::EEXIST.into());
                }
                let link = self.tagged(place, tag)?;
                if !link.up {
                    return Err(Errno::new(100).into());
                }
                add(&mut link.routes, *route, |_, _| false)
            }
            Op::RemoveRoute { tag, route } => {
                Ok(self
                    .take(place, tag, |link| remove(&mut link.routes, |present| present == route)))
            }
            Op::AddNeighbour { tag, entry } => {
                let neighbours = &mut self.tagged(place, tag)?.neighbours;
                neighbours.retain(|present| present.address != entry.address);
                add(neighbours, *entry, |_, _| false)
            }
            Op::RemoveNeighbour { tag, entry } => Ok(self
                .take(place, tag, |link| remove(&mut link.neighbours, |present| present == entry))),
            Op::AddPeer { tag, peer } => {
                let peers = &mut self.tagged(place, tag)?.peers;
                let done = add(peers, *peer, |a, b| a == b);
                peers.sort();
                done
            }
            Op::RemovePeer { tag, peer } => {
                Ok(self.take(place, tag, |link| remove(&mut link.peers, |present| present == peer)))
            }
            // All others are told apart before.
            _ => Ok(Effect::Unchanged),
        }
    }

    /// Takes something from a device; one that is not there has nothing to take.
    fn take(&mut self, place: Place<'_>, tag: &Tag, act: impl FnOnce(&mut Link) -> bool) -> Effect {
        effect(self.tagged(place, tag).is_ok_and(act))
    }

    fn check_free(&mut self, place: Place<'_>, name: &DeviceName, tag: &Tag) -> Result<(), Cause> {
        if let Some(other) = self.named(place, name.as_str()) {
            return Err(Cause::NameTaken { name: name.to_string(), by: other.describe() });
        }
        let identity = tag.identity();
        let mut links = self.links(place);
        let other = links.find(|l| l.tag.as_ref().is_some_and(|t| t.identity() == identity));
        match other {
            Some(other) => Err(Cause::NameTaken { name: tag.to_string(), by: other.describe() }),
            None => Ok(()),
        }
    }

    fn create(
        &mut self,
        place: Place<'_>,
        name: &DeviceName,
        kind: &str,
        mac: Option<MacAddr6>,
        mtu: u32,
        tag: &Tag,
    ) -> Result<&mut Link, Cause> {
        self.check_free(place, name, tag)?;
        let made = self.now;
        let link = self.add(place, name, kind, mac, birth_group(tag.owner()))?;
        link.mtu = mtu;
        link.tag = Some(tag.clone());
        link.made = Some(made);
        Ok(link)
    }

    pub(super) fn add(
        &mut self,
        place: Place<'_>,
        name: &DeviceName,
        kind: &str,
        mac: Option<MacAddr6>,
        group: u32,
    ) -> Result<&mut Link, Errno> {
        if self.named(place, name.as_str()).is_some() {
            return Err(Errno::EEXIST);
        }
        self.last_index += 1;
        let index = self.last_index;
        let link = Link {
            name: name.to_string(),
            kind: kind.to_owned(),
            mac,
            mtu: 1500,
            group,
            ..Link::new(index)
        };
        let space = self.space_mut(place)?;
        Ok(space.links.entry(index).or_insert(link))
    }

    pub(super) fn named(&mut self, place: Place<'_>, name: &str) -> Option<&mut Link> {
        let space = self.space_mut(place).ok()?;
        space.links.values_mut().find(|link| link.name == name)
    }

    fn tagged(&mut self, place: Place<'_>, tag: &Tag) -> Result<&mut Link, Cause> {
        let mut links = self.space_mut(place)?.links.values_mut();
        links.find(|link| link.tag.as_ref() == Some(tag)).ok_or(Cause::Missing)
    }

    fn space(&self, place: Place<'_>) -> Option<&Space> {
        match place {
            None => Some(&self.host),
            Some(name) => self.namespaces.get(name).map(|(_, space)| space),
        }
    }

    fn space_mut(&mut self, place: Place<'_>) -> Result<&mut Space, Errno> {
        match place {
            None => Ok(&mut self.host),
            Some(name) => {
                self.namespaces.get_mut(name).map(|(_, space)| space).ok_or(Errno::ENOENT)
            }
        }
    }
}

/// Changes a device in any way but its name.
pub(super) fn change(link: &mut Link, change: &LinkChange) {
    match change {
        LinkChange::Name { to, .. } => link.name.clone_from(to),
        LinkChange::Mac { to, .. } => link.mac = Some(*to),
        LinkChange::Mtu { to, .. } => link.mtu = *to,
        LinkChange::Group { to, .. } => link.group = *to,
        LinkChange::Isolation { to, .. } => link.isolated = *to,
        LinkChange::Rate { to, .. } => link.rate = *to,
        LinkChange::Setting { setting, to: true, .. } => {
            link.settings.insert(*setting);
        }
        LinkChange::Setting { setting, to: false, .. } => {
            link.settings.remove(setting);
        }
        LinkChange::Up => link.up = true,
        LinkChange::Down => {
            link.up = false;
            // As in the kernel, what leads to a device goes when it goes down.
            link.routes.clear();
        }
    }
}

fn set_up(link: &mut Link, setup: DeviceSetup) {
    link.group = setup.group;
    if setup.proxy {
        link.settings.extend(LinkSetting::OF_ROUTED);
    }
}

fn add<T>(list: &mut Vec<T>, new: T, same: impl Fn(&T, &T) -> bool) -> Result<Effect, Cause> {
    if list.iter().any(|present| same(present, &new)) {
        return Err(Errno::EEXIST.into());
    }
    list.push(new);
    Ok(Effect::Changed)
}

fn remove<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> bool {
    let before = list.len();
    list.retain(|present| !is_it(present));
    list.len() < before
}
