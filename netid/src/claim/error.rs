use core::time::Duration;

use thiserror::Error;

use super::key::ClaimKey;
use super::record::Claim;

/// A key that cannot be claimed now, and why. Claim another one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key} {obstacle}; claim another")]
pub struct Taken {
    /// The key: the first of the batch that is in the way.
    pub key: ClaimKey,
    /// What stands against it.
    pub obstacle: Obstacle,
}

/// What stands against claiming a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// Somebody else holds it.
    #[error("is held by {}", .0.owner)]
    Held(Claim),
    /// Somebody else released it, and its cooldown has not passed.
    #[error("is in its cooldown until {until:?} after the Unix epoch")]
    Cooling {
        /// When it can be claimed again, since the Unix epoch.
        until: Duration,
    },
}

/// Why a batch was not claimed.
///
/// Only [`Taken`](Self::Taken) is answered by claiming something else: the store works, and says no.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClaimError<E> {
    /// A key is held or cooling. Nothing was claimed.
    #[error(transparent)]
    Taken(Taken),
    /// The store did not answer, and the batch may have been claimed. Repeat it for the same owner, which
    /// changes nothing if it was; or ask for [`claims_of`](super::ClaimStore::claims_of) the owner.
    #[error(
        "the claim store did not say whether it claimed; repeat the same claim or read it back"
    )]
    Unknown(#[source] E),
    /// The store failed. Nothing was claimed.
    #[error("the claim store failed")]
    Store(#[source] E),
}

impl<E> ClaimError<E> {
    /// What was in the way, if that is why.
    #[must_use]
    pub const fn taken(&self) -> Option<&Taken> {
        match self {
            Self::Taken(taken) => Some(taken),
            Self::Unknown(_) | Self::Store(_) => None,
        }
    }
}

/// Why claims were not bound or renewed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindError<E> {
    /// A claim is held no more. None was changed; the owner must not be made with what they stood for.
    #[error("{key} is no longer claimed; claim again before the owner is made")]
    Lost {
        /// The key of the first claim that is lost.
        key: ClaimKey,
        /// The claim that holds the key now.
        holder: Option<Claim>,
    },
    /// The store failed or did not answer. Trying again is safe.
    #[error("the claim store failed")]
    Store(#[source] E),
}
