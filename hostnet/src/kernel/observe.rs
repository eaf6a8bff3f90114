//! Looking at a namespace: at everything, or at what belongs to some subjects.

use super::backend::Kernel;
use super::known::Entries;
use super::link::At;
use super::links::{self, Found};
use super::netlink::Refusal;
use super::{address, neighbour, netns, qdisc, route, sysctl};
use crate::backend::{Only, Scope};
use crate::error::{Errno, OpError};
use crate::firewall::TableName;
use crate::observed::{Link, Observed};
use crate::op::{NeighbourEntry, Route};
use crate::spec::{NamespaceName, Owner};
use crate::tag::{Role, Subject, Tag};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

impl Kernel {
    pub(super) fn look(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError> {
        let table = TableName::new(owner.clone());
        let doing = |what| move |refusal: Refusal| refusal.doing(what);
        // The table before the devices: what is made comes in the other order, so a subject that has elements but no
        // device is one whose devices are gone.
        let only = match scope {
            Scope::Everything => None,
            Scope::Only(only) => Some(only),
        };
        let table = self.nft.observe(&table, only).map_err(doing("read the firewall table"))?;
        let links = match only {
            None => self.all_links(owner),
            Some(only) => self.some_links(owner, only),
        };
        let links = links.map_err(doing("read the devices"))?;
        let forwarding =
            sysctl::forwarding(&mut self.route).map_err(doing("read what is forwarded"))?;
        let names = match only {
            _ if self.inside => BTreeSet::new(),
            None => netns::names().map_err(doing("list the network namespaces"))?,
            // Whose devices are gone may have left a namespace, and only that knows whose it was.
            Some(only) if only.to_go && !all_there(only, &links) => {
                netns::names().map_err(doing("list the network namespaces"))?
            }
            Some(only) => {
                let leads_to = links.iter().filter_map(|link| link.leads_to.clone());
                only.namespaces.iter().cloned().chain(leads_to).collect()
            }
        };
        let namespaces = self.namespaces(owner, &names)?;
        let (owner, coverage) = (owner.clone(), scope.coverage());
        Ok(Observed { owner, coverage, links, table, forwarding, namespaces })
    }

    fn namespaces(
        &mut self,
        owner: &Owner,
        names: &BTreeSet<NamespaceName>,
    ) -> Result<Vec<crate::observed::ObservedNamespace>, OpError> {
        let mut seen = Vec::new();
        for name in names {
            seen.extend(self.observe_namespace(owner, name)?);
        }
        Ok(seen)
    }

    fn all_links(&mut self, owner: &Owner) -> Result<Vec<Link>, Refusal> {
        let found = links::list(&mut self.route)?;
        let mut addresses: HashMap<u32, Vec<_>> = HashMap::new();
        for (index, address) in address::list(&mut self.route, None)? {
            addresses.entry(index).or_default().push(address);
        }
        let mut routes: HashMap<u32, Vec<_>> = HashMap::new();
        for (index, route) in route::list(&mut self.route)? {
            routes.entry(index).or_default().push(route);
        }
        let mut neighbours: HashMap<u32, Vec<_>> = HashMap::new();
        for (index, entry) in neighbour::all_fixed(&mut self.route)? {
            neighbours.entry(index).or_default().push(entry);
        }
        // Those that are gone would be known for ever.
        self.known.clear();
        let mut links = Vec::with_capacity(found.len());
        for Found { mut link, has_tbf, .. } in found {
            link.addresses = addresses.remove(&link.index).unwrap_or_default();
            if is_of(&link, owner) {
                link.routes = routes.remove(&link.index).unwrap_or_default();
                link.neighbours = neighbours.remove(&link.index).unwrap_or_default();
                if unless_gone(self.more(&mut link, has_tbf))?.is_none() {
                    continue;
                }
                let (routes, neighbours) = (link.routes.clone(), link.neighbours.clone());
                self.known.note(link.index, Entries { routes, neighbours });
            }
            links.push(link);
        }
        Ok(links)
    }

    fn some_links(&mut self, owner: &Owner, only: &Only) -> Result<Vec<Link>, Refusal> {
        let mut links = BTreeMap::new();
        if only.to_go {
            for subject in &only.subjects {
                self.of_subject(owner, subject, &mut links)?;
            }
        }
        for (subject, role, _) in &only.devices {
            self.of_role(owner, subject, *role, &mut links)?;
        }
        let have: HashSet<String> = links.values().map(|link| link.name.clone()).collect();
        for (_, _, name) in only.devices.iter().filter(|(_, _, name)| !have.contains(name.as_str()))
        {
            let found = links::find(&mut self.route, At::Name(name.as_str()))?;
            links.extend(found.map(|found| (found.link.index, found.link)));
        }
        self.in_the_way(only, &mut links)?;
        // What leads to a device that is to go goes with it.
        if only.to_go {
            return Ok(links.into_values().collect());
        }
        let (routes, neighbours) = (by_subject(&only.routes), by_subject(&only.neighbours));
        let mut found = Vec::with_capacity(links.len());
        for mut link in links.into_values() {
            let ours = link.tag.as_ref().filter(|tag| tag.owner() == owner).map(Tag::subject);
            let wanted = ours.map(|subject| (routes.get(subject), neighbours.get(subject)));
            let seen = wanted.map_or(Ok(Some(())), |(routes, neighbours)| {
                let routes = routes.map(Vec::as_slice).unwrap_or_default();
                let neighbours = neighbours.map(Vec::as_slice).unwrap_or_default();
                unless_gone(self.add_routes(routes, neighbours, &mut link))
            });
            if seen?.is_some() {
                found.push(link);
            }
        }
        Ok(found)
    }

    /// Finds the devices of a subject that is to go, of whichever generation, and the ports of its bridges.
    fn of_subject(
        &mut self,
        owner: &Owner,
        subject: &Subject,
        links: &mut BTreeMap<u32, Link>,
    ) -> Result<(), Refusal> {
        if let Subject::Attachment(_) = subject {
            for role in [Role::Tap, Role::HostEnd] {
                self.of_role(owner, subject, role, links)?;
            }
            return Ok(());
        }
        self.of_role(owner, subject, Role::Vxlan, links)?;
        let first = self.of_role(owner, subject, Role::Bridge, links)?;
        let mut bridges: Vec<u32> = first.into_iter().collect();
        for number in 1..u8::MAX {
            let bridge = self.of_role(owner, subject, Role::Shard(number), links)?;
            let uplink = self.of_role(owner, subject, Role::Uplink(number), links)?;
            let downlink = self.of_role(owner, subject, Role::Downlink(number), links)?;
            bridges.extend(bridge);
            // They are numbered without gaps, and made in order.
            if [bridge, uplink, downlink].iter().all(Option::is_none) {
                break;
            }
        }
        for bridge in bridges {
            let ports = unless_gone(links::ports(&mut self.route, bridge))?;
            for port in ports.unwrap_or_default() {
                links.entry(port.index).or_insert(port);
            }
        }
        Ok(())
    }

    fn of_role(
        &mut self,
        owner: &Owner,
        subject: &Subject,
        role: Role,
        links: &mut BTreeMap<u32, Link>,
    ) -> Result<Option<u32>, Refusal> {
        let identity = Tag::new(owner.clone(), subject.clone(), role, 0).identity();
        let Some(Found { mut link, has_tbf, .. }) =
            links::find(&mut self.route, At::Identity(&identity))?
        else {
            return Ok(None);
        };
        let index = link.index;
        // The ports of bridges have none that matter.
        if link.master.is_none() {
            let Some(addresses) = unless_gone(address::list(&mut self.route, Some(index)))? else {
                return Ok(None);
            };
            let addresses = addresses.into_iter().filter(|(on, _)| *on == index);
            link.addresses = addresses.map(|(_, address)| address).collect();
        }
        if unless_gone(self.more(&mut link, has_tbf))?.is_none() {
            return Ok(None);
        }
        links.insert(index, link);
        Ok(Some(index))
    }

    /// Finds the devices whose addresses may be in the way of a network that is still to be made or changed.
    fn in_the_way(&mut self, only: &Only, links: &mut BTreeMap<u32, Link>) -> Result<(), Refusal> {
        let there: BTreeSet<_> =
            links.values().flat_map(|link| &link.addresses).map(|found| found.address).collect();
        if only.addresses.iter().all(|wanted| there.contains(wanted)) {
            return Ok(());
        }
        let mut others: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (index, address) in address::list(&mut self.route, None)? {
            others.entry(index).or_default().push(address);
        }
        for (index, addresses) in others {
            if let Some(link) = links.get_mut(&index) {
                link.addresses = addresses;
                continue;
            }
            let found = links::find(&mut self.route, At::Index(index))?;
            links.extend(found.map(|Found { mut link, .. }| {
                link.addresses = addresses;
                (index, link)
            }));
        }
        Ok(())
    }

    /// Finds a device's routes and permanent neighbours. If those that were made before are known, each is asked for; the
    /// kernel would have to search all there are for those of one device.
    fn add_routes(
        &mut self,
        routes: &[Route],
        neighbours: &[NeighbourEntry],
        link: &mut Link,
    ) -> Result<(), Refusal> {
        let leads_out = link.tag.as_ref().is_some_and(|tag| {
            matches!(tag.role(), Role::Tap | Role::HostEnd) && link.master.is_none()
        });
        if !leads_out {
            return Ok(());
        }
        let (route, index) = (&mut self.route, link.index);
        let Some(known) = self.known.of(index) else {
            link.routes = route::of_device(route, index)?;
            link.neighbours = neighbour::fixed(route, index)?;
            let (routes, neighbours) = (link.routes.clone(), link.neighbours.clone());
            self.known.note(index, Entries { routes, neighbours });
            return Ok(());
        };
        // Each may have been taken away by somebody else, or be there already.
        for wanted in with(&known.routes, routes) {
            let found = route::find(route, wanted.destination)?;
            link.routes.extend(found.filter(|(on, _)| *on == index).map(|(_, route)| route));
        }
        for wanted in with(&known.neighbours, neighbours) {
            link.neighbours.extend(neighbour::find(route, index, *wanted)?);
        }
        Ok(())
    }

    /// Asks for what is not in a link's own answer.
    fn more(&mut self, link: &mut Link, has_tbf: bool) -> Result<(), Refusal> {
        if has_tbf {
            link.rate = qdisc::get(&mut self.route, link.index)?;
        }
        if link.kind == "vxlan" {
            link.peers = neighbour::peers(&mut self.route, link.index)?;
        }
        Ok(())
    }
}

/// What was asked of a device; none if it has gone since it was found, which is as if it had not been.
fn unless_gone<T>(asked: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(Refusal::Kernel { errno: Errno::ENODEV, .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether each attachment has a device still.
fn all_there(only: &Only, links: &[Link]) -> bool {
    let tags = links.iter().filter_map(|link| link.tag.as_ref());
    let there: BTreeSet<&Subject> = tags.map(Tag::subject).collect();
    let mut attachments =
        only.subjects.iter().filter(|subject| matches!(subject, Subject::Attachment(_)));
    attachments.all(|subject| there.contains(subject))
}

/// All of the first, and those of the second that are not among them.
fn with<'a, T: PartialEq>(known: &'a [T], wanted: &'a [T]) -> impl Iterator<Item = &'a T> {
    known.iter().chain(wanted.iter().filter(|entry| !known.contains(entry)))
}

/// What is wanted, by whom it is for.
fn by_subject<T: Copy>(wanted: &[(Subject, T)]) -> HashMap<&Subject, Vec<T>> {
    let mut by_subject: HashMap<&Subject, Vec<T>> = HashMap::new();
    for (subject, entry) in wanted {
        by_subject.entry(subject).or_default().push(*entry);
    }
    by_subject
}

fn is_of(link: &Link, owner: &Owner) -> bool {
    link.tag.as_ref().is_some_and(|tag| tag.owner() == owner)
}
