//! The engine: two bits for every index of `0..capacity`, and searches over them.
//!
//! An index is *taken* while it cannot be handed out and *released* once somebody gave it back:
//!
//! | taken | released | [`State`](leaf::State) |
//! |---|---|---|
//! | 0 | 0 | `Fresh`: free, never held as far as is known |
//! | 1 | 0 | `Held` |
//! | 1 | 1 | `Cooling`: given back, not to be handed out yet |
//! | 0 | 1 | `Spent`: free, held before |
//!
//! Up to 2^24 indexes live in one contiguous bitmap with 64-ary summaries (`flat`), anything
//! larger in a sorted map of the words that differ from "all free" and "all held" (`tree`).

mod engine;
mod flat;
mod leaf;
mod ranks;
mod runs;
mod tree;

pub(crate) use engine::{Bits, small, wide};
pub(crate) use flat::Flat;
pub(crate) use leaf::State;
