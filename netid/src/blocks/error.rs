use thiserror::Error;

use crate::claim::{Claim, ClaimError, KeyError, Owner};
use crate::vacancy::{ClaimerError, KeyRangeError};

/// Why a range is not cut into blocks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockSpaceError {
    /// The keys of the leases cannot be made.
    #[error("the leases of this range have no keys")]
    Key(#[from] KeyError),
    /// The keys of the leases cannot be counted.
    #[error("the leases of this range have no keys")]
    Range(#[from] KeyRangeError),
}

/// Why [`Blocks`](super::Blocks) could not do what it was asked.
///
/// `S` is the error of the shared store, `L` of the local one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlocksError<S, L> {
    /// No block was leased, as there is none or the shared store did not say. What is leased already goes on being
    /// handed out.
    #[error("the leased blocks are used up and no other was leased; the cause counts blocks")]
    Lease(#[source] ClaimerError<S>),
    /// No block was leased for another claim that this one has waited with.
    #[error("no block was leased for another claim that was waited for; try again")]
    Waited,
    /// The shared store failed or did not answer.
    #[error("the shared claim store failed")]
    Shared(#[source] S),
    /// The shared store did not say how the range is cut.
    #[error("the shared claim store did not say how the range is cut")]
    SharedClaim(#[source] ClaimError<S>),
    /// The local store failed.
    #[error("the local claim store failed")]
    Local(#[source] L),
    /// The local store did not claim, or did not say.
    #[error("the local claim store did not claim")]
    LocalClaim(#[source] ClaimError<L>),
    /// The blocks of this range are cut or permuted in another way, here earlier or elsewhere. Two ways at once would
    /// hand out numbers twice.
    #[error("the blocks of this range are {}, not {}; use the same size and permutation everywhere, or return all blocks and release the claim of that owner", .found.name(), .expected.name())]
    Disagreement {
        /// How they are, as the holder of the key that says so.
        found: Owner,
        /// How they were to be.
        expected: Owner,
    },
    /// The owner holds a number of a block that is not leased any more, so that another host may hand it out. It must
    /// not be used: release it, and claim again.
    #[error("{} is of a block that is not leased here any more; release it and claim again", .0.key)]
    NotLeased(Claim),
}
