//! Carrying a plan out: one loop for making, undoing and removing.

use crate::backend::{Backend, Effect};
use crate::error::OpError;
use crate::op::Op;
use crate::plan::{Plan, PlanKind};
use crate::spec::Owner;
use crate::tag::Tag;

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
    #[error("step {} of {steps} failed: {error}; what the {step} before it changed was undone", step + 1)]
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
    /// A step of the plan is about somebody else's objects. Nothing was done.
    #[error(
        "the plan is `{plan}`'s and this is `{host}`'s host; give it to the host it was made for"
    )]
    OtherOwner {
        /// Whose objects the plan is about.
        plan: Owner,
        /// Whose host it was given to.
        host: Owner,
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

/// Whom to tell of the steps of a plan.
pub(crate) type Progress = Box<dyn FnMut(Step<'_>) + Send>;

/// Carries out a plan that builds: stops at the first error and undoes what was done.
pub(crate) fn build(
    backend: &mut dyn Backend,
    plan: &Plan,
    progress: &mut Progress,
) -> Result<Applied, ApplyError> {
    let steps = plan.ops.len();
    let mut changed = Vec::new();
    for (step, op) in plan.ops.iter().enumerate() {
        progress(Step::Starting(step, op));
        let error = match execute(backend, op) {
            Ok(effect) => {
                if effect == Effect::Changed {
                    changed.push(op);
                }
                progress(Step::Done(step, op));
                continue;
            }
            Err(error) => error,
        };
        progress(Step::Failed(step, op));
        let left = undo(backend, &changed);
        return Err(if left.is_empty() {
            ApplyError::Undone { step, steps, error }
        } else {
            ApplyError::Left { step, steps, error, left }
        });
    }
    Ok(Applied { steps })
}

/// Carries out a plan that changes elements only, alone.
pub(crate) fn at_once(
    backend: &mut dyn Backend,
    plan: &Plan,
    progress: &mut Progress,
) -> Result<Applied, ApplyError> {
    match plan.kind {
        PlanKind::Build => build(backend, plan, progress),
        PlanKind::Remove => {
            let mut errors = Vec::new();
            for (step, op) in plan.ops.iter().enumerate() {
                progress(Step::Starting(step, op));
                let failed = execute(backend, op).err();
                progress(match failed {
                    None => Step::Done(step, op),
                    Some(_) => Step::Failed(step, op),
                });
                errors.extend(failed);
            }
            outcome(plan.ops.len(), errors)
        }
    }
}

/// What became of a plan that removes.
fn outcome(steps: usize, errors: Vec<OpError>) -> Result<Applied, ApplyError> {
    if errors.is_empty() {
        Ok(Applied { steps })
    } else {
        Err(ApplyError::Incomplete { steps, errors })
    }
}

/// Carries out plans that remove, together: every step on its own account, and the devices of all plans in one go,
/// since whoever deletes devices one by one waits for the kernel each time.
pub(crate) fn remove(
    backend: &mut dyn Backend,
    orders: &mut [(Plan, Progress)],
) -> Vec<Result<Applied, ApplyError>> {
    let (plans, progress): (Vec<_>, Vec<_>) =
        orders.iter_mut().map(|(plan, progress)| (&*plan, progress)).unzip();
    let mut listeners = Listeners { errors: plans.iter().map(|_| Vec::new()).collect(), progress };

    // What a plan has before its devices is done before any device goes, what it has after them afterwards.
    let entries =
        |phase| plans.iter().enumerate().flat_map(move |(n, plan)| phase_of(n, plan, phase));
    for entry in entries(Phase::Before) {
        listeners.one(backend, &entry);
    }
    // A bridge goes when its ports are gone, whichever plan they are in.
    let mut links: Vec<_> = entries(Phase::Links).collect();
    links.sort_by_key(|entry| deleted_link(entry.op).is_some_and(|tag| tag.role().is_bridge()));
    for entry in &links {
        listeners.starting(entry);
    }
    let tags: Vec<_> = links.iter().filter_map(|entry| deleted_link(entry.op)).collect();
    #[cfg(feature = "tracing")]
    let _span = tracing::debug_span!("delete_links", count = tags.len()).entered();
    for (entry, result) in links.iter().zip(backend.delete_links(&tags)) {
        listeners.ended(entry, result);
    }
    // Our table goes when nothing is in it any more, whichever plan that was in.
    for entry in entries(Phase::After).chain(entries(Phase::Table)) {
        listeners.one(backend, &entry);
    }

    let outcomes = plans.iter().zip(listeners.errors);
    outcomes.map(|(plan, errors)| outcome(plan.ops.len(), errors)).collect()
}

/// Who is told of the steps of several plans, and what went wrong in each.
struct Listeners<'a> {
    progress: Vec<&'a mut Progress>,
    errors: Vec<Vec<OpError>>,
}

impl Listeners<'_> {
    fn one(&mut self, backend: &mut dyn Backend, entry: &Entry<'_>) {
        self.starting(entry);
        let result = execute(backend, entry.op).map(|_| ());
        self.ended(entry, result);
    }

    fn starting(&mut self, entry: &Entry<'_>) {
        if let Some(progress) = self.progress.get_mut(entry.plan) {
            progress(Step::Starting(entry.step, entry.op));
        }
    }

    fn ended(&mut self, entry: &Entry<'_>, result: Result<(), OpError>) {
        let Entry { plan, step, op } = *entry;
        if let Some(progress) = self.progress.get_mut(plan) {
            progress(if result.is_ok() { Step::Done(step, op) } else { Step::Failed(step, op) });
        }
        if let Some(errors) = self.errors.get_mut(plan) {
            errors.extend(result.err());
        }
    }
}

/// A step of one of several plans.
struct Entry<'a> {
    plan: usize,
    step: usize,
    op: &'a Op,
}

/// A part of a plan that removes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Links,
    After,
    Table,
}

fn phase_of(number: usize, plan: &Plan, wanted: Phase) -> impl Iterator<Item = Entry<'_>> {
    let first = plan.ops.iter().position(|op| deleted_link(op).is_some());
    plan.ops.iter().enumerate().filter_map(move |(step, op)| {
        let phase = match first {
            _ if deleted_link(op).is_some() => Phase::Links,
            _ if matches!(op, Op::RemoveTable { .. }) => Phase::Table,
            Some(first) if step > first => Phase::After,
            _ => Phase::Before,
        };
        (phase == wanted).then_some(Entry { plan: number, step, op })
    })
}

const fn deleted_link(op: &Op) -> Option<&Tag> {
    match op {
        Op::DeleteLink { tag } => Some(tag),
        _ => None,
    }
}

/// Carries out one step, and tells whoever traces of it.
fn execute(backend: &mut dyn Backend, op: &Op) -> Result<Effect, OpError> {
    #[cfg(feature = "tracing")]
    let _span = tracing::debug_span!("step", %op).entered();
    let result = backend.execute(op);
    #[cfg(feature = "tracing")]
    match &result {
        Ok(Effect::Changed) => tracing::debug!("done"),
        Ok(Effect::Unchanged) => tracing::debug!("was so already"),
        Err(error) => tracing::warn!(%error, "failed"),
    }
    result
}

/// Carries out the steps inside a namespace: all of them, or none.
pub(crate) fn inside(
    ops: &[Op],
    mut execute: impl FnMut(&Op) -> Result<Effect, OpError>,
) -> Result<Effect, OpError> {
    let mut changed = Vec::new();
    for op in ops {
        match execute(op) {
            Ok(Effect::Changed) => changed.push(op),
            Ok(Effect::Unchanged) => {}
            Err(error) => {
                for back in changed.iter().rev().filter_map(|op| op.inverse()) {
                    // It is the first error that matters.
                    let _ = execute(&back);
                }
                return Err(error);
            }
        }
    }
    Ok(if changed.is_empty() { Effect::Unchanged } else { Effect::Changed })
}

/// Undoes these steps, last first, each on its own; returns what could not be undone.
fn undo(backend: &mut dyn Backend, done: &[&Op]) -> Vec<OpError> {
    let undo = done.iter().rev().filter_map(|op| op.inverse());
    undo.filter_map(|op| execute(backend, &op).err()).collect()
}

fn list(errors: &[OpError]) -> String {
    errors.iter().map(OpError::to_string).collect::<Vec<_>>().join("; ")
}
