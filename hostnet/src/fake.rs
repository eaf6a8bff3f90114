//! An in-memory kernel for tests without privileges: same answers, same errors, and faults on demand.
//!
//! ```
//! use hostnet::fake::Fake;
//! use hostnet::{Desired, DeviceName, Errno, Host, Network, NetworkName, Owner};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fake = Fake::new();
//! let host = Host::fake(Owner::new("demo")?, &fake)?;
//! let mut desired = Desired::new(host.owner().clone());
//! desired.add_network(Network::bridged(
//!     NetworkName::new("default")?,
//!     DeviceName::new("br0")?,
//!     "172.16.0.1/16".parse()?,
//! )?)?;
//!
//! let before = fake.state();
//! fake.fail_at(2, Errno::EPERM);
//! host.ensure(&desired).await.unwrap_err();
//! assert_eq!(fake.state(), before, "what was done before the failing step is undone");
//!
//! host.ensure(&desired).await?;
//! assert_eq!(host.ensure(&desired).await?.steps, 0, "nothing is left to do");
//! # Ok(())
//! # }
//! ```

use crate::backend::{Backend, Effect, Neighbour, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::firewall::{Element, TableName};
use crate::observed::{Coverage, Link, LinkAddress, Observed, Table};
use crate::op::{LinkChange, Op};
use crate::spec::{DeviceName, Family, Owner};
use crate::tag::{Tag, birth_group};
use core::time::Duration;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most ports a bridge can have.
const MAX_PORTS: usize = 1023;

/// A network namespace in memory. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<World>>);

/// Everything that is in a [`Fake`], to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    links: BTreeMap<u32, Link>,
    tables: HashMap<TableName, BTreeMap<Element, Tag>>,
}

#[derive(Debug, Default)]
struct World {
    state: State,
    forwarding: BTreeSet<Family>,
    last_index: u32,
    now: Duration,
    neighbours: Vec<(String, Neighbour)>,
    /// After how many further steps to fail once, and how.
    fault: Option<(usize, Errno)>,
}

impl Fake {
    /// A namespace with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that is there. Shared settings are not part of it.
    #[must_use]
    pub fn state(&self) -> State {
        self.world().state.clone()
    }

    /// Lets the step after the next `steps` fail once with this error.
    pub fn fail_at(&self, steps: usize, errno: Errno) {
        self.world().fault = Some((steps, errno));
    }

    /// Puts a device there that somebody else made.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_foreign(&self, name: &DeviceName, kind: &str) -> Result<(), Errno> {
        self.world().add(name, kind, MacAddr6::new(2, 0, 0, 0, 0, 1), 0).map(drop)
    }

    /// Renames a device, as somebody else might.
    ///
    /// # Errors
    /// When there is none of the old name, or the new one is taken.
    pub fn rename(&self, from: &DeviceName, to: &DeviceName) -> Result<(), Errno> {
        let mut world = self.world();
        if world.named(to.as_str()).is_some() {
            return Err(Errno::EEXIST);
        }
        world.named(from.as_str()).ok_or(Errno::ENODEV)?.name = to.to_string();
        Ok(())
    }

    /// Lets a neighbour be known on a device.
    pub fn add_neighbour(&self, device: &DeviceName, neighbour: Neighbour) {
        self.world().neighbours.push((device.to_string(), neighbour));
    }

    /// Sets the time that new devices say they were made at, since the Unix epoch.
    pub fn set_time(&self, now: Duration) {
        self.world().now = now;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // No step leaves the world half changed, so it is sound even after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Fake {
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError> {
        let world = self.world();
        let wanted = |link: &&Link| match scope {
            Scope::Everything => true,
            Scope::Named { tags, names } => {
                !link.addresses.is_empty()
                    || tags.iter().any(|tag| link.tag.as_ref() == Some(tag))
                    || names.iter().any(|name| link.name == name.as_str())
            }
        };
        let table = world.state.tables.get(&TableName::new(owner.clone()));
        Ok(Observed {
            owner: owner.clone(),
            coverage: match scope {
                Scope::Everything => Coverage::Everything,
                Scope::Named { .. } => Coverage::Named,
            },
            links: world.state.links.values().filter(wanted).cloned().collect(),
            table: table.map_or(Table::Absent, |elements| {
                Table::Ours(elements.iter().map(|(e, t)| (e.clone(), Some(t.clone()))).collect())
            }),
            forwarding: world.forwarding.clone(),
        })
    }

    fn execute(&mut self, op: &Op) -> Result<Effect, OpError> {
        self.world().execute(op).map_err(|cause| {
            let line = op.to_string();
            OpError::new(line.lines().next().unwrap_or_default(), cause)
        })
    }

    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError> {
        let mut world = self.world();
        let link =
            world.tagged(device).map_err(|cause| OpError::new("read the neighbours", cause))?;
        let name = link.name.clone();
        Ok(world.neighbours.iter().filter(|(on, _)| *on == name).map(|(_, n)| *n).collect())
    }
}

impl World {
    fn execute(&mut self, op: &Op) -> Result<Effect, Cause> {
        let before = (self.state.clone(), self.forwarding.clone());
        self.carry_out(op)?;
        let same = before == (self.state.clone(), self.forwarding.clone());
        Ok(if same { Effect::Unchanged } else { Effect::Changed })
    }

    fn carry_out(&mut self, op: &Op) -> Result<(), Cause> {
        match self.fault.take() {
            Some((0, errno)) => return Err(errno.into()),
            Some((steps, errno)) => self.fault = Some((steps - 1, errno)),
            None => {}
        }
        match op {
            Op::EnableForwarding { family } => {
                self.forwarding.insert(*family);
            }
            Op::CreateTable { table } => {
                self.state.tables.entry(table.clone()).or_default();
            }
            Op::RemoveTable { table } => {
                if self.state.tables.get(table).is_some_and(BTreeMap::is_empty) {
                    self.state.tables.remove(table);
                }
            }
            Op::CreateBridge { name, mac, mtu, tag } => {
                self.create(name, "bridge", *mac, *mtu, tag)?.up = true;
            }
            Op::CreateTap { name, mac, mtu, tag, .. } => {
                self.create(name, "tun", *mac, *mtu, tag)?;
            }
            Op::DeleteHalfMade { index, owner, .. } => {
                if self.state.links.get(index).is_some_and(|l| l.is_half_made(owner, "bridge")) {
                    self.state.links.remove(index);
                }
            }
            Op::AttachPort { port, bridge, .. } => self.attach(port, bridge)?,
            Op::RestorePort { port, to } => {
                let link = self.tagged(port)?;
                link.master = to.master;
                link.up = to.up;
            }
            Op::SetLink { tag, change } => self.change(tag, change)?,
            Op::AddAddress { tag, address } => {
                let link = self.tagged(tag)?;
                if link.addresses.iter().any(|present| present.address == *address) {
                    return Err(Errno::EEXIST.into());
                }
                link.addresses.push(LinkAddress { address: *address, ours: true });
            }
            Op::RemoveAddress { tag, address } => self.remove_address(tag, *address),
            Op::AddElement { table, element, tag } => self.add_element(table, element, tag)?,
            Op::RemoveElement { table, element, tag } => {
                let elements = self.state.tables.get_mut(table);
                if let Some(elements) = elements.filter(|e| e.get(element) == Some(tag)) {
                    elements.remove(element);
                }
            }
            Op::DeleteLink { tag } => {
                if let Ok(link) = self.tagged(tag) {
                    let index = link.index;
                    let on_it = self.state.links.values().filter(|l| l.master == Some(index));
                    let ports: Vec<_> = on_it.map(|link| link.name.clone()).collect();
                    if !ports.is_empty() {
                        return Err(Cause::InUse { ports });
                    }
                    self.state.links.remove(&index);
                }
            }
        }
        Ok(())
    }

    fn create(
        &mut self,
        name: &DeviceName,
        kind: &str,
        mac: MacAddr6,
        mtu: Option<u32>,
        tag: &Tag,
    ) -> Result<&mut Link, Cause> {
        if let Some(other) = self.named(name.as_str()) {
            return Err(Cause::NameTaken { name: name.to_string(), by: other.describe() });
        }
        if let Ok(other) = self.tagged(tag) {
            return Err(Cause::NameTaken { name: tag.to_string(), by: other.describe() });
        }
        let made = self.now;
        let link = self.add(name, kind, mac, birth_group(tag.owner()))?;
        link.mtu = mtu.unwrap_or(link.mtu);
        link.tag = Some(tag.clone());
        link.made = Some(made);
        Ok(link)
    }

    fn add(
        &mut self,
        name: &DeviceName,
        kind: &str,
        mac: MacAddr6,
        group: u32,
    ) -> Result<&mut Link, Errno> {
        if self.named(name.as_str()).is_some() {
            return Err(Errno::EEXIST);
        }
        self.last_index += 1;
        let index = self.last_index;
        Ok(self.state.links.entry(index).or_insert_with(|| Link {
            index,
            name: name.to_string(),
            kind: kind.to_owned(),
            mac: Some(mac),
            mtu: 1500,
            up: false,
            master: None,
            group,
            tag: None,
            made: None,
            addresses: Vec::new(),
        }))
    }

    fn attach(&mut self, port: &Tag, bridge: &Tag) -> Result<(), Cause> {
        let bridge = self.tagged(bridge)?.index;
        let ports = self.state.links.values().filter(|link| link.master == Some(bridge)).count();
        let link = self.tagged(port)?;
        if link.master != Some(bridge) && ports >= MAX_PORTS {
            return Err(Errno::EXFULL.into());
        }
        link.master = Some(bridge);
        link.up = true;
        Ok(())
    }

    fn change(&mut self, tag: &Tag, change: &LinkChange) -> Result<(), Cause> {
        if let LinkChange::Name { to, .. } = change
            && let Some(other) = self.named(to)
        {
            return Err(Cause::NameTaken { name: to.clone(), by: other.describe() });
        }
        let link = self.tagged(tag)?;
        match change {
            LinkChange::Name { to, .. } => link.name.clone_from(to),
            LinkChange::Mac { to, .. } => link.mac = Some(*to),
            LinkChange::Mtu { to, .. } => link.mtu = *to,
            LinkChange::Up => link.up = true,
            LinkChange::Down => link.up = false,
        }
        Ok(())
    }

    fn remove_address(&mut self, tag: &Tag, address: IpNet) {
        if let Ok(link) = self.tagged(tag) {
            link.addresses.retain(|present| present.address != address);
        }
    }

    fn add_element(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<(), Cause> {
        let elements = self.state.tables.get_mut(table).ok_or(Errno::ENOENT)?;
        match elements.iter().find(|(other, _)| other.key_only() == element.key_only()) {
            Some((other, by)) if other == element && by == tag => {}
            Some((_, by)) => {
                return Err(Cause::ElementTaken { by: Some(by.to_string()) });
            }
            None => {
                elements.insert(element.clone(), tag.clone());
            }
        }
        Ok(())
    }

    fn named(&mut self, name: &str) -> Option<&mut Link> {
        self.state.links.values_mut().find(|link| link.name == name)
    }

    fn tagged(&mut self, tag: &Tag) -> Result<&mut Link, Cause> {
        let mut links = self.state.links.values_mut();
        links.find(|link| link.tag.as_ref() == Some(tag)).ok_or(Cause::Missing)
    }
}
