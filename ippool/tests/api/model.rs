//! A pool without any cleverness: what the crate promises, as plain lists.

use core::time::Duration;
use std::collections::BTreeMap;

use ippool::{How, Owner, Policy, Pool, Pressure, Space};

/// What can be done to a pool. Items are given by their ordinal's offset from the first.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Allocate(u8),
    Once(u8),
    Where(u8, u128),
    Many(u8, usize),
    Run(u8, u32),
    Exact(u128, u8),
    Release(u128, u8),
    ReleaseAll(u8),
    /// The seed stands for the draws.
    Random(u8, u64),
    Rebuild(Vec<(u128, u8)>),
    Expire,
    Wait(u64),
    /// The clock is set back.
    Back(u64),
    Restart,
    /// Into a pool of another policy.
    RestartAs(Policy),
    Policy(Policy),
    Pressure(Pressure),
    Cooldown(u64),
    Sticky,
}

impl Op {
    /// The same by the one owner there is.
    pub(crate) fn unowned(self) -> Self {
        match self {
            Self::Allocate(_) => Self::Allocate(0),
            Self::Once(_) => Self::Once(0),
            Self::Where(_, index) => Self::Where(0, index),
            Self::Many(_, count) => Self::Many(0, count),
            Self::Run(_, count) => Self::Run(0, count),
            Self::Exact(item, _) => Self::Exact(item, 0),
            Self::Release(item, _) => Self::Release(item, 0),
            Self::ReleaseAll(_) => Self::ReleaseAll(0),
            Self::Random(_, seed) => Self::Random(0, seed),
            Self::Rebuild(existing) => {
                Self::Rebuild(existing.into_iter().map(|(item, _)| (item, 0)).collect())
            }
            // An owner gets nothing back where there is only one.
            Self::Sticky => Self::Expire,
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Held(u8),
    Cooling,
    Spent,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub policy: Policy,
    pub pressure: Pressure,
    pub cooldown: u64,
    pub sticky: bool,
}

/// Owners of a pool that records them, and of one that does not.
pub(crate) trait Token: Owner {
    const TRACKED: bool;

    fn of(owner: u8) -> Self;
}

impl Token for u8 {
    const TRACKED: bool = true;

    fn of(owner: u8) -> Self {
        owner
    }
}

impl Token for () {
    const TRACKED: bool = false;

    fn of(_: u8) {}
}

impl Settings {
    pub(crate) fn pool<S: Space, O: Token>(self, space: S) -> Pool<S, O> {
        let pool = Pool::new(space)
            .with_policy(self.policy)
            .with_pressure(self.pressure)
            .with_cooldown(Duration::from_secs(self.cooldown));
        if self.sticky { pool.with_sticky_owners() } else { pool }
    }
}

/// The naive pool: a map of what was ever touched, searched from end to end.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub settings: Settings,
    pub capacity: u128,
    /// What was ever touched.
    pub slots: BTreeMap<u128, Slot>,
    pub cursor: u128,
    /// Index and deadline.
    pub resting: Vec<(u128, Duration)>,
    pub idle: Vec<u128>,
    pub former: BTreeMap<u8, u128>,
}

/// Two models with the same key do the same from now on: times count from now, and what the policy
/// does not look at is left out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    policy: Policy,
    cooldown: u64,
    slots: BTreeMap<u128, Slot>,
    cursor: u128,
    resting: Vec<(u128, Duration)>,
    idle: Vec<u128>,
    former: BTreeMap<u8, u128>,
}

pub(crate) type Granted = (u128, How);

impl Model {
    pub(crate) const fn new(settings: Settings, capacity: u128) -> Self {
        Self {
            settings,
            capacity,
            slots: BTreeMap::new(),
            cursor: 0,
            resting: Vec::new(),
            idle: Vec::new(),
            former: BTreeMap::new(),
        }
    }

    pub(crate) fn key(&self, now: Duration) -> Key {
        let Self { settings, slots, cursor, resting, idle, former, .. } = self.clone();
        let Settings { policy, cooldown, sticky, .. } = settings;
        Key {
            policy,
            cooldown,
            slots,
            cursor: if policy == Policy::NextFit { cursor } else { 0 },
            resting: resting
                .into_iter()
                .map(|(index, until)| (index, until.saturating_sub(now)))
                .collect(),
            idle: if policy == Policy::LongestIdle { idle } else { Vec::new() },
            former: if sticky { former } else { BTreeMap::new() },
        }
    }

    pub(crate) fn is_free(&self, index: u128) -> bool {
        matches!(self.slots.get(&index), None | Some(Slot::Spent))
    }

    pub(crate) fn held(&self) -> u128 {
        self.slots.values().filter(|slot| matches!(slot, Slot::Held(_))).count() as u128
    }

    pub(crate) fn free(&self) -> u128 {
        self.capacity - self.held() - self.resting.len() as u128
    }

    pub(crate) fn expire(&mut self, now: Duration) -> usize {
        let before = self.resting.len();
        while let Some(&(index, until)) = self.resting.first() {
            if until > now {
                break;
            }
            self.resting.remove(0);
            self.slots.insert(index, Slot::Spent);
            self.idle.push(index);
        }
        before - self.resting.len()
    }

    pub(crate) fn take(&mut self, index: u128, owner: u8) {
        self.resting.retain(|(other, _)| *other != index);
        self.idle.retain(|other| *other != index);
        self.former.retain(|_, other| *other != index);
        self.slots.insert(index, Slot::Held(owner));
    }

    pub(crate) fn allocate(&mut self, owner: u8, now: Duration, refused: u128) -> Option<Granted> {
        if self.settings.sticky
            && let Some(&index) = self.former.get(&owner)
            && index != refused
        {
            self.take(index, owner);
            return Some((index, How::Returned));
        }
        let usable = |index: &u128| self.is_free(*index) && *index != refused;
        let fresh = |index: &u128| !self.slots.contains_key(index) && *index != refused;
        let any_fresh = self.free() > self.idle.len() as u128;
        let found = match self.settings.policy {
            Policy::NextFit => (self.cursor..self.capacity).chain(0..self.cursor).find(usable),
            Policy::LongestIdle => (0..self.capacity)
                .take_while(|_| any_fresh)
                .find(fresh)
                .or_else(|| self.idle.iter().copied().find(|index| *index != refused)),
            _ => (0..self.capacity).find(usable),
        };
        if let Some(index) = found {
            self.cursor = index + 1;
            self.take(index, owner);
            return Some((index, How::Vacant));
        }
        if self.settings.pressure == Pressure::ReuseOldest {
            let &(index, until) = self.resting.iter().find(|(index, _)| *index != refused)?;
            self.take(index, owner);
            return Some((index, How::Early { remaining: until.saturating_sub(now) }));
        }
        None
    }

    /// Takes an item back and keeps it until `until`, or not at all.
    pub(crate) fn release(&mut self, index: u128, owner: u8, until: Option<Duration>) {
        self.former.insert(owner, index);
        if let Some(until) = until {
            self.slots.insert(index, Slot::Cooling);
            let behind = self.resting.partition_point(|(_, other)| *other <= until);
            self.resting.insert(behind, (index, until));
        } else {
            self.slots.insert(index, Slot::Spent);
            self.idle.push(index);
        }
    }

    /// Every free item is as if it had never been held.
    pub(crate) fn forget(&mut self) {
        self.slots.retain(|_, slot| *slot != Slot::Spent);
        self.idle.clear();
    }

    pub(crate) fn first_of(&self, owner: u8) -> Vec<u128> {
        let held = self.slots.iter().filter(|(_, slot)| **slot == Slot::Held(owner));
        held.map(|(index, _)| *index).collect()
    }
}
