//! A pool without any cleverness, and a comparison of the two step by step.

use core::num::NonZero;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use ippool::{
    AllocateError, ExactError, Grant, How, Place, Policy, Pool, Pressure, ReleaseError, Released,
    Space,
};

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
    Wait(u64),
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
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

impl Settings {
    pub(crate) fn pool<S: Space>(self, space: S) -> Pool<S, u8> {
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
    settings: Settings,
    capacity: u128,
    slots: BTreeMap<u128, Slot>,
    cursor: u128,
    /// Index and deadline.
    resting: Vec<(u128, Duration)>,
    idle: Vec<u128>,
    former: HashMap<u8, u128>,
}

type Granted = (u128, How);

impl Model {
    pub(crate) fn new(settings: Settings, capacity: u128) -> Self {
        Self {
            settings,
            capacity,
            slots: BTreeMap::new(),
            cursor: 0,
            resting: Vec::new(),
            idle: Vec::new(),
            former: HashMap::new(),
        }
    }

    fn is_free(&self, index: u128) -> bool {
        matches!(self.slots.get(&index), None | Some(Slot::Spent))
    }

    fn held(&self) -> u128 {
        self.slots.values().filter(|slot| matches!(slot, Slot::Held(_))).count() as u128
    }

    fn free(&self) -> u128 {
        self.capacity - self.held() - self.resting.len() as u128
    }

    fn expire(&mut self, now: Duration) {
        while let Some(&(index, until)) = self.resting.first() {
            if until > now {
                break;
            }
            self.resting.remove(0);
            self.slots.insert(index, Slot::Spent);
            self.idle.push(index);
        }
    }

    fn take(&mut self, index: u128, owner: u8) {
        self.resting.retain(|(other, _)| *other != index);
        self.idle.retain(|other| *other != index);
        self.former.retain(|_, other| *other != index);
        self.slots.insert(index, Slot::Held(owner));
    }

    fn allocate(&mut self, owner: u8, now: Duration, refused: u128) -> Option<Granted> {
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

    fn release(&mut self, index: u128, owner: u8, now: Duration) -> Released {
        self.former.insert(owner, index);
        if self.settings.cooldown == 0 {
            self.slots.insert(index, Slot::Spent);
            self.idle.push(index);
            return Released::Free;
        }
        let until = now + Duration::from_secs(self.settings.cooldown);
        self.slots.insert(index, Slot::Cooling);
        self.resting.push((index, until));
        Released::Cooling { until }
    }

    fn first_of(&self, owner: u8) -> Vec<u128> {
        let held = self.slots.iter().filter(|(_, slot)| **slot == Slot::Held(owner));
        held.map(|(index, _)| *index).collect()
    }
}

/// Both, kept in step.
#[derive(Clone, Debug)]
pub(crate) struct Pair<S: Space> {
    space: S,
    settings: Settings,
    pub pool: Pool<S, u8>,
    model: Model,
    now: Duration,
}

impl<S: Space + Clone + core::fmt::Debug> Pair<S> {
    pub(crate) fn new(space: S, settings: Settings) -> Self {
        let capacity = space.layout().capacity();
        Self {
            pool: settings.pool(space.clone()),
            model: Model::new(settings, capacity),
            space,
            settings,
            now: Duration::from_secs(1_000),
        }
    }

    fn item(&self, index: u128) -> S::Item {
        self.space.item(self.space.layout().ordinal(index))
    }

    fn plain(&self, grant: Grant<S::Item>) -> Granted {
        let ordinal = self.space.ordinal(grant.item).unwrap();
        match self.space.layout().place(ordinal) {
            Place::Index(index) => (index, grant.how),
            place => panic!("{} was handed out, which is {place:?}", grant.item),
        }
    }

    /// Does the same to both and compares what they say.
    pub(crate) fn step(&mut self, op: &Op) {
        let now = self.now;
        if !matches!(op, Op::Wait(_) | Op::Restart) {
            self.model.expire(now);
        }
        match *op {
            Op::Allocate(owner) => {
                let got = self.pool.allocate(owner, now);
                self.compare(got, |model| model.allocate(owner, now, u128::MAX));
            }
            Op::Once(owner) => self.once(owner),
            Op::Where(owner, refused) => {
                let item = (refused < self.model.capacity).then(|| self.item(refused));
                let got = self.pool.allocate_where(owner, now, |other| Some(other) != item);
                self.compare(got, |model| model.allocate(owner, now, refused));
            }
            Op::Many(owner, count) => self.many(owner, count),
            Op::Run(owner, count) => self.run(owner, count),
            Op::Exact(offset, owner) => self.exact(offset, owner),
            Op::Release(offset, owner) => self.release(offset, owner),
            Op::ReleaseAll(owner) => {
                let indexes = self.model.first_of(owner);
                let items: Vec<_> = indexes.iter().map(|&index| self.item(index)).collect();
                for index in indexes {
                    self.model.release(index, owner, now);
                }
                assert_eq!(self.pool.release_all(owner, now), items);
            }
            Op::Wait(seconds) => self.now += Duration::from_secs(seconds),
            Op::Restart => {
                let snapshot = self.pool.snapshot();
                let pool = self.settings.pool(self.space.clone());
                self.pool = pool.restore(&snapshot).unwrap();
                assert_eq!(self.pool.snapshot().held, snapshot.held);
                if self.settings.policy != Policy::LongestIdle {
                    self.model.slots.retain(|_, slot| *slot != Slot::Spent);
                }
            }
        }
        self.check();
    }

    fn compare(
        &mut self,
        got: Result<Grant<S::Item>, AllocateError>,
        expected: impl FnOnce(&mut Model) -> Option<Granted>,
    ) {
        let (free, next) = (self.model.free(), self.model.resting.first().map(|(_, until)| *until));
        match (got, expected(&mut self.model)) {
            (Ok(grant), Some(expected)) => assert_eq!(self.plain(grant), expected),
            (Err(AllocateError::Exhausted { counts, next_free }), None) => {
                assert_eq!((counts.free, free, next_free), (0, 0, next));
            }
            (Err(AllocateError::AllRefused { counts }), None) => assert_eq!(counts.free, free),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    fn once(&mut self, owner: u8) {
        let mine = self.model.first_of(owner);
        let got = self.pool.allocate_once(owner, self.now);
        if mine.is_empty() {
            let now = self.now;
            self.compare(got, |model| model.allocate(owner, now, u128::MAX));
            return;
        }
        let (index, how) = self.plain(got.unwrap());
        assert_eq!(how, How::AlreadyHeld);
        assert!(mine.contains(&index));
        let again = self.pool.allocate_once(owner, self.now).unwrap();
        assert_eq!(self.plain(again), (index, how));
    }

    fn many(&mut self, owner: u8, count: usize) {
        let got = self.pool.allocate_many(owner, count, self.now);
        let available = match self.settings.pressure {
            Pressure::ReuseOldest => self.model.free() + self.model.resting.len() as u128,
            _ => self.model.free(),
        };
        if count as u128 > available {
            let Err(AllocateError::TooFew { wanted, counts }) = got else {
                panic!("{got:?} for too many");
            };
            assert_eq!((wanted, counts.free), (count as u128, self.model.free()));
            return;
        }
        for grant in got.unwrap() {
            let expected = self.model.allocate(owner, self.now, u128::MAX);
            assert_eq!(Some(self.plain(grant)), expected);
        }
    }

    fn run(&mut self, owner: u8, count: u32) {
        let len = u128::from(count);
        let got = self.pool.allocate_run(owner, NonZero::new(count).unwrap(), self.now);
        let layout = self.space.layout();
        let in_a_row = |first: u128| {
            (first..first + len).all(|index| {
                index < self.model.capacity
                    && self.model.is_free(index)
                    && layout.ordinal(index) - layout.ordinal(first) == index - first
            })
        };
        match (0..self.model.capacity).find(|&first| in_a_row(first)) {
            Some(first) => {
                let run = got.unwrap();
                assert_eq!(run, self.item(first)..=self.item(first + len - 1));
                (first..first + len).for_each(|index| self.model.take(index, owner));
            }
            None if len > self.model.free() => {
                assert!(matches!(got, Err(AllocateError::TooFew { .. })), "{got:?}");
            }
            None => assert!(matches!(got, Err(AllocateError::NoRun { .. })), "{got:?}"),
        }
    }

    fn exact(&mut self, offset: u128, owner: u8) {
        let ordinal = self.space.layout().first() + offset;
        let item = self.space.item(ordinal);
        let got = self.pool.allocate_exact(item, owner, self.now);
        let index = match self.space.layout().place(ordinal) {
            Place::Index(index) => index,
            Place::Reserved(reason) => {
                assert_eq!(got, Err(ExactError::Reserved { item, reason }));
                return;
            }
            Place::Outside => {
                assert_eq!(got, Err(ExactError::OutOfRange { item }));
                return;
            }
        };
        let its_former = self.settings.sticky && self.model.former.get(&owner) == Some(&index);
        match self.model.slots.get(&index) {
            Some(Slot::Held(owner)) => {
                assert_eq!(got, Err(ExactError::Held { item, owner: *owner }));
            }
            Some(Slot::Cooling) if !its_former => {
                assert_eq!(got, Err(ExactError::Cooling { item }));
            }
            Some(Slot::Cooling | Slot::Spent) | None => {
                assert_eq!(got, Ok(()));
                self.model.take(index, owner);
            }
        }
    }

    fn release(&mut self, offset: u128, owner: u8) {
        let ordinal = self.space.layout().first() + offset;
        let item = self.space.item(ordinal);
        let got = self.pool.release(item, owner, self.now);
        let index = match self.space.layout().place(ordinal) {
            Place::Index(index) => index,
            Place::Reserved(reason) => {
                assert_eq!(got, Err(ReleaseError::Reserved { item, reason }));
                return;
            }
            Place::Outside => {
                assert_eq!(got, Err(ReleaseError::OutOfRange { item }));
                return;
            }
        };
        match self.model.slots.get(&index) {
            Some(&Slot::Held(holder)) if holder == owner => {
                assert_eq!(got, Ok(self.model.release(index, owner, self.now)));
            }
            Some(&Slot::Held(holder)) => {
                assert_eq!(got, Err(ReleaseError::HeldByOther { item, owner: holder }));
            }
            // A large space may have forgotten.
            Some(Slot::Spent) if self.model.capacity > 1 << 24 => assert!(matches!(
                got,
                Err(ReleaseError::AlreadyReleased { .. } | ReleaseError::NeverHeld { .. })
            )),
            Some(Slot::Spent | Slot::Cooling) => {
                assert_eq!(got, Err(ReleaseError::AlreadyReleased { item }));
            }
            None => assert_eq!(got, Err(ReleaseError::NeverHeld { item })),
        }
    }

    /// Compares all that can be seen.
    fn check(&self) {
        let (counts, model) = (self.pool.counts(), &self.model);
        assert_eq!(counts.held, model.held());
        assert_eq!(counts.cooling, model.resting.len() as u128);
        assert_eq!(counts.free, model.free());
        assert_eq!(counts.held + counts.cooling + counts.free, counts.capacity);
        let held = model.slots.iter().filter_map(|(&index, slot)| match slot {
            Slot::Held(owner) => Some((self.item(index), *owner)),
            Slot::Cooling | Slot::Spent => None,
        });
        assert!(self.pool.held().eq(held));
        let cooling = model.resting.iter().map(|&(index, until)| (self.item(index), until));
        assert!(self.pool.cooling().eq(cooling));
        let free = (0..model.capacity).filter(|&index| model.is_free(index));
        assert!(self.pool.free().take(200).eq(free.take(200).map(|index| self.item(index))));
    }
}
