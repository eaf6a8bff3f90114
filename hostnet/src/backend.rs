//! What carries a plan out: the kernel, or the in-memory one that obeys the same rules.

use crate::error::OpError;
use crate::observed::Observed;
use crate::op::Op;
use crate::spec::{DeviceName, Owner};
use crate::tag::Tag;
use core::fmt;
use macaddr::MacAddr6;
use std::net::IpAddr;

/// One namespace, seen and changed by one writer.
pub(crate) trait Backend {
    /// Looks at the namespace.
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError>;

    /// Carries out one step, wholly or not at all, and says whether there was anything to do.
    fn execute(&mut self, op: &Op) -> Result<Effect, OpError>;

    /// Deletes the devices with these tags, each on its own account; one that is not there is deleted already.
    fn delete_links(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        let delete = |tag: &&Tag| self.execute(&Op::DeleteLink { tag: (*tag).clone() }).map(|_| ());
        tags.iter().map(delete).collect()
    }

    /// The neighbour table of one device.
    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError>;
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something is different now, and can be undone.
    Changed,
    /// It was so already; undoing it would take away what somebody else made.
    Unchanged,
}

/// What to look at.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Every device and element.
    Everything,
    /// The devices with these tags and these names, and our table.
    Named {
        /// The tags.
        tags: Vec<Tag>,
        /// The names that must be free or ours.
        names: Vec<DeviceName>,
    },
}

/// An entry of the kernel's neighbour (ARP, NDP) table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// The MAC it was seen at; `None` while the kernel is still asking, or when nobody answered.
    pub mac: Option<MacAddr6>,
    /// How far the kernel trusts it.
    pub state: NeighbourState,
}

/// How far the kernel trusts a neighbour entry (`NUD_*` in `linux/neighbour.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum NeighbourState {
    /// Asked for, not answered yet.
    Incomplete,
    /// Confirmed lately.
    Reachable,
    /// Known, not confirmed lately.
    Stale,
    /// In use, confirmation pending.
    Delay,
    /// Being asked again.
    Probe,
    /// Nobody answered.
    Failed,
    /// Set by hand.
    Permanent,
    /// A state without resolution (`NUD_NOARP`) or one not known here.
    Other,
}

impl NeighbourState {
    /// Whether the address was seen at the MAC, now or lately.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Reachable | Self::Stale | Self::Delay | Self::Probe | Self::Permanent)
    }
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
            Self::Other => "NOARP",
        })
    }
}
