//! What was released, in the order in which that happened.

mod released;
mod ring;

pub(crate) use released::Queue;
