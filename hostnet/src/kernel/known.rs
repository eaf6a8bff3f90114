//! What leads to the devices of routed guests, as far as it is known: so that what is no longer wanted is found without a
//! search through all routes and neighbours there are.

use crate::op::{NeighbourEntry, Op, Route};
use std::collections::HashMap;

/// Routes and permanent neighbours of ours, by the index of their device. An index is never given again.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<u32, Entries>);

#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    pub(super) routes: Vec<Route>,
    pub(super) neighbours: Vec<NeighbourEntry>,
}

impl Known {
    /// What is known of a device; none if it was never looked at, nor made here.
    pub(super) fn of(&self, index: u32) -> Option<&Entries> {
        self.0.get(&index)
    }

    /// Notes all that leads to a device.
    pub(super) fn note(&mut self, index: u32, entries: Entries) {
        self.0.insert(index, entries);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes a step that was carried out on a device of which something is known.
    pub(super) fn follow(&mut self, index: u32, op: &Op) {
        let Some(entries) = self.0.get_mut(&index) else { return };
        match op {
            Op::AddRoute { route, .. } => entries.routes.push(*route),
            Op::RemoveRoute { route, .. } => entries.routes.retain(|known| known != route),
            Op::AddNeighbour { entry, .. } => entries.neighbours.push(*entry),
            Op::RemoveNeighbour { entry, .. } => entries.neighbours.retain(|known| known != entry),
            _ => {}
        }
    }
}
