//! Making devices, each wholly or not at all.

use super::backend::{Kernel, changed, gone_is_fine};
use super::known::Entries;
use super::link::{self, At, Setup, State};
use super::links;
use super::netlink::Refusal;
use super::tap::NewTap;
use super::{neighbour, sysctl};
use crate::backend::Effect;
use crate::error::{Cause, Errno};
use crate::op::{DeviceSetup, LinkSetting, VethEnd};
use crate::spec::{DeviceName, NamespaceName, Owner, TapOptions, Vxlan};
use crate::tag::{BIRTH_INDEXES, Role, Tag};
use core::time::Duration;
use macaddr::MacAddr6;
use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

/// How often another index is drawn where one is taken.
const INDEX_ATTEMPTS: usize = 4;

impl Kernel {
    pub(super) fn create_bridge(
        &mut self,
        name: &DeviceName,
        mac: MacAddr6,
        mtu: u32,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        // The index is ours from the start, so that what follows finds the device whatever it is called by then.
        let index = self.draw_index();
        link::create_bridge(&mut self.route, index, name, mac, mtu, tag)
            .map_err(|refusal| self.name_taken(name.as_str(), refusal))?;
        // A shard has no addresses, so nothing leaves by it that the host made.
        let settings: &[_] = if tag.role() == Role::Bridge {
            &[LinkSetting::PromoteSecondaries, LinkSetting::RouteLocalnet]
        } else {
            &[]
        };
        let setup = Setup { settings, ..Setup::default() };
        self.finish(index, setup, tag, State::Up)
    }

    pub(super) fn create_vxlan(
        &mut self,
        vxlan: &Vxlan,
        mtu: u32,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        let index = self.draw_index();
        link::create_vxlan(&mut self.route, index, vxlan, mtu, tag)
            .map_err(|refusal| self.name_taken(vxlan.device().as_str(), refusal))?;
        // It comes up when it is a port, since a tunnel that nobody is behind has nothing to carry.
        self.finish(index, Setup::default(), tag, State::Down)
    }

    /// Sets up, tags and brings up what was made exclusively a moment ago; what cannot be finished is taken back.
    fn finish(
        &mut self,
        index: u32,
        setup: Setup<'_>,
        tag: &Tag,
        state: State,
    ) -> Result<Effect, Cause> {
        let (route, at) = (&mut self.route, At::Index(index));
        let finished = link::set_up(route, at, setup, now())
            .and_then(|()| link::tag(route, at, tag))
            .and_then(|()| match state {
                State::Up => link::set_state(route, at, state),
                State::Down => Ok(()),
            });
        finished.map(|()| self.has_made(index)).map_err(|refusal| {
            let cause = self.tag_taken(tag, refusal);
            let _ = link::delete(&mut self.route, at);
            cause
        })
    }

    pub(super) fn create_tap(
        &mut self,
        name: &DeviceName,
        (mac, mtu): (MacAddr6, u32),
        options: TapOptions,
        setup: DeviceSetup,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        // Until `persist` the device goes with its descriptor, whatever fails and wherever we are killed.
        let index = self.draw_index();
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
        // It is born with the usual MTU.
        let mtu = (mtu != 1500).then_some(mtu);
        let wanted = Setup { mac: Some(mac), mtu, ..Setup::of(setup) };
        link::set_up(&mut self.route, at, wanted, now())?;
        self.answer_for_others(index, name, setup)?;
        link::tag(&mut self.route, at, tag).map_err(|refusal| self.tag_taken(tag, refusal))?;
        tap.persist()?;
        Ok(self.has_made(index))
    }

    /// Makes a veth pair: `here` in this kernel's namespace, and `there` in that of `outside` or here too.
    pub(super) fn create_veth(
        &mut self,
        here: &VethEnd,
        there: &VethEnd,
        mtu: u32,
        outside: Option<(&mut Self, &NamespaceName)>,
    ) -> Result<Effect, Cause> {
        let (mut outside, leads_to) = match outside {
            Some((outside, name)) => (Some(outside), Some(name)),
            None => (None, None),
        };
        let here_index = self.draw_index();
        let there_index = match outside.as_deref_mut() {
            Some(outside) => outside.draw_index(),
            None => self.draw_index(),
        };
        let home = outside.as_deref().map(|outside| outside.home.try_clone()).transpose();
        let home = home.map_err(Refusal::from)?;
        let ends = ((here, here_index), (there, there_index));
        let born = link::create_veth(
            &mut self.route,
            ends.0,
            ends.1,
            home.as_ref().map(std::os::fd::AsFd::as_fd),
            mtu,
        );
        born.map_err(|refusal| {
            // One of the two names is taken, and the kernel does not say which.
            let there_kernel = outside.as_deref_mut().unwrap_or(self);
            match there_kernel.name_taken(there.name.as_str(), refusal.clone()) {
                taken @ Cause::NameTaken { .. } => taken,
                _ => self.name_taken(here.name.as_str(), refusal),
            }
        })?;
        let finished = self
            .finish_end(here, here_index, None)
            .and_then(|()| outside.unwrap_or(self).finish_end(there, there_index, leads_to));
        finished.map(|()| Effect::Changed).inspect_err(|_| {
            // The other end goes with it.
            let _ = link::delete(&mut self.route, At::Index(here_index));
        })
    }

    fn finish_end(
        &mut self,
        end: &VethEnd,
        index: u32,
        leads_to: Option<&NamespaceName>,
    ) -> Result<(), Cause> {
        let at = At::Index(index);
        let setup = Setup { group: None, leads_to, ..Setup::of(end.setup) };
        link::set_up(&mut self.route, at, setup, now())?;
        self.answer_for_others(index, &end.name, end.setup)?;
        link::tag(&mut self.route, at, &end.tag)
            .map_err(|refusal| self.tag_taken(&end.tag, refusal))?;
        self.has_made(index);
        Ok(())
    }

    /// Lets a routed guest's device answer for what is elsewhere.
    fn answer_for_others(
        &mut self,
        index: u32,
        name: &DeviceName,
        setup: DeviceSetup,
    ) -> Result<(), Cause> {
        if setup.proxy {
            neighbour::answer_at_once(&mut self.route, index)?;
            let route = &mut self.route;
            sysctl::enable_proxy_ndp(name.as_str(), || {
                let found = links::find(route, At::Index(index))?;
                Ok(found.is_some_and(|found| found.link.name == name.as_str()))
            })?;
        }
        Ok(())
    }

    pub(super) fn delete_half_made(&mut self, index: u32, owner: &Owner) -> Result<Effect, Cause> {
        match links::find(&mut self.route, At::Index(index))? {
            // Tagged by now, or another device: not the one that was meant.
            Some(found) if found.link.is_half_made(owner) => {
                gone_is_fine(link::delete(&mut self.route, At::Index(index)))
            }
            _ => Ok(Effect::Unchanged),
        }
    }

    pub(super) fn attach(
        &mut self,
        port: &Tag,
        bridge: &Tag,
        isolated: bool,
    ) -> Result<Effect, Cause> {
        let bridge = self.index(bridge)?;
        let at = At::Tag(port);
        changed(link::set_master(&mut self.route, at, bridge))?;
        // No frame passes before it is known where it may go.
        changed(link::set_port(&mut self.route, at, isolated, State::Up)).inspect_err(|_| {
            let _ = link::set_master(&mut self.route, at, 0);
        })
    }

    /// Notes that nothing leads to a device that is new.
    fn has_made(&mut self, index: u32) -> Effect {
        self.known.note(index, Entries::default());
        Effect::Changed
    }

    /// Makes a device; once more, from elsewhere on, where another has the index that was drawn.
    pub(super) fn make(
        &mut self,
        mut make: impl FnMut(&mut Self) -> Result<Effect, Cause>,
    ) -> Result<Effect, Cause> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match make(self) {
                // A name or tag that is taken is another error.
                Err(Cause::Errno { errno: Errno::EEXIST, .. }) if attempts < INDEX_ATTEMPTS => {
                    self.next_index = random_index();
                }
                done => return done,
            }
        }
    }

    /// An index for the next device. They count up, since the kernel searches sparse ones slowly.
    const fn draw_index(&mut self) -> u32 {
        let index = self.next_index;
        self.next_index =
            if index + 1 < BIRTH_INDEXES.end { index + 1 } else { BIRTH_INDEXES.start };
        index
    }

    /// Says who has a name that the kernel refused as taken.
    pub(super) fn name_taken(&mut self, name: &str, refusal: Refusal) -> Cause {
        if refusal.errno() == Some(Errno::EEXIST)
            && let Ok(Some(found)) = links::find(&mut self.route, At::Name(name))
        {
            return Cause::NameTaken { name: name.to_owned(), by: found.link.describe() };
        }
        refusal.into()
    }

    /// Says which device has a tag that the kernel refused as taken.
    fn tag_taken(&mut self, tag: &Tag, refusal: Refusal) -> Cause {
        if refusal.errno() == Some(Errno::EEXIST)
            && let Ok(Some(found)) = links::find(&mut self.route, At::Identity(&tag.identity()))
        {
            return Cause::NameTaken { name: tag.to_string(), by: found.link.describe() };
        }
        refusal.into()
    }
}

/// A link group that nothing is in: drawn from half a billion, far from the small numbers that people use.
pub(super) fn scratch_group() -> u32 {
    random() | 0x4000_0000
}

/// Where a kernel starts to give indexes: at one of half a billion, far from those that the system counts up.
pub(super) fn random_index() -> u32 {
    BIRTH_INDEXES.start + random() % (BIRTH_INDEXES.end - BIRTH_INDEXES.start)
}

/// 29 random bits.
fn random() -> u32 {
    // The standard library's only source of randomness.
    u32::try_from(RandomState::new().hash_one(0) >> 35).unwrap_or_default()
}

/// The time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
