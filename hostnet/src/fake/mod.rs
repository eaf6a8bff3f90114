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

mod state;

pub use state::State;

use crate::backend::{Backend, Counters, Effect, Neighbour, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::events::{Event, Events, WAITING};
use crate::observed::{Link, Observed, ObservedNamespace, Table};
use crate::op::{LinkChange, Op};
use crate::spec::{DeviceName, Family, NamespaceName, Owner};
use crate::tag::{Subject, Tag};
use core::time::Duration;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// A host in memory: a network namespace, and the named ones that are made there. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    state: State,
    /// Which versions of IP are forwarded, in the namespace itself and in the named ones.
    forwarding: BTreeMap<Option<NamespaceName>, BTreeSet<Family>>,
    neighbours: Vec<(String, Neighbour)>,
    counters: BTreeMap<String, Counters>,
    /// Who is told of what happens to links.
    listeners: Vec<Listener>,
    /// After how many further steps to fail once, and how.
    fault: Option<(usize, Errno)>,
}

/// Somebody who listens.
#[derive(Debug)]
struct Listener {
    sender: mpsc::Sender<Event>,
    /// Whether there was no room for an event.
    missed: bool,
}

impl Listener {
    /// Tells of events, or of everything if some were missed; false if nobody listens any more.
    fn tell(&mut self, events: &[Event], everything: &Event) -> bool {
        let fits = !self.missed && self.sender.capacity() > events.len();
        let events = if fits { events } else { core::slice::from_ref(everything) };
        let told = events.iter().try_for_each(|event| self.sender.try_send(event.clone()));
        self.missed = told.is_err();
        !self.sender.is_closed()
    }
}

impl Fake {
    /// A host with nothing in it.
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
        let mac = Some(MacAddr6::new(2, 0, 0, 0, 0, 1));
        self.world().state.add(None, name, kind, mac, 0).map(drop)
    }

    /// Renames a device, as somebody else might.
    ///
    /// # Errors
    /// When there is none of the old name, or the new one is taken.
    pub fn rename(&self, from: &DeviceName, to: &DeviceName) -> Result<(), Errno> {
        let mut world = self.world();
        if world.state.named(None, to.as_str()).is_some() {
            return Err(Errno::EEXIST);
        }
        let link = world.state.named(None, from.as_str()).ok_or(Errno::ENODEV)?;
        link.name = to.to_string();
        Ok(())
    }

    /// Deletes a device, as somebody else might, and the other end of a veth pair with it. One of a namespace counts too.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn delete(&self, name: &DeviceName) -> Result<(), Errno> {
        self.world().state.delete_named(name.as_str()).ok_or(Errno::ENODEV)
    }

    /// Changes a device, as somebody else might.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn change(&self, name: &DeviceName, change: &LinkChange) -> Result<(), Errno> {
        let mut world = self.world();
        let link = world.state.named(None, name.as_str()).ok_or(Errno::ENODEV)?;
        state::change(link, change);
        Ok(())
    }

    /// Lets a neighbour be known on a device.
    pub fn add_neighbour(&self, device: &DeviceName, neighbour: Neighbour) {
        self.world().neighbours.push((device.to_string(), neighbour));
    }

    /// Lets a device have counted this much.
    pub fn set_counters(&self, device: &DeviceName, counters: Counters) {
        self.world().counters.insert(device.to_string(), counters);
    }

    /// Sets the time that new devices say they were made at, since the Unix epoch.
    pub fn set_time(&self, now: Duration) {
        self.world().state.now = now;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // No step leaves the world half changed, so it is sound even after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Fake {
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError> {
        Ok(self.world().observe(owner, scope))
    }

    fn execute(&mut self, op: &Op) -> Result<Effect, OpError> {
        self.world().execute(op).map_err(|cause| {
            let line = op.to_string();
            OpError::new(line.lines().next().unwrap_or_default(), cause)
        })
    }

    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError> {
        let world = self.world();
        let name = world.name_of(device).ok_or_else(|| missing("read the neighbours"))?;
        Ok(world.neighbours.iter().filter(|(on, _)| *on == name).map(|(_, n)| *n).collect())
    }

    fn events(&mut self) -> Result<Events, OpError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut world = self.world();
        let neighbours = world.neighbours.iter().filter_map(|(on, neighbour)| {
            let link = world.state.links(None).find(|link| link.name == *on)?;
            Some((link.index, *neighbour))
        });
        let neighbours = neighbours.collect();
        let links = world.state.links(None).cloned().collect();
        let _ = sender.try_send(Event::Everything { links, neighbours });
        world.listeners.push(Listener { sender, missed: false });
        Ok(Events { receiver, _listening: Box::new(()) })
    }

    fn counters(&mut self, device: &Tag) -> Result<Counters, OpError> {
        let world = self.world();
        let name = world.name_of(device).ok_or_else(|| missing("read the counters"))?;
        Ok(world.counters.get(&name).copied().unwrap_or_default())
    }
}

fn missing(doing: &str) -> OpError {
    OpError::new(doing, Cause::Missing)
}

impl World {
    fn execute(&mut self, op: &Op) -> Result<Effect, Cause> {
        match self.fault.take() {
            Some((0, errno)) => return Err(errno.into()),
            Some((steps, errno)) => self.fault = Some((steps - 1, errno)),
            None => {}
        }
        let before = (!self.listeners.is_empty()).then(|| self.state.clone());
        let done = self.carry_out(None, op);
        if let Some(before) = before {
            self.tell(&before);
        }
        done
    }

    /// Tells whoever listens what is different now. A listener that lags behind misses events, as with the kernel, and is
    /// told everything instead once there is room.
    fn tell(&mut self, before: &State) {
        let old: BTreeMap<u32, &Link> = before.links(None).map(|link| (link.index, link)).collect();
        let now: BTreeMap<u32, &Link> =
            self.state.links(None).map(|link| (link.index, link)).collect();
        let gone = old.values().filter(|link| !now.contains_key(&link.index));
        let gone = gone.map(|link| Event::LinkGone { index: link.index, name: link.name.clone() });
        let new = now.values().filter(|link| old.get(&link.index) != Some(link));
        let new = new.map(|link| Event::Link(Box::new((*link).clone())));
        let events: Vec<Event> = gone.chain(new).collect();
        let everything = Event::Everything {
            links: now.values().map(|link| (*link).clone()).collect(),
            neighbours: Vec::new(),
        };
        self.listeners.retain_mut(|listener| listener.tell(&events, &everything));
    }

    /// Carries out one step in the namespace of this name, or in the host's own.
    fn carry_out(&mut self, place: Option<&NamespaceName>, op: &Op) -> Result<Effect, Cause> {
        match op {
            Op::EnableForwarding { family } => {
                let families = self.forwarding.entry(place.cloned()).or_default();
                Ok(effect(families.insert(*family)))
            }
            Op::CreateNamespace { name, inside, tag } => {
                let before = self.state.clone();
                self.state.create_namespace(name, tag)?;
                self.all_inside(name, inside, before)
            }
            Op::InNamespace { name, inside, tag } => {
                if self.state.namespace_tag(name) != Some(tag) {
                    return Err(Cause::NamespaceMissing { name: name.to_string() });
                }
                let before = self.state.clone();
                self.all_inside(name, inside, before)
            }
            Op::DeleteNamespace { name, tag } => {
                if self.state.namespace_tag(name) != Some(tag) {
                    return Ok(Effect::Unchanged);
                }
                self.forwarding.remove(&Some(name.clone()));
                self.state.delete_namespace(name);
                Ok(Effect::Changed)
            }
            op => self.state.carry_out(place, op),
        }
    }

    /// All of the steps, or none.
    fn all_inside(
        &mut self,
        name: &NamespaceName,
        inside: &[Op],
        before: State,
    ) -> Result<Effect, Cause> {
        for op in inside {
            if let Err(cause) = self.carry_out(Some(name), op) {
                self.state = before;
                return Err(cause);
            }
        }
        Ok(Effect::Changed)
    }

    fn observe(&self, owner: &Owner, scope: &Scope) -> Observed {
        let only = match scope {
            Scope::Everything => None,
            Scope::Only(only) => Some(only),
        };
        let mut links: Vec<Link> = self.state.links(None).cloned().collect();
        if let Some(only) = only {
            let bridges: Vec<u32> = links
                .iter()
                .filter(|link| belongs(link.tag.as_ref(), owner, &only.subjects))
                .map(|link| link.index)
                .collect();
            links.retain(|link| {
                let port = link.master.is_some_and(|master| bridges.contains(&master));
                belongs(link.tag.as_ref(), owner, &only.subjects)
                    || only.names.iter().any(|name| name.as_str() == link.name)
                    || !link.addresses.is_empty()
                    || only.to_go && port
            });
        }
        let names: BTreeSet<NamespaceName> = match only {
            None => self.state.namespaces().cloned().collect(),
            Some(only) if only.to_go => self.state.namespaces().cloned().collect(),
            Some(only) => {
                let leads_to = links.iter().filter_map(|link| link.leads_to.clone());
                only.namespaces.iter().cloned().chain(leads_to).collect()
            }
        };
        let namespaces = names.iter().filter_map(|name| self.observe_namespace(owner, name));
        let namespaces = namespaces.collect();
        let mut table = self.state.table(None, owner);
        if let (Some(only), Table::Ours { elements, .. }) = (only, &mut table) {
            let keys: BTreeSet<_> = only.elements.iter().map(crate::Element::key_only).collect();
            elements.retain(|(element, tag)| {
                belongs(tag.as_ref(), owner, &only.subjects) || keys.contains(&element.key_only())
            });
        }
        Observed {
            coverage: scope.coverage(),
            links,
            table,
            forwarding: self.forwarding.get(&None).cloned().unwrap_or_default(),
            namespaces,
            ..Observed::nothing(owner.clone())
        }
    }

    fn observe_namespace(&self, owner: &Owner, name: &NamespaceName) -> Option<ObservedNamespace> {
        let tag = self.state.namespace_tag(name)?;
        let inside = (tag.owner() == owner).then(|| {
            Box::new(Observed {
                links: self.state.links(Some(name)).cloned().collect(),
                table: self.state.table(Some(name), owner),
                forwarding: self.forwarding.get(&Some(name.clone())).cloned().unwrap_or_default(),
                ..Observed::nothing(owner.clone())
            })
        });
        Some(ObservedNamespace { name: name.clone(), tag: Some(tag.clone()), inside })
    }

    fn name_of(&self, device: &Tag) -> Option<String> {
        let wanted = device.identity();
        let mut links = self.state.links(None);
        let found = links.find(|link| link.tag.as_ref().is_some_and(|t| t.identity() == wanted));
        found.map(|link| link.name.clone())
    }
}

fn belongs(tag: Option<&Tag>, owner: &Owner, subjects: &BTreeSet<Subject>) -> bool {
    tag.is_some_and(|tag| tag.owner() == owner && subjects.contains(tag.subject()))
}

const fn effect(changed: bool) -> Effect {
    if changed { Effect::Changed } else { Effect::Unchanged }
}
