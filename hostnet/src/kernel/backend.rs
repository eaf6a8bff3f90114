use super::link::{self, At, Setup, State};
use super::netlink::{Netlink, Refusal};
use super::nft::Nft;
use super::tap::NewTap;
use super::{address, neighbour, sysctl};
use crate::backend::{Backend, Effect, Neighbour, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::firewall::TableName;
use crate::observed::{Coverage, Link, LinkAddress, Observed};
use crate::op::{LinkChange, Op};
use crate::spec::{DeviceName, Owner, TapOptions};
use crate::tag::{Role, Tag};
use core::time::Duration;
use macaddr::MacAddr6;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

/// How many devices go together. The kernel's network lock is held all the while, by which everybody else waits: about
/// 50 ms for 32 devices.
const SWEEP: usize = 32;

/// The kernel, in the network namespace of the thread that opened it and uses it.
#[derive(Debug)]
pub(crate) struct Kernel {
    route: Netlink,
    nft: Nft,
}

impl Kernel {
    pub(crate) fn open() -> std::io::Result<Self> {
        Ok(Self { route: Netlink::open(NETLINK_ROUTE)?, nft: Nft::open()? })
    }

    fn links(&mut self, scope: &Scope) -> Result<Vec<Link>, Refusal> {
        let mut addresses: HashMap<u32, Vec<LinkAddress>> = HashMap::new();
        for (index, address) in address::list(&mut self.route)? {
            addresses.entry(index).or_default().push(address);
        }
        let mut links = match scope {
            Scope::Everything => link::list(&mut self.route)?,
            Scope::Named { tags, names } => {
                let tags = tags.iter().map(At::Tag);
                let names = names.iter().map(|name| At::Name(name.as_str()));
                // A device with addresses may be in the way of a network, whatever it is called.
                let in_the_way = addresses.keys().map(|index| At::Index(*index));
                let (mut links, mut seen) = (Vec::new(), HashSet::new());
                for at in tags.chain(names).chain(in_the_way) {
                    let found = link::find(&mut self.route, at)?;
                    links.extend(found.filter(|link| seen.insert(link.index)));
                }
                links
            }
        };
        for link in &mut links {
            link.addresses = addresses.remove(&link.index).unwrap_or_default();
        }
        Ok(links)
    }

    fn create_bridge(
        &mut self,
        name: &DeviceName,
        mac: MacAddr6,
        mtu: Option<u32>,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        // The index is ours from the start, so that what follows finds the device whatever it is called by then.
        let index = random_index();
        link::create_bridge(&mut self.route, index, name, mac, mtu, tag)
            .map_err(|refusal| self.name_taken(name.as_str(), refusal))?;
        let (at, setup) = (At::Index(index), Setup { mac: None, mtu: None, bridge: true });
        let finished = link::set_up(&mut self.route, at, setup, now())
            .and_then(|()| link::tag(&mut self.route, at, tag))
            .and_then(|()| link::set_state(&mut self.route, at, State::Up));
        finished.map(|()| Effect::Changed).map_err(|refusal| {
            // It was made exclusively a moment ago; what cannot be finished is taken back.
            let cause = self.tag_taken(tag, refusal);
            let _ = link::delete(&mut self.route, at);
            cause
        })
    }

    fn create_tap(
        &mut self,
        name: &DeviceName,
        options: TapOptions,
        setup: Setup,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        // Until `persist` the device goes with its descriptor, whatever fails and wherever we are killed.
        let index = random_index();
        let tap = NewTap::with_index(index)?;
        tap.create(name, options).map_err(|errno| match errno {
            // What the kernel says of a name that a TAP or another device has.
            Errno::EBUSY | Errno::EEXIST | Errno::EINVAL => {
                let refusal = Refusal::Kernel { errno: Errno::EEXIST, message: None };
                self.name_taken(name.as_str(), refusal)
            }
            errno => errno.into(),
        })?;
        tap.give(options)?;
        let at = At::Index(index);
        link::set_up(&mut self.route, at, setup, now())?;
        link::tag(&mut self.route, at, tag).map_err(|refusal| self.tag_taken(tag, refusal))?;
        tap.persist()?;
        Ok(Effect::Changed)
    }

    /// Deletes a bridge that has no ports any more. They may have come since it was planned.
    fn delete_bridge(&mut self, tag: &Tag) -> Result<Effect, Cause> {
        let Some(bridge) = link::find(&mut self.route, At::Tag(tag))? else {
            return Ok(Effect::Unchanged);
        };
        let ports = link::ports(&mut self.route, bridge.index)?;
        if !ports.is_empty() {
            return Err(Cause::InUse { ports });
        }
        gone_is_fine(link::delete(&mut self.route, At::Tag(tag)))
    }

    fn delete_half_made(&mut self, index: u32, owner: &Owner) -> Result<Effect, Cause> {
        match link::find(&mut self.route, At::Index(index))? {
            // Tagged by now, or another device: not the one that was meant.
            Some(link) if link.is_half_made(owner, "bridge") => {
                gone_is_fine(link::delete(&mut self.route, At::Index(index)))
            }
            _ => Ok(Effect::Unchanged),
        }
    }

    fn change(&mut self, tag: &Tag, change: &LinkChange) -> Result<(), Cause> {
        let at = At::Tag(tag);
        let route = &mut self.route;
        let changed = match change {
            LinkChange::Name { to, .. } => {
                let link = link::find(route, at)?.ok_or(Cause::Missing)?;
                let renamed = link::rename(route, link.index, to);
                return renamed.map_err(|refusal| self.name_taken(to, refusal));
            }
            LinkChange::Mac { to, .. } => link::set_mac(route, at, *to),
            LinkChange::Mtu { to, .. } => link::set_mtu(route, at, *to),
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
    fn sweep(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        if tags.len() == 1 || tags.iter().any(|tag| tag.role() == Role::Bridge) {
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
    fn index(&mut self, tag: &Tag) -> Result<u32, Cause> {
        Ok(link::find(&mut self.route, At::Tag(tag))?.ok_or(Cause::Missing)?.index)
    }

    /// Says who has a name that the kernel refused as taken.
    fn name_taken(&mut self, name: &str, refusal: Refusal) -> Cause {
        if refusal.errno() == Some(Errno::EEXIST)
            && let Ok(Some(link)) = link::find(&mut self.route, At::Name(name))
        {
            return Cause::NameTaken { name: name.to_owned(), by: link.describe() };
        }
        refusal.into()
    }

    /// Says which device has a tag that the kernel refused as taken.
    fn tag_taken(&mut self, tag: &Tag, refusal: Refusal) -> Cause {
        if refusal.errno() == Some(Errno::EEXIST)
            && let Ok(Some(link)) = link::find(&mut self.route, At::Tag(tag))
        {
            return Cause::NameTaken { name: tag.to_string(), by: link.describe() };
        }
        refusal.into()
    }
}

impl Backend for Kernel {
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError> {
        let table = TableName::new(owner.clone());
        let doing = |what| move |refusal: Refusal| refusal.doing(what);
        // The table before the devices: what is made comes in the other order, so a subject that has elements but no
        // device is one whose devices are gone.
        let table = self.nft.observe(&table).map_err(doing("read the firewall table"))?;
        Ok(Observed {
            owner: owner.clone(),
            coverage: match scope {
                Scope::Everything => Coverage::Everything,
                Scope::Named { .. } => Coverage::Named,
            },
            table,
            links: self.links(scope).map_err(doing("read the devices"))?,
            forwarding: sysctl::forwarding().map_err(doing("read what is forwarded"))?,
        })
    }

    fn execute(&mut self, op: &Op) -> Result<Effect, OpError> {
        let route = &mut self.route;
        let result: Result<Effect, Cause> = match op {
            Op::EnableForwarding { family } => changed(sysctl::enable_forwarding(*family)),
            Op::CreateTable { table } => self.nft.create_table(table),
            Op::RemoveTable { table } => self.nft.remove_table(table),
            Op::CreateBridge { name, mac, mtu, tag } => self.create_bridge(name, *mac, *mtu, tag),
            Op::DeleteHalfMade { index, owner, .. } => self.delete_half_made(*index, owner),
            Op::CreateTap { name, mac, mtu, options, tag } => {
                let setup = Setup { mac: Some(*mac), mtu: *mtu, bridge: false };
                self.create_tap(name, *options, setup, tag)
            }
            Op::AttachPort { port, bridge, .. } => self
                .index(bridge)
                .and_then(|bridge| changed(link::attach(&mut self.route, At::Tag(port), bridge))),
            Op::RestorePort { port, to } => {
                let state = if to.up { State::Up } else { State::Down };
                changed(link::restore_port(route, At::Tag(port), to.master, state))
            }
            Op::SetLink { tag, change } => self.change(tag, change).map(|()| Effect::Changed),
            Op::AddAddress { tag, address } => self
                .index(tag)
                .and_then(|index| changed(address::add(&mut self.route, index, *address))),
            Op::RemoveAddress { tag, address } => match self.index(tag) {
                Ok(index) => gone_is_fine(address::remove(&mut self.route, index, *address)),
                Err(Cause::Missing) => Ok(Effect::Unchanged),
                Err(cause) => Err(cause),
            },
            Op::AddElement { table, element, tag } => self.nft.add(table, element, tag),
            Op::RemoveElement { table, element, tag } => self.nft.remove(table, element, tag),
            Op::DeleteLink { tag } if tag.role() == Role::Bridge => self.delete_bridge(tag),
            Op::DeleteLink { tag } => gone_is_fine(link::delete(route, At::Tag(tag))),
        };
        result.map_err(|cause| OpError::new(first_line(op), cause))
    }

    fn delete_links(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        let (is_bridge, mut results) = (|tag: &&Tag| tag.role() == Role::Bridge, Vec::new());
        for alike in tags.chunk_by(|a, b| is_bridge(a) == is_bridge(b)) {
            results.extend(alike.chunks(SWEEP).flat_map(|chunk| self.sweep(chunk)));
        }
        results
    }

    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError> {
        let doing = || format!("read the neighbours of {device}");
        let index = self.index(device).map_err(|cause| OpError::new(doing(), cause))?;
        neighbour::list(&mut self.route, index).map_err(|refusal| refusal.doing(doing()))
    }
}

/// A link group that nothing is in: drawn from half a billion, far from the small numbers that people use.
fn scratch_group() -> u32 {
    random() | 0x4000_0000
}

/// An index that no device has: drawn from half a billion, far from those the kernel counts up.
fn random_index() -> u32 {
    random() | 0x2000_0000
}

/// 29 random bits.
fn random() -> u32 {
    // The standard library's only source of randomness.
    u32::try_from(RandomState::new().hash_one(0) >> 35).unwrap_or_default()
}

/// The step as one line, for an error.
fn first_line(op: &Op) -> String {
    op.to_string().lines().next().unwrap_or_default().to_owned()
}

fn missing(refusal: Refusal) -> Cause {
    match refusal.errno() {
        Some(Errno::ENODEV) => Cause::Missing,
        _ => refusal.into(),
    }
}

fn changed(result: Result<(), Refusal>) -> Result<Effect, Cause> {
    result.map(|()| Effect::Changed).map_err(missing)
}

fn gone_is_fine(result: Result<(), Refusal>) -> Result<Effect, Cause> {
    match result {
        Ok(()) => Ok(Effect::Changed),
        Err(Refusal::Kernel { errno: Errno::ENODEV | Errno::EADDRNOTAVAIL, .. }) => {
            Ok(Effect::Unchanged)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
