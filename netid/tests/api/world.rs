//! A store beside a naive model of one: the same steps in both, compared after each.

use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, Obstacle, Owner, ReleaseOutcome,
};

/// One thing that can happen. Owners and keys are small numbers; the keys of a batch are the bits of
/// one. A claim is picked by its key and by how many later ones there were on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Claim {
        owner: usize,
        keys: usize,
    },
    /// Any key, if the owner holds none.
    ClaimOne {
        owner: usize,
        key: usize,
    },
    Renew {
        key: usize,
        age: usize,
    },
    Bind {
        key: usize,
        age: usize,
    },
    Release {
        key: usize,
        age: usize,
        cooldown: u32,
    },
    ReleaseAll {
        owner: usize,
    },
    Tick,
}

pub(crate) struct World<S> {
    store: S,
    owners: Vec<Owner>,
    keys: Vec<ClaimKey>,
    now: Duration,
    /// Every claim that was ever made, key by key, with what has become of it.
    history: Vec<Vec<(Claim, Fate)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Held,
    Released { until: Duration },
}

const SECOND: Duration = Duration::from_secs(1);

impl<S: ClaimStore> World<S> {
    pub(crate) fn new(store: S, owners: usize, keys: usize) -> Self {
        let owner = |at| Owner::new("vm", "", &format!("uid{at}")).unwrap();
        Self {
            store,
            owners: (0..owners).map(owner).collect(),
            keys: (0..keys).map(|at| ClaimKey::name(&at.to_string()).unwrap()).collect(),
            now: SECOND,
            history: vec![Vec::new(); keys],
        }
    }

    /// The same world with another store, which must know what the first one did.
    pub(crate) fn with_store<T>(self, change: impl FnOnce(S) -> T) -> World<T> {
        let Self { store, owners, keys, now, history } = self;
        World { store: change(store), owners, keys, now, history }
    }

    pub(crate) async fn step(&mut self, step: Step) {
        match step {
            Step::Claim { owner, keys } => self.claim(owner, keys).await,
            Step::ClaimOne { owner, key } => self.claim_one(owner, key).await,
            Step::Renew { key, age } => self.renew(key, age).await,
            Step::Bind { key, age } => self.bind(key, age).await,
            Step::Release { key, age, cooldown } => {
                let Some(claim) = self.claim_of_age(key, age) else { return };
                let cooldown = SECOND * cooldown;
                let released = self.store.release(from_ref(&claim), |_| cooldown, self.now).await;
                let expected = self.expect_release(&claim, cooldown);
                assert_eq!(released.unwrap(), [(claim.key, expected)]);
            }
            Step::ReleaseAll { owner } => {
                let owner = &self.owners[owner];
                let held = self.held().filter(|claim| claim.owner == *owner).collect::<Vec<_>>();
                let released = self.store.release_all(owner, |_| SECOND, self.now).await.unwrap();
                let expected: Vec<_> = held
                    .into_iter()
                    .map(|claim| (claim.key.clone(), self.expect_release(&claim, SECOND)))
                    .collect();
                assert_eq!(released, expected);
            }
            Step::Tick => self.now += SECOND,
        }
        self.compare().await;
    }

    async fn claim(&mut self, owner: usize, keys: usize) {
        let owner = self.owners[owner].clone();
        let picked: Vec<_> = (0..self.keys.len()).filter(|at| keys >> at & 1 == 1).collect();
        let batch: Vec<_> = picked.iter().map(|&at| self.keys[at].clone()).collect();
        let obstacle = picked.iter().find_map(|&at| Some((at, self.obstacle(&owner, at)?)));
        match (self.store.claim(&owner, &batch, self.now).await, obstacle) {
            (Err(ClaimError::Taken(taken)), Some((at, obstacle))) => {
                assert_eq!((taken.key, taken.obstacle), (self.keys[at].clone(), obstacle));
            }
            (Ok(claims), None) => {
                assert_eq!(claims.len(), picked.len());
                for (claim, at) in claims.into_iter().zip(picked) {
                    let history = &mut self.history[at];
                    match history.last() {
                        Some((held, Fate::Held)) => assert_eq!(*held, claim),
                        last => {
                            assert!(last.is_none_or(|(l, _)| l.generation < claim.generation));
                            let made = Claim::new(
                                self.keys[at].clone(),
                                owner.clone(),
                                claim.generation,
                                self.now,
                            );
                            assert_eq!(claim, made);
                            history.push((claim, Fate::Held));
                        }
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }

    async fn claim_one(&mut self, owner: usize, key: usize) {
        let owner = self.owners[owner].clone();
        let held = self.held().find(|claim| claim.owner == owner);
        let claimed = self.store.claim_one(&owner, "name/", &self.keys[key], self.now).await;
        match (claimed, held, self.obstacle(&owner, key)) {
            (Ok(claim), Some(held), _) => assert_eq!(claim, held),
            (Err(ClaimError::Taken(taken)), None, Some(obstacle)) => {
                assert_eq!((taken.key, taken.obstacle), (self.keys[key].clone(), obstacle));
            }
            (Ok(claim), None, None) => {
                let last = self.history[key].last();
                assert!(last.is_none_or(|(last, _)| last.generation < claim.generation));
                let key_text = self.keys[key].clone();
                assert_eq!(claim, Claim::new(key_text, owner, claim.generation, self.now));
                self.history[key].push((claim, Fate::Held));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn bind(&mut self, key: usize, age: usize) {
        let Some(claim) = self.claim_of_age(key, age) else { return };
        let bound = self.store.bind(from_ref(&claim)).await;
        self.expect_update(&claim, key, bound, |held| held.state = ClaimState::Bound);
    }

    async fn renew(&mut self, key: usize, age: usize) {
        let Some(claim) = self.claim_of_age(key, age) else { return };
        let now = self.now;
        let renewed = self.store.renew(from_ref(&claim), now).await;
        let renewed = renewed.map(|mut renewed| renewed.remove(0));
        let told = renewed.as_ref().ok().cloned();
        self.expect_update(&claim, key, renewed.map(drop), |held| {
            if held.state == ClaimState::Pending {
                held.since = now;
            }
            assert_eq!(told.as_ref(), Some(&*held));
        });
    }

    fn expect_update(
        &mut self,
        claim: &Claim,
        key: usize,
        updated: Result<(), BindError<S::Error>>,
        change: impl Fn(&mut Claim),
    ) {
        match (updated, self.history[key].last_mut()) {
            (Ok(()), Some((held, Fate::Held))) if held.is_same(claim) => change(held),
            (Err(BindError::Lost { key, holder }), last) => {
                assert_eq!(key, claim.key);
                let held = last.and_then(|(held, fate)| (*fate == Fate::Held).then_some(held));
                assert_eq!(holder.as_ref(), held.as_deref());
                assert!(holder.is_none_or(|holder| !holder.is_same(claim)));
            }
            other => panic!("{other:?}"),
        }
    }

    fn expect_release(&mut self, claim: &Claim, cooldown: Duration) -> ReleaseOutcome {
        let at = self.keys.iter().position(|key| *key == claim.key).unwrap();
        match self.history[at].last_mut() {
            Some((held, fate @ Fate::Held)) if held.generation == claim.generation => {
                *fate = Fate::Released { until: self.now + cooldown };
                ReleaseOutcome::Released
            }
            Some((held, Fate::Held)) => ReleaseOutcome::HeldByOther(held.clone()),
            _ => ReleaseOutcome::NotHeld,
        }
    }

    fn obstacle(&self, owner: &Owner, at: usize) -> Option<Obstacle> {
        match self.history[at].last()? {
            (last, _) if last.owner == *owner => None,
            (held, Fate::Held) => Some(Obstacle::Held(held.clone())),
            (_, Fate::Released { until }) => {
                (self.now < *until).then_some(Obstacle::Cooling { until: *until })
            }
        }
    }

    fn claim_of_age(&self, key: usize, age: usize) -> Option<Claim> {
        let (claim, _) = self.history[key].iter().nth_back(age)?;
        Some(claim.clone())
    }

    fn held(&self) -> impl Iterator<Item = Claim> {
        self.history.iter().filter_map(|history| match history.last()? {
            (claim, Fate::Held) => Some(claim.clone()),
            (_, Fate::Released { .. }) => None,
        })
    }

    /// Everything that can be read is as the model says: one holder at most, nothing lost.
    async fn compare(&self) {
        let held: Vec<_> = self.held().collect();
        assert_eq!(self.store.list("", None, NonZeroUsize::MAX).await.unwrap(), held);
        for owner in &self.owners {
            let own: Vec<_> = held.iter().filter(|claim| claim.owner == *owner).cloned().collect();
            assert_eq!(self.store.claims_of(owner).await.unwrap(), own);
        }
        for key in &self.keys {
            let claim = held.iter().find(|claim| claim.key == *key);
            assert_eq!(self.store.get(key).await.unwrap().as_ref(), claim);
        }
    }
}
