use core::time::Duration;

use thiserror::Error;

use crate::counts::Counts;
use crate::space::Reason;

/// Why nothing was handed out. The pool is as before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
// The compiler would choose a tag as wide as the alignment of the counts, sixteen bytes, which a
// caller cannot read back before two stores have gone through.
#[repr(u8)]
pub enum AllocateError {
    /// Nothing is free.
    #[error(
        "pool exhausted: of {} items {} are held and {} cooling, {} more are reserved; \
         release some or use a larger range",
        .counts.capacity, .counts.held, .counts.cooling, .counts.reserved
    )]
    Exhausted {
        /// The state of the pool.
        counts: Counts,
        /// When the next cooling item becomes free, as a duration since the Unix epoch.
        next_free: Option<Duration>,
    },
    /// Fewer items are free than were asked for at once.
    #[error(
        "{wanted} items wanted but {} free: of {} items {} are held and {} cooling; \
         ask for fewer or release some",
        .counts.free, .counts.capacity, .counts.held, .counts.cooling
    )]
    TooFew {
        /// How many were asked for.
        wanted: u128,
        /// The state of the pool.
        counts: Counts,
    },
    /// As many items are free as were asked for, but not in a row.
    #[error(
        "no {wanted} items in a row among the {} free ones; ask for fewer or one by one",
        .counts.free
    )]
    NoRun {
        /// How many were asked for.
        wanted: u128,
        /// The state of the pool.
        counts: Counts,
    },
    /// Items are free, but the caller's condition held for none.
    #[error("the condition refused every one of the {} free items; relax it", .counts.free)]
    AllRefused {
        /// The state of the pool.
        counts: Counts,
    },
}

/// Why a certain item was not handed out. The pool is as before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExactError<T, O> {
    /// The item is not of this space.
    #[error("{item} is not in the pool: choose an item within its range")]
    OutOfRange {
        /// The item.
        item: T,
    },
    /// The item is never handed out.
    #[error("{item} is reserved ({reason:?}): choose another")]
    Reserved {
        /// The item.
        item: T,
        /// Why.
        reason: Reason,
    },
    /// Somebody holds the item; possibly the owner that asked.
    #[error("{item} is held: choose another or have it released first")]
    Held {
        /// The item.
        item: T,
        /// Who holds it.
        owner: O,
    },
    /// The item was released a short time ago.
    #[error("{item} is cooling after its release: choose another or wait")]
    Cooling {
        /// The item.
        item: T,
    },
}

/// Why an item was not released. The pool is as before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReleaseError<T, O> {
    /// The item is not of this space.
    #[error("{item} is not in the pool: it was handed out by another")]
    OutOfRange {
        /// The item.
        item: T,
    },
    /// The item is never handed out.
    #[error("{item} is reserved ({reason:?}) and was never handed out")]
    Reserved {
        /// The item.
        item: T,
        /// Why.
        reason: Reason,
    },
    /// Nobody held the item, as far as the pool knows.
    #[error("{item} was never held: check which item is meant")]
    NeverHeld {
        /// The item.
        item: T,
    },
    /// The item was released before and nobody has held it since.
    #[error("{item} was released already: drop the second release")]
    AlreadyReleased {
        /// The item.
        item: T,
    },
    /// The item has passed on to somebody else.
    #[error("{item} is held by another owner: only that one can release it")]
    HeldByOther {
        /// The item.
        item: T,
        /// Who holds it.
        owner: O,
    },
}
