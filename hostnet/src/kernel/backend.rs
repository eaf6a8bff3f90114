use super::link::{self, At, Setup, State};
use super::netlink::{Netlink, Refusal};
use super::nft::Nft;
use super::tap::NewTap;
use super::{address, neighbour, sysctl};
use crate::backend::{Backend, Neighbour, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::firewall::TableName;
use crate::observed::{Coverage, Link, Observed};
use crate::op::{LinkChange, Op};
use crate::spec::{DeviceName, Owner};
use crate::tag::Tag;
use core::time::Duration;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use std::collections::HashMap;
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
        match scope {
            Scope::Everything => {
                let mut links = link::list(&mut self.route)?;
                let mut addresses: HashMap<_, Vec<_>> = HashMap::new();
                for (index, address) in address::list(&mut self.route, None)? {
                    addresses.entry(index).or_default().push(address);
                }
                for link in &mut links {
                    link.addresses = addresses.remove(&link.index).unwrap_or_default();
                }
                Ok(links)
            }
            Scope::Named { tags, names } => {
                let tags = tags.iter().map(At::Tag);
                let names = names.iter().map(|name| At::Name(name.as_str()));
                let mut links: Vec<Link> = Vec::new();
                for at in tags.chain(names) {
                    let Some(mut link) = link::find(&mut self.route, at)? else {
                        continue;
                    };
                    if links.iter().any(|known| known.index == link.index) {
                        continue;
                    }
                    // Only bridges are given addresses; asking for a TAP's would cost as much as finding it.
                    if link.kind == "bridge" {
                        let addresses = address::list(&mut self.route, Some(link.index))?;
                        link.addresses = addresses.into_iter().map(|(_, a)| a).collect();
                    }
                    links.push(link);
                }
                Ok(links)
            }
        }
    }

    fn create_bridge(&mut self, op: &Op) -> Result<(), Cause> {
        let Op::CreateBridge { name, mac, mtu, tag } = op else {
            return Ok(());
        };
        link::create_bridge(&mut self.route, name, *mac, *mtu, tag)
            .map_err(|refusal| self.name_taken(name.as_str(), refusal))?;
        let setup = Setup { mac: None, mtu: None, route_localnet: true };
        let finished = link::set_up(&mut self.route, At::Name(name.as_str()), setup, now())
            .and_then(|()| link::tag(&mut self.route, At::Name(name.as_str()), tag));
        if let Err(refusal) = finished {
            // It was made exclusively a moment ago and has no tag yet: only its name can be gone by now.
            let untagged = link::find(&mut self.route, At::Name(name.as_str()))?;
            if let Some(half) = untagged.filter(|half| half.is_half_made(tag.owner(), "bridge")) {
                link::delete(&mut self.route, At::Index(half.index))?;
            }
            return Err(self.tag_taken(tag, refusal));
        }
        Ok(link::set_state(&mut self.route, At::Tag(tag), State::Up)?)
    }

    fn create_tap(&mut self, op: &Op) -> Result<(), Cause> {
        let Op::CreateTap { name, mac, mtu, options, tag } = op else {
            return Ok(());
        };
        // Until `persist` the device goes with its descriptor, whatever fails and wherever we are killed.
        let tap = NewTap::create(name, *options).map_err(|cause| match cause {
            Cause::Errno { errno: Errno::EBUSY | Errno::EEXIST | Errno::EINVAL, .. } => {
                let refusal = Refusal::Kernel { errno: Errno::EEXIST, message: None };
                self.name_taken(name.as_str(), refusal)
            }
            other => other,
        })?;
        let setup = Setup { mac: Some(*mac), mtu: *mtu, route_localnet: false };
        link::set_up(&mut self.route, At::Name(name.as_str()), setup, now())?;
        link::tag(&mut self.route, At::Name(name.as_str()), tag)
            .map_err(|refusal| self.tag_taken(tag, refusal))?;
        Ok(tap.persist()?)
    }

    fn tag_half_made(&mut self, name: &DeviceName, tag: &Tag) -> Result<(), Cause> {
        let at = At::Name(name.as_str());
        let link = link::find(&mut self.route, at)?.ok_or(Cause::Missing)?;
        if !link.is_half_made(tag.owner(), "bridge") {
            return Err(Cause::NameTaken { name: name.to_string(), by: link.describe() });
        }
        let tagged = link::tag(&mut self.route, At::Index(link.index), tag);
        tagged.map_err(|refusal| self.tag_taken(tag, refusal))
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
    fn sweep(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        if let [tag] = tags {
            return vec![self.execute(&Op::DeleteLink { tag: (*tag).clone() })];
        }
        let group = scratch_group();
        let route = &mut self.route;
        let marked: Vec<_> =
            tags.iter().map(|tag| link::set_group(route, At::Tag(tag), group)).collect();
        let swept = if marked.iter().any(Result::is_ok) {
            gone_is_fine(link::delete_group(route, group))
        } else {
            Ok(())
        };
        let outcome = |(tag, marked): (&&Tag, Result<(), Refusal>)| {
            let result = gone_is_fine(marked).and_then(|()| swept.clone());
            result.map_err(|cause| OpError::new(format!("ip link del '{tag}'"), cause))
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
        Ok(Observed {
            owner: owner.clone(),
            coverage: match scope {
                Scope::Everything => Coverage::Everything,
                Scope::Named { .. } => Coverage::Named,
            },
            links: self.links(scope).map_err(doing("read the devices"))?,
            table: self.nft.observe(&table).map_err(doing("read the firewall table"))?,
            forwarding: sysctl::forwarding().map_err(doing("read what is forwarded"))?,
        })
    }

    fn execute(&mut self, op: &Op) -> Result<(), OpError> {
        let route = &mut self.route;
        let result: Result<(), Cause> = match op {
            Op::EnableForwarding { family } => {
                sysctl::enable_forwarding(*family).map_err(Cause::from)
            }
            Op::CreateTable { table } => self.nft.create_table(table),
            Op::RemoveTable { table } => self.nft.remove_table(table),
            Op::CreateBridge { .. } => self.create_bridge(op),
            Op::TagHalfMade { name, tag } => self.tag_half_made(name, tag),
            Op::CreateTap { .. } => self.create_tap(op),
            Op::AttachPort { port, bridge } => self.index(bridge).and_then(|bridge| {
                link::attach(&mut self.route, At::Tag(port), bridge).map_err(missing)
            }),
            Op::DetachPort { port, .. } => link::detach(route, At::Tag(port)).map_err(missing),
            Op::SetLink { tag, change } => self.change(tag, change),
            Op::AddAddress { tag, address } => self
                .index(tag)
                .and_then(|index| Ok(address::add(&mut self.route, index, *address)?)),
            Op::RemoveAddress { tag, address } => match self.index(tag) {
                Ok(index) => gone_is_fine(address::remove(&mut self.route, index, *address)),
                Err(Cause::Missing) => Ok(()),
                Err(cause) => Err(cause),
            },
            Op::AddElement { table, element, tag } => self.nft.add(table, element, tag),
            Op::RemoveElement { table, element, tag } => self.nft.remove(table, element, tag),
            Op::DeleteLink { tag } => gone_is_fine(link::delete(route, At::Tag(tag))),
        };
        result.map_err(|cause| OpError::new(first_line(op), cause))
    }

    fn delete_links(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        tags.chunks(SWEEP).flat_map(|chunk| self.sweep(chunk)).collect()
    }

    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError> {
        let doing = || format!("read the neighbours of {device}");
        let index = self.index(device).map_err(|cause| OpError::new(doing(), cause))?;
        neighbour::list(&mut self.route, index).map_err(|refusal| refusal.doing(doing()))
    }
}

/// A link group that nothing is in: drawn from two billion, far from the small numbers that people use.
fn scratch_group() -> u32 {
    // The standard library's only source of randomness.
    let random = RandomState::new().hash_one(0);
    u32::try_from(random >> 34).unwrap_or_default() | 0x4000_0000
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

fn gone_is_fine(result: Result<(), Refusal>) -> Result<(), Cause> {
    match result {
        Err(Refusal::Kernel { errno: Errno::ENODEV | Errno::EADDRNOTAVAIL, .. }) => Ok(()),
        other => Ok(other?),
    }
}

/// The time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
