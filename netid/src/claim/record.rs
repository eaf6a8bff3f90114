use core::fmt;
use core::time::Duration;

use super::key::ClaimKey;
use super::owner::Owner;

/// A key that is held, and the proof by which it can be bound and released.
///
/// The proof is the key, the owner's uid and the generation together: a claim that was released and
/// made again, even by the same owner, has another generation, so an old copy of it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Claim {
    /// What is held.
    pub key: ClaimKey,
    /// Who holds it, as first claimed.
    pub owner: Owner,
    /// Which claim on the key this is.
    pub generation: Generation,
    /// Whether the owner is known to exist.
    pub state: ClaimState,
    /// When it was claimed, or renewed while pending, since the Unix epoch.
    pub since: Duration,
}

impl Claim {
    /// A claim as it is first made: pending.
    #[must_use]
    pub const fn new(key: ClaimKey, owner: Owner, generation: Generation, since: Duration) -> Self {
        Self { key, owner, generation, state: ClaimState::Pending, since }
    }

    /// The claim in another state.
    #[must_use]
    pub const fn with_state(mut self, state: ClaimState) -> Self {
        self.state = state;
        self
    }

    /// Whether both prove the same: equal keys, uids and generations.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.generation == other.generation
            && self.owner.is_same(&other.owner)
    }
}

/// Which claim on a key it is.
///
/// A store gives every later claim on a key a higher generation, also after a restart. Whether
/// generations are counted for each key or for the whole store, and whether they leave gaps, is the
/// store's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Generation(u64);

impl Generation {
    /// The generation of a number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The generation as a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How far the owner of a claim has come.
///
/// Claims are made before their owner is, so a crash in between leaves pending claims without an
/// owner. They can be given up soon; a bound claim is valid until its owner is known to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ClaimState {
    /// Claimed for an owner that is still being made.
    Pending,
    /// The owner exists.
    Bound,
}

/// What a claim has to have in common with the one that is held to be released.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// The key, the uid and the generation.
    Generation,
    /// Everything.
    Unchanged,
}

#[cfg(feature = "std")]
impl Proof {
    /// Whether a claim that is held may be released by somebody who shows one.
    pub(crate) fn accepts(self, held: &Claim, shown: &Claim) -> bool {
        match self {
            Self::Generation => held.is_same(shown),
            Self::Unchanged => held == shown,
        }
    }
}

/// What became of a claim that was to be released.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum ReleaseOutcome {
    /// It was held as proven, and is no more.
    Released,
    /// Nobody holds the key. It may be in its cooldown.
    NotHeld,
    /// This claim holds the key, and still does: it is another owner's, or a later one of the same owner; or it
    /// has changed, where that matters.
    HeldByOther(Claim),
}

impl ReleaseOutcome {
    /// Whether the claim was released.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        matches!(self, Self::Released)
    }
}
