//! The pool: a space, the engine, owners and time put together.

mod allocate;
mod config;
mod error;
mod grant;
mod moved;
#[cfg(feature = "std")]
mod parts;
mod query;
mod rebuild;
mod release;
mod restore;

pub use config::{AddressPool, IndexPool, Pool, PortPool, SubnetPool};
pub use error::{AllocateError, ExactError, ReleaseError};
pub use grant::{Grant, How, Released};
pub use query::State;
pub use rebuild::{Conflict, Rebuild};
