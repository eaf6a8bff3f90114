//! Carrying a plan out: one loop for making, undoing and removing.

use crate::backend::Backend;
use crate::error::OpError;
use crate::op::Op;
use crate::plan::{Plan, PlanKind};

/// What became of a plan that was carried out whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// How many steps were carried out.
    pub steps: usize,
}

/// A plan that was not carried out whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A step failed and what had been done before it was undone.
    #[error("step {} of {steps} failed: {error}; the {step} before it were undone", step + 1)]
    Undone {
        /// Which step failed, counted from 0.
        step: usize,
        /// How many steps the plan has.
        steps: usize,
        /// What went wrong.
        error: OpError,
    },
    /// A step failed and undoing what had been done before it failed too: these are left.
    #[error(
        "step {} of {steps} failed: {error}; {} could not be undone: {}",
        step + 1, left.len(), list(left)
    )]
    Left {
        /// Which step failed, counted from 0.
        step: usize,
        /// How many steps the plan has.
        steps: usize,
        /// What went wrong.
        error: OpError,
        /// What could not be undone.
        left: Vec<OpError>,
    },
    /// Steps of a removal failed; all the others were carried out.
    #[error("{} of {steps} steps failed: {}; the others were carried out", errors.len(), list(errors))]
    Incomplete {
        /// How many steps the plan has.
        steps: usize,
        /// What went wrong.
        errors: Vec<OpError>,
    },
    /// The namespace's thread ended before the plan was carried out.
    #[error("the namespace's thread has ended")]
    Closed,
}

/// What a plan is doing just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// About to carry out the step of this number, counted from 0.
    Starting(usize, &'a Op),
    /// Done with it.
    Done(usize, &'a Op),
    /// It failed; what follows undoes the earlier ones, or goes on where nothing is to be undone.
    Failed(usize, &'a Op),
}

pub(crate) fn run(
    backend: &mut dyn Backend,
    plan: &Plan,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Applied, ApplyError> {
    let steps = plan.ops.len();
    let mut errors = Vec::new();
    for (i, op) in plan.ops.iter().enumerate() {
        progress(Step::Starting(i, op));
        let Err(error) = backend.execute(op) else {
            progress(Step::Done(i, op));
            continue;
        };
        progress(Step::Failed(i, op));
        match plan.kind {
            PlanKind::Remove => errors.push(error),
            PlanKind::Build => {
                let done = plan.ops.get(..i).unwrap_or_default();
                let left = undo(backend, done);
                return Err(if left.is_empty() {
                    ApplyError::Undone { step: i, steps, error }
                } else {
                    ApplyError::Left { step: i, steps, error, left }
                });
            }
        }
    }
    if errors.is_empty() {
        Ok(Applied { steps })
    } else {
        Err(ApplyError::Incomplete { steps, errors })
    }
}

/// Undoes these steps, last first, each on its own; returns what could not be undone.
fn undo(backend: &mut dyn Backend, done: &[Op]) -> Vec<OpError> {
    done.iter().rev().filter_map(Op::inverse).filter_map(|op| backend.execute(&op).err()).collect()
}

fn list(errors: &[OpError]) -> String {
    errors.iter().map(OpError::to_string).collect::<Vec<_>>().join("; ")
}
