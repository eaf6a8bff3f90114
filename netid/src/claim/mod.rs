//! Claims: who holds which name, id, address, port or VNI.

mod error;
mod key;
mod key_rules;
#[cfg(feature = "std")]
mod memory;
mod owner;
mod record;
mod retry;
mod store;
#[cfg(feature = "std")]
mod subscribers;
#[cfg(feature = "tracing")]
mod traced;
mod watch;

pub use error::{BindError, ClaimError, Obstacle, Taken};
pub use key::{ClaimKey, Protocol};
pub use key_rules::{KeyError, KeyFault};
#[cfg(feature = "std")]
pub use memory::{MemoryStore, MemoryWatch};
pub use owner::{Owner, OwnerError, OwnerField};
#[cfg(any(feature = "etcd", feature = "redb"))]
pub(crate) use record::Proof;
pub use record::{Claim, ClaimState, Generation, ReleaseOutcome};
pub use retry::{AttemptsError, claim_any, claim_with};
pub use store::ClaimStore;
#[cfg(feature = "redb")]
pub(crate) use subscribers::Subscribers;
#[cfg(feature = "tracing")]
pub use traced::TracedStore;
pub use watch::{ClaimWatch, KeyState, WatchClaims, WatchEvent};
