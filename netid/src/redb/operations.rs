use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::error::RedbError;
use super::records::Slot;
use super::table::{Changes, ReadClaims as _};
use crate::claim::{Claim, ClaimKey, ClaimState, Obstacle, Owner, Proof, ReleaseOutcome, Taken};

/// One change of the store. All of it is checked before the first of its steps is made, so that a damaged record
/// fails this change alone.
pub(super) trait Operation: Send {
    type Answer: Send;

    /// Makes the change as part of a transaction.
    fn apply(self, changes: &mut Changes<'_>) -> Result<Self::Answer, RedbError>;

    /// The caller's clock, if what has passed by then may be forgotten.
    fn clock(&self) -> Option<Duration>;
}

pub(super) struct ClaimAll {
    pub(super) owner: Owner,
    pub(super) keys: Vec<ClaimKey>,
    pub(super) now: Duration,
}

impl Operation for ClaimAll {
    type Answer = Result<Vec<Claim>, Taken>;

    fn apply(self, changes: &mut Changes<'_>) -> Result<Self::Answer, RedbError> {
        let Self { owner, keys, now } = self;
        let generation = changes.next_generation()?;
        let mut made = Vec::new();
        let mut given = Vec::with_capacity(keys.len());
        let mut by_key: BTreeMap<&ClaimKey, Claim> = BTreeMap::new();
        for key in &keys {
            if let Some(claim) = by_key.get(key) {
                given.push(claim.clone());
                continue;
            }
            let obstacle = |obstacle| Ok(Err(Taken { key: key.clone(), obstacle }));
            let rest = match changes.now().slot(key)? {
                Some(Slot::Held(claim)) if claim.owner.is_same(&owner) => {
                    by_key.insert(key, claim.clone());
                    given.push(claim);
                    continue;
                }
                Some(Slot::Held(claim)) => return obstacle(Obstacle::Held(claim)),
                Some(Slot::Cooling { until, uid }) if now < until && *uid != *owner.uid() => {
                    return obstacle(Obstacle::Cooling { until });
                }
                Some(Slot::Cooling { until, .. }) => Some(until),
                None => None,
            };
            let claim = Claim::new(key.clone(), owner.clone(), generation, now);
            by_key.insert(key, claim.clone());
            given.push(claim.clone());
            made.push((claim, rest));
        }
        for (claim, rest) in made {
            changes.claim(claim, rest)?;
        }
        Ok(Ok(given))
    }

    fn clock(&self) -> Option<Duration> {
        Some(self.now)
    }
}

pub(super) struct ClaimOne {
    pub(super) prefix: Box<str>,
    /// What is claimed if the owner holds nothing with this prefix: one key.
    pub(super) claim: ClaimAll,
}

impl Operation for ClaimOne {
    type Answer = Result<Vec<Claim>, Taken>;

    fn apply(self, changes: &mut Changes<'_>) -> Result<Self::Answer, RedbError> {
        let own = changes.now().claims_of(&self.claim.owner, &self.prefix, NonZeroUsize::MIN)?;
        if own.is_empty() { self.claim.apply(changes) } else { Ok(Ok(own)) }
    }

    fn clock(&self) -> Option<Duration> {
        self.claim.clock()
    }
}

pub(super) struct Update {
    pub(super) claims: Vec<Claim>,
    pub(super) change: Change,
}

#[derive(Clone, Copy)]
pub(super) enum Change {
    Bind,
    /// The pending ones age from this time on.
    Renew(Duration),
}

/// A claim that was to be updated and is held no more.
pub(super) struct Lost {
    pub(super) key: ClaimKey,
    pub(super) holder: Option<Claim>,
}

impl Operation for Update {
    type Answer = Result<Vec<Claim>, Lost>;

    fn apply(self, changes: &mut Changes<'_>) -> Result<Self::Answer, RedbError> {
        let mut updated = Vec::with_capacity(self.claims.len());
        let mut altered = BTreeMap::new();
        for claim in self.claims {
            let holder = changes.now().held(&claim.key)?;
            let Some(held) = holder.as_ref().filter(|holder| holder.is_same(&claim)) else {
                return Ok(Err(Lost { key: claim.key, holder }));
            };
            let mut claim = held.clone();
            match self.change {
                Change::Bind => claim.state = ClaimState::Bound,
                Change::Renew(now) if claim.state == ClaimState::Pending => claim.since = now,
                Change::Renew(_) => {}
            }
            if claim != *held {
                altered.insert(claim.key.clone(), claim.clone());
            }
            updated.push(claim);
        }
        for claim in altered.into_values() {
            changes.update(claim)?;
        }
        Ok(Ok(updated))
    }

    fn clock(&self) -> Option<Duration> {
        None
    }
}

pub(super) struct Release {
    /// The claims, and for how long their keys rest.
    pub(super) claims: Vec<(Claim, Duration)>,
    pub(super) proof: Proof,
    pub(super) now: Duration,
}

impl Operation for Release {
    type Answer = Vec<(ClaimKey, ReleaseOutcome)>;

    fn apply(self, changes: &mut Changes<'_>) -> Result<Self::Answer, RedbError> {
        let mut outcomes = Vec::with_capacity(self.claims.len());
        let mut released = Vec::new();
        let mut gone = BTreeSet::new();
        for (claim, cooldown) in self.claims {
            let held =
                if gone.contains(&claim.key) { None } else { changes.now().held(&claim.key)? };
            let outcome = match held {
                None => ReleaseOutcome::NotHeld,
                Some(held) if !self.proof.accepts(&held, &claim) => {
                    ReleaseOutcome::HeldByOther(held)
                }
                Some(held) => {
                    let until = (!cooldown.is_zero()).then(|| self.now.saturating_add(cooldown));
                    gone.insert(claim.key.clone());
                    released.push((held, until));
                    ReleaseOutcome::Released
                }
            };
            outcomes.push((claim.key, outcome));
        }
        for (claim, until) in released {
            changes.release(&claim, until)?;
        }
        Ok(outcomes)
    }

    fn clock(&self) -> Option<Duration> {
        Some(self.now)
    }
}

/// Forgets some of the cooldowns that have passed, and says how many.
pub(super) struct Forget {
    pub(super) now: Duration,
    pub(super) limit: usize,
}

impl Operation for Forget {
    type Answer = usize;

    fn apply(self, changes: &mut Changes<'_>) -> Result<usize, RedbError> {
        let passed = changes.now().passed(self.now, self.limit)?;
        for (until, key) in &passed {
            changes.forget(*until, key)?;
        }
        Ok(passed.len())
    }

    fn clock(&self) -> Option<Duration> {
        None
    }
}
