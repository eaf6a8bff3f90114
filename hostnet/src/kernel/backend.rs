use super::create::{random_index, scratch_group};
use super::known::Known;
use super::link::{self, At, State};
use super::links;
use super::netlink::{Netlink, Refusal, Space};
use super::netns;
use super::nft::{Hold, Nft};
use super::{address, events, neighbour, qdisc, route, sysctl};
use crate::backend::{Backend, Counters, Effect, Neighbour, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::events::Events;
use crate::observed::Observed;
use crate::op::{LinkChange, Op};
use crate::spec::Owner;
use crate::tag::Tag;
use core::num::NonZeroUsize;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use std::fs::File;

/// What is for the caller to choose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Whether our table is to be nobody else's to change.
    pub(crate) hold: Hold,
    /// How many devices go together.
    pub(crate) sweep: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        // The kernel's network lock is held all the while: about 50 ms for 32 devices.
        const SWEEP: NonZeroUsize = NonZeroUsize::new(32).unwrap();
        Self { hold: Hold::Shared, sweep: SWEEP }
    }
}

/// The kernel, in the network namespace of the thread that opened it and uses it.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) route: Netlink,
    pub(super) nft: Nft,
    /// The namespace itself, to come back to.
    pub(super) home: File,
    /// The index that the next device gets.
    pub(super) next_index: u32,
    /// What leads to the devices of routed guests.
    pub(super) known: Known,
    sweep: usize,
    /// Where the answers of namespaces that are visited are received.
    spare: Option<[Space; 2]>,
    /// Whether it is a VM's namespace, in which no others are looked for.
    pub(super) inside: bool,
    /// Whether the thread could not come back from a visit, and must do nothing any more.
    pub(super) lost: bool,
}

impl Kernel {
    /// Opens the calling thread's namespace.
    pub(crate) fn open(settings: Settings) -> std::io::Result<Self> {
        Self::open_with(settings, <[Space; 2]>::default())
    }

    /// Opens the namespace that the thread visits just now, with space that was used before.
    pub(super) fn open_inside(&mut self) -> std::io::Result<Self> {
        let space = self.spare.take().unwrap_or_default();
        Ok(Self { inside: true, ..Self::open_with(Settings::default(), space)? })
    }

    /// Closes a namespace that was visited.
    pub(super) fn close_inside(&mut self, inner: Self) {
        self.spare = Some([inner.route.into_space(), inner.nft.into_space()]);
    }

    fn open_with(settings: Settings, [route, nft]: [Space; 2]) -> std::io::Result<Self> {
        Ok(Self {
            route: Netlink::open_with(NETLINK_ROUTE, route)?,
            nft: Nft::open(settings.hold, nft)?,
            spare: None,
            home: File::open(netns::OWN)?,
            next_index: random_index(),
            known: Known::default(),
            sweep: settings.sweep.get(),
            inside: false,
            lost: false,
        })
    }

    /// Deletes a bridge that has no ports any more. They may have come since it was planned.
    fn delete_bridge(&mut self, tag: &Tag) -> Result<Effect, Cause> {
        let Some(bridge) = links::find(&mut self.route, At::Tag(tag))? else {
            return Ok(Effect::Unchanged);
        };
        let ports = links::ports(&mut self.route, bridge.link.index)?;
        if !ports.is_empty() {
            let mut ports: Vec<_> = ports.into_iter().map(|port| port.name).collect();
            ports.sort();
            return Err(Cause::InUse { ports });
        }
        gone_is_fine(link::delete(&mut self.route, At::Tag(tag)))
    }

    fn change(&mut self, tag: &Tag, change: &LinkChange) -> Result<(), Cause> {
        let at = At::Tag(tag);
        let route = &mut self.route;
        let changed = match change {
            LinkChange::Name { to, .. } => {
                let found = links::find(route, at)?.ok_or(Cause::Missing)?;
                let renamed = link::rename(route, found.link.index, to);
                return renamed.map_err(|refusal| self.name_taken(to, refusal));
            }
            LinkChange::Mac { to, .. } => link::set_mac(route, at, *to),
            LinkChange::Mtu { to, .. } => link::set_mtu(route, at, *to),
            LinkChange::Group { to, .. } => link::set_group(route, at, *to),
            LinkChange::Isolation { to, .. } => link::set_isolation(route, at, *to),
            LinkChange::Setting { setting, to, .. } => link::set_setting(route, at, *setting, *to),
            LinkChange::Rate { to, .. } => {
                let index = self.index(tag)?;
                qdisc::set(&mut self.route, index, *to)
            }
            LinkChange::Up => link::set_state(route, at, State::Up),
            LinkChange::Down => link::set_state(route, at, State::Down),
        };
        changed.map_err(missing)
    }

    /// Deletes devices together: marks each, by its tag, with a link group, and deletes the group.
    ///
    /// The kernel waits some milliseconds for every deletion, but once for all that go together. The group is drawn
    /// at random for this sweep, so that nothing else is in it, and proves nothing by itself.
    ///
    /// A bridge goes alone: until it is gone, the group it was born in is what our rules know it by.
    fn delete_together(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        if tags.len() == 1 || tags.iter().any(|tag| tag.role().is_bridge()) {
            let delete =
                |tag: &&Tag| self.execute(&Op::DeleteLink { tag: (*tag).clone() }).map(|_| ());
            return tags.iter().map(delete).collect();
        }
        let group = scratch_group();
        let route = &mut self.route;
        let marked: Vec<_> =
            tags.iter().map(|tag| link::set_group(route, At::Tag(tag), group)).collect();
        let swept = if marked.iter().any(Result::is_ok) {
            gone_is_fine(link::delete_group(route, group))
        } else {
            Ok(Effect::Unchanged)
        };
        let outcome = |(tag, marked): (&&Tag, Result<(), Refusal>)| {
            let result = gone_is_fine(marked).and_then(|_| swept.clone());
            result.map(|_| ()).map_err(|cause| OpError::new(format!("ip link del '{tag}'"), cause))
        };
        tags.iter().zip(marked).map(outcome).collect()
    }

    /// The index of the link that has this tag.
    pub(super) fn index(&mut self, tag: &Tag) -> Result<u32, Cause> {
        let found = links::find(&mut self.route, At::Tag(tag))?;
        Ok(found.ok_or(Cause::Missing)?.link.index)
    }

    /// Does something to the link that has this tag.
    fn at(
        &mut self,
        tag: &Tag,
        op: &Op,
        act: impl FnOnce(&mut Netlink, u32) -> Result<(), Refusal>,
    ) -> Result<Effect, Cause> {
        let index = self.index(tag)?;
        changed(act(&mut self.route, index)).inspect(|_| self.known.follow(index, op))
    }

    /// Takes something from the link that has this tag. Not there, or no such link, is success.
    fn take(
        &mut self,
        tag: &Tag,
        op: &Op,
        act: impl FnOnce(&mut Netlink, u32) -> Result<(), Refusal>,
    ) -> Result<Effect, Cause> {
        match self.index(tag) {
            Ok(index) => {
                gone_is_fine(act(&mut self.route, index)).inspect(|_| self.known.follow(index, op))
            }
            Err(Cause::Missing) => Ok(Effect::Unchanged),
            Err(cause) => Err(cause),
        }
    }

    fn carry_out(&mut self, op: &Op) -> Result<Effect, Cause> {
        match op {
            Op::EnableForwarding { family } => changed(sysctl::enable_forwarding(*family)),
            Op::CreateTable { table, rules } => self.nft.create_table(table, rules),
            Op::RepairTable { table, rules } => self.nft.repair_table(table, rules),
            Op::RemoveTable { table } => self.nft.remove_table(table),
            Op::AddElement { table, element, tag } => self.nft.add(table, element, tag),
            Op::RemoveElement { table, element, tag } => self.nft.remove(table, element, tag),
            Op::CreateBridge { name, mac, mtu, tag } => {
                self.make(|kernel| kernel.create_bridge(name, *mac, *mtu, tag))
            }
            Op::CreateTap { name, mac, mtu, options, setup, tag } => {
                self.make(|kernel| kernel.create_tap(name, (*mac, *mtu), *options, *setup, tag))
            }
            Op::CreateVeth { here, there, mtu } => {
                self.make(|kernel| kernel.create_veth(here, there, *mtu, None))
            }
            Op::CreateVxlan { vxlan, mtu, tag } => {
                self.make(|kernel| kernel.create_vxlan(vxlan, *mtu, tag))
            }
            Op::DeleteHalfMade { index, owner, .. } => self.delete_half_made(*index, owner),
            Op::AttachPort { port, bridge, isolated, .. } => self.attach(port, bridge, *isolated),
            Op::RestorePort { port, to } => {
                let (at, state) = (At::Tag(port), if to.up { State::Up } else { State::Down });
                changed(link::set_master(&mut self.route, at, to.master.unwrap_or(0)))?;
                changed(match to.master {
                    Some(_) => link::set_port(&mut self.route, at, to.isolated, state),
                    None => link::set_state(&mut self.route, at, state),
                })
            }
            Op::SetLink { tag, change } => self.change(tag, change).map(|()| Effect::Changed),
            Op::AddAddress { tag, address } => {
                self.at(tag, op, |route, index| address::add(route, index, *address))
            }
            Op::RemoveAddress { tag, address } => {
                self.take(tag, op, |route, index| address::remove(route, index, *address))
            }
            Op::AddRoute { tag, route } => {
                self.at(tag, op, |netlink, index| route::add(netlink, index, *route))
            }
            Op::RemoveRoute { tag, route } => {
                self.take(tag, op, |netlink, index| route::remove(netlink, index, *route))
            }
            Op::AddNeighbour { tag, entry } => {
                self.at(tag, op, |netlink, index| neighbour::add(netlink, index, *entry))
            }
            Op::RemoveNeighbour { tag, entry } => {
                self.take(tag, op, |netlink, index| neighbour::remove(netlink, index, *entry))
            }
            Op::AddPeer { tag, peer } => {
                self.at(tag, op, |netlink, index| neighbour::add_peer(netlink, index, *peer))
            }
            Op::RemovePeer { tag, peer } => {
                self.take(tag, op, |netlink, index| neighbour::remove_peer(netlink, index, *peer))
            }
            Op::DeleteLink { tag } if tag.role().is_bridge() => self.delete_bridge(tag),
            Op::DeleteLink { tag } => gone_is_fine(link::delete(&mut self.route, At::Tag(tag))),
            // About a whole namespace, and told apart before.
            Op::CreateNamespace { .. } | Op::InNamespace { .. } | Op::DeleteNamespace { .. } => {
                Ok(Effect::Unchanged)
            }
        }
    }
}

impl Backend for Kernel {
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError> {
        if self.lost {
            return Err(OpError::new("look at the namespace", Cause::Lost));
        }
        self.look(owner, scope)
    }

    fn execute(&mut self, op: &Op) -> Result<Effect, OpError> {
        if self.lost {
            return Err(OpError::new(first_line(op), Cause::Lost));
        }
        match op {
            // What goes wrong inside is told as it is there.
            Op::CreateNamespace { name, inside, tag } => self.create_namespace(name, inside, tag),
            Op::InNamespace { name, inside, tag } => self.in_namespace(name, inside, tag),
            Op::DeleteNamespace { name, tag } => self.delete_namespace(name, tag),
            op => self.carry_out(op).map_err(|cause| OpError::new(first_line(op), cause)),
        }
    }

    fn delete_links(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        let (is_bridge, mut results) = (|tag: &&Tag| tag.role().is_bridge(), Vec::new());
        for alike in tags.chunk_by(|a, b| is_bridge(a) == is_bridge(b)) {
            results.extend(alike.chunks(self.sweep).flat_map(|chunk| self.delete_together(chunk)));
        }
        results
    }

    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError> {
        let doing = || format!("read the neighbours of {device}");
        let found = links::find(&mut self.route, At::Identity(&device.identity()))
            .map_err(|refusal| refusal.doing(doing()))?;
        let found = found.ok_or_else(|| OpError::new(doing(), Cause::Missing))?;
        neighbour::list(&mut self.route, found.link.index).map_err(|refusal| refusal.doing(doing()))
    }

    fn events(&mut self) -> Result<Events, OpError> {
        events::listen().map_err(|error| Refusal::from(error).doing("listen to the namespace"))
    }

    fn counters(&mut self, device: &Tag) -> Result<Counters, OpError> {
        let doing = || format!("read the counters of {device}");
        links::counters(&mut self.route, At::Identity(&device.identity()))
            .map_err(|refusal| refusal.doing(doing()))?
            .ok_or_else(|| OpError::new(doing(), Cause::Missing))
    }
}

/// The step as one line, for an error.
pub(super) fn first_line(op: &Op) -> String {
    op.to_string().lines().next().unwrap_or_default().to_owned()
}

fn missing(refusal: Refusal) -> Cause {
    match refusal.errno() {
        Some(Errno::ENODEV) => Cause::Missing,
        _ => refusal.into(),
    }
}

pub(super) fn changed(result: Result<(), Refusal>) -> Result<Effect, Cause> {
    result.map(|()| Effect::Changed).map_err(missing)
}

pub(super) fn gone_is_fine(result: Result<(), Refusal>) -> Result<Effect, Cause> {
    match result {
        Ok(()) => Ok(Effect::Changed),
        // What the kernel says of a link, address, route, and neighbour that is not there.
        Err(Refusal::Kernel {
            errno: Errno::ENODEV | Errno::EADDRNOTAVAIL | Errno::ESRCH | Errno::ENOENT,
            ..
        }) => Ok(Effect::Unchanged),
        Err(refusal) => Err(refusal.into()),
    }
}
