//! The front for threads.

mod front;
mod stripe;
mod sync;
#[cfg(feature = "notify")]
mod waiting;

pub use front::Shared;
