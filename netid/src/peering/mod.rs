//! Peering: which networks reach which of one another's prefixes.
//!
//! [`NetworkSpec`] is what somebody wrote, [`Network`] is that once checked, [`Peerings`] is all of
//! them. Statuses are not kept but worked out from two networks at a time, so that there is nothing
//! that could be out of date.

mod index;
mod network;
mod pair;
mod prefixes;
mod spec;
mod status;
mod uid;

pub use index::Peerings;
pub use network::{Network, NetworkError, NetworkFault};
pub use spec::{NetworkSpec, PeeringSpec, PrefixFilter};
pub use status::{PeeringFault, PeeringStatus, PendingReason, Reach, Withheld};
pub use uid::{NetworkUid, NetworkUidError};
