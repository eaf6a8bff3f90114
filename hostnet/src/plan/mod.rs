//! From what is wanted and what is there to what is to be done: pure functions over data.

mod attachment;
mod build;
mod check;
mod elements;
mod error;
mod gc;
mod network;
mod remove;
pub(crate) mod wanted;

pub use build::plan;
pub use error::PlanError;
pub use gc::{Garbage, Orphan, garbage};
pub(crate) use remove::teardown_among;
pub use remove::{TeardownError, teardown};

use crate::op::Op;
use core::fmt;

/// Steps in the order they are to be carried out, as data.
///
/// `Display` prints them as the commands that do the same, for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "a plan does nothing until it is applied"]
pub struct Plan {
    pub(crate) kind: PlanKind,
    pub(crate) ops: Vec<Op>,
}

/// What happens when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum PlanKind {
    /// Stop, and undo what was done.
    Build,
    /// Note the error and go on: each step stands alone.
    Remove,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many steps there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ops.len()
    }

    /// The steps.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// What happens when a step fails.
    #[must_use]
    pub const fn kind(&self) -> PlanKind {
        self.kind
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}
