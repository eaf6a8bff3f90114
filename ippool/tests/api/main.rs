//! The crate seen from outside.

mod cost;
mod edge;
#[cfg(feature = "serde")]
mod embedded;
mod exhaustive;
mod golden;
mod hostile;
mod large;
mod laws;
mod model;
mod moved;
#[cfg(feature = "serde")]
mod owner_names;
mod owners;
mod pair;
mod restart;
mod states;
#[cfg(feature = "std")]
mod threads;
mod time;
mod words;
