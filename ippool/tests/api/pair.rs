//! A pool and its model, kept in step and compared.

use core::num::NonZero;
use core::time::Duration;

use ippool::{
    AllocateError, Conflict, ExactError, Grant, How, Owner, Place, Policy, Pool, Pressure,
    ReleaseError, Released, Space,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::model::{Granted, Key, Model, Op, Settings, Slot, Token};

/// Both, kept in step.
#[derive(Clone, Debug)]
pub(crate) struct Pair<S: Space, O: Owner = u8> {
    space: S,
    pub pool: Pool<S, O>,
    model: Model,
    now: Duration,
}

impl<S: Space + Clone + core::fmt::Debug, O: Token> Pair<S, O> {
    pub(crate) fn new(space: S, settings: Settings) -> Self {
        let capacity = space.layout().capacity();
        let settings = Settings { sticky: settings.sticky && O::TRACKED, ..settings };
        Self {
            pool: settings.pool(space.clone()),
            model: Model::new(settings, capacity),
            space,
            now: Duration::from_secs(1_000),
        }
    }

    pub(crate) fn key(&self) -> Key {
        self.model.key(self.now)
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
        let op = if O::TRACKED { op.clone() } else { op.clone().unowned() };
        let now = self.now;
        let before = (self.model.resting.len(), self.pool.counts().cooling);
        let expired = match &op {
            Op::Wait(_)
            | Op::Back(_)
            | Op::Restart
            | Op::RestartAs(_)
            | Op::Policy(_)
            | Op::Pressure(_)
            | Op::Cooldown(_)
            | Op::Sticky => 0,
            _ => self.model.expire(now),
        };
        assert_eq!(before.0 as u128, before.1);
        match op {
            Op::Allocate(owner) => {
                let got = self.pool.allocate(O::of(owner), now);
                self.compare(got, |model| model.allocate(owner, now, u128::MAX));
            }
            Op::Once(owner) => self.once(owner),
            Op::Where(owner, refused) => {
                let item = (refused < self.model.capacity).then(|| self.item(refused));
                let got = self.pool.allocate_where(O::of(owner), now, |other| Some(other) != item);
                self.compare(got, |model| model.allocate(owner, now, refused));
            }
            Op::Many(owner, count) => self.many(owner, count),
            Op::Run(owner, count) => self.run(owner, count),
            Op::Exact(offset, owner) => self.exact(offset, owner),
            Op::Release(offset, owner) => self.release(offset, owner),
            Op::ReleaseAll(owner) => {
                let indexes = self.model.first_of(owner);
                let items: Vec<_> = indexes.iter().map(|&index| self.item(index)).collect();
                assert_eq!(self.pool.release_all(O::of(owner), now), items);
                for index in indexes {
                    let until = self.pool.cooling().find(|(item, _)| *item == self.item(index));
                    self.release_in_model(index, owner, until.map(|(_, until)| until));
                }
            }
            Op::Random(owner, seed) => self.random(owner, seed),
            Op::Rebuild(existing) => self.rebuild(&existing),
            Op::Expire => assert_eq!(self.pool.expire(now), expired),
            Op::Wait(seconds) => self.now += Duration::from_secs(seconds),
            Op::Back(seconds) => self.now = now.saturating_sub(Duration::from_secs(seconds)),
            Op::Restart => self.restart(self.model.settings.policy),
            Op::RestartAs(policy) => self.restart(policy),
            Op::Policy(policy) => {
                self.change(|pool| pool.with_policy(policy));
                self.model.settings.policy = policy;
                self.model.cursor = 0;
                self.model.forget();
            }
            Op::Pressure(pressure) => {
                self.change(|pool| pool.with_pressure(pressure));
                self.model.settings.pressure = pressure;
            }
            Op::Cooldown(seconds) => {
                self.change(|pool| pool.with_cooldown(Duration::from_secs(seconds)));
                self.model.settings.cooldown = seconds;
            }
            Op::Sticky => {
                self.change(Pool::with_sticky_owners);
                if !self.model.settings.sticky {
                    self.model.former.clear();
                }
                self.model.settings.sticky = true;
            }
        }
        self.check();
    }

    fn change(&mut self, change: impl FnOnce(Pool<S, O>) -> Pool<S, O>) {
        self.pool = change(self.pool.clone());
    }

    fn restart(&mut self, policy: Policy) {
        let snapshot = self.pool.snapshot();
        let before = self.model.settings.policy;
        self.model.settings.policy = policy;
        let pool = self.model.settings.pool(self.space.clone());
        self.pool = pool.restore(&snapshot).unwrap();
        let again = self.pool.snapshot();
        assert_eq!(again.held, snapshot.held);
        assert!(!O::TRACKED || again.owners == snapshot.owners);
        assert_eq!(again.cooling, snapshot.cooling);
        if before != Policy::LongestIdle {
            self.model.forget();
        }
        if before != policy {
            self.model.cursor = snapshot.cursor;
        }
    }

    fn random(&mut self, owner: u8, seed: u64) {
        let now = self.now;
        let got = self.pool.allocate_random(O::of(owner), now, &mut StdRng::seed_from_u64(seed));
        let returned = self.model.settings.sticky && self.model.former.contains_key(&owner);
        if returned || self.model.free() == 0 {
            self.compare(got, |model| model.allocate(owner, now, u128::MAX));
            return;
        }
        let (index, how) = self.plain(got.unwrap());
        assert_eq!(how, How::Vacant);
        assert!(self.model.is_free(index));
        self.model.take(index, owner);
    }

    fn rebuild(&mut self, existing: &[(u128, u8)]) {
        let first = self.space.layout().first();
        let items = existing.iter().map(|&(n, owner)| (self.space.item(first + n), O::of(owner)));
        let items: Vec<_> = items.collect();
        let report = self.pool.rebuild(items.iter().copied(), self.now);
        let held = self.model.slots.clone();
        let (mut confirmed, mut adopted, mut conflicting, mut outside) =
            (0, vec![], vec![], vec![]);
        let mut seen = vec![];
        for ((offset, claimant), (item, _)) in existing.iter().copied().zip(items) {
            let Place::Index(index) = self.space.layout().place(first + offset) else {
                outside.push((item, O::of(claimant)));
                continue;
            };
            match self.model.slots.get(&index) {
                Some(&Slot::Held(holder)) if holder == claimant => {
                    confirmed += usize::from(!seen.contains(&index));
                }
                Some(&Slot::Held(holder)) => {
                    let (holder, claimant) = (O::of(holder), O::of(claimant));
                    conflicting.push(Conflict { item, holder, claimant });
                }
                Some(Slot::Cooling | Slot::Spent) | None => {
                    self.model.take(index, claimant);
                    adopted.push((item, O::of(claimant)));
                }
            }
            seen.push(index);
        }
        let orphaned = held.into_iter().filter_map(|(index, slot)| match slot {
            Slot::Held(owner) if !seen.contains(&index) => Some((self.item(index), O::of(owner))),
            Slot::Held(_) | Slot::Cooling | Slot::Spent => None,
        });
        assert_eq!(report.orphaned, orphaned.collect::<Vec<_>>());
        assert_eq!((report.confirmed, report.adopted), (confirmed, adopted));
        assert_eq!((report.conflicting, report.out_of_range), (conflicting, outside));
    }

    /// A deadline is the cooldown from now on, whatever the clock said before.
    fn release_in_model(&mut self, index: u128, owner: u8, until: Option<Duration>) {
        let cooldown = Duration::from_secs(self.model.settings.cooldown);
        assert_eq!(until.is_none(), cooldown.is_zero());
        if let Some(until) = until {
            assert_eq!(until, self.now + cooldown);
        }
        self.model.release(index, owner, until);
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
        let got = self.pool.allocate_once(O::of(owner), self.now);
        if mine.is_empty() {
            let now = self.now;
            self.compare(got, |model| model.allocate(owner, now, u128::MAX));
            return;
        }
        let (index, how) = self.plain(got.unwrap());
        assert_eq!(how, How::AlreadyHeld);
        assert!(mine.contains(&index));
        let again = self.pool.allocate_once(O::of(owner), self.now).unwrap();
        assert_eq!(self.plain(again), (index, how));
    }

    fn many(&mut self, owner: u8, count: usize) {
        let got = self.pool.allocate_many(O::of(owner), count, self.now);
        let available = match self.model.settings.pressure {
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
        let got = self.pool.allocate_run(O::of(owner), NonZero::new(count).unwrap(), self.now);
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
        let got = self.pool.allocate_exact(item, O::of(owner), self.now);
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
        let its_former =
            self.model.settings.sticky && self.model.former.get(&owner) == Some(&index);
        match self.model.slots.get(&index) {
            Some(Slot::Held(owner)) => {
                assert_eq!(got, Err(ExactError::Held { item, owner: O::of(*owner) }));
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
        let got = self.pool.release(item, O::of(owner), self.now);
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
                let until = match got.unwrap() {
                    Released::Cooling { until } => Some(until),
                    _ => None,
                };
                self.release_in_model(index, owner, until);
            }
            Some(&Slot::Held(holder)) => {
                assert_eq!(got, Err(ReleaseError::HeldByOther { item, owner: O::of(holder) }));
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
    fn check(&mut self) {
        if self.model.capacity < 200 {
            let rank = self.model.free() / 2;
            let nth = self.pool.nth_free(rank);
            assert_eq!(nth, self.pool.free().nth(usize::try_from(rank).unwrap()));
        }
        let (counts, model) = (self.pool.counts(), &self.model);
        assert_eq!(counts.held, model.held());
        assert_eq!(counts.cooling, model.resting.len() as u128);
        assert_eq!(counts.free, model.free());
        assert_eq!(counts.held + counts.cooling + counts.free, counts.capacity);
        let held = model.slots.iter().filter_map(|(&index, slot)| match slot {
            Slot::Held(owner) => Some((self.item(index), O::of(*owner))),
            Slot::Cooling | Slot::Spent => None,
        });
        assert!(self.pool.held().eq(held));
        let cooling = model.resting.iter().map(|&(index, until)| (self.item(index), until));
        assert!(self.pool.cooling().eq(cooling));
        let free = (0..model.capacity).filter(|&index| model.is_free(index));
        assert!(self.pool.free().take(200).eq(free.take(200).map(|index| self.item(index))));
    }
}
