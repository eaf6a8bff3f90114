//! What a pool remembers, as plain data.

mod base64;
mod data;
mod moved;
#[cfg(feature = "serde")]
mod number;
mod plane;

pub use data::{RestoreError, Snapshot};
pub(crate) use plane::{decode, encode, indexes};
