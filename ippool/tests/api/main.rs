//! The crate seen from outside.

mod edge;
mod exhaustive;
mod golden;
mod laws;
mod model;
mod restart;
#[cfg(feature = "std")]
mod threads;
